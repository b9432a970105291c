"""What a device said of itself while a job ran on it: looks, one after the other, in a file of the job's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

FILE = "looks"
#: A line that follows each look, so that one that was cut does not count.
MARK = "== look"
#: What becomes of a reading over several looks, where it is not the largest of them.
_OVERALL: dict[str, Callable[..., float]] = {"cpu_mhz": min, "looks": sum}

Readings = Mapping[str, float]


def seen(text: str, parse: Callable[[str], Readings]) -> dict[str, float]:
    """The worst of each reading, and how many ``looks`` told any; nothing where none did."""
    found = [parse(look) for look in text.split(f"{MARK}\n")[:-1]]
    return overall([{**readings, "looks": 1.0} for readings in found if readings])


def overall(parts: Sequence[Readings]) -> dict[str, float]:
    """The worst of each reading over all parts of a measurement."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: _OVERALL.get(name, max)(part[name] for part in parts if name in part) for name in names}
