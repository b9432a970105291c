"""Telemetry samples of a device while a job ran on it, one after the other in a file of the job's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

FILE = "telemetry"
#: A line that follows each sample, so that one that was cut off does not count.
MARK = "== sample"
#: What becomes of a reading over several samples, where it is not the largest of them.
_OVERALL: dict[str, Callable[..., float]] = {"cpu_mhz": min, "telemetry_samples": sum}

Readings = Mapping[str, float]


def parse_samples(text: str, parse: Callable[[str], Readings]) -> dict[str, float]:
    """The worst of each reading, and how many ``telemetry_samples`` had any; empty where none had."""
    found = [parse(sample) for sample in text.split(f"{MARK}\n")[:-1]]
    return overall([{**readings, "telemetry_samples": 1.0} for readings in found if readings])


def overall(parts: Sequence[Readings]) -> dict[str, float]:
    """The worst of each reading over all parts of a measurement."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: _OVERALL.get(name, max)(part[name] for part in parts if name in part) for name in names}
