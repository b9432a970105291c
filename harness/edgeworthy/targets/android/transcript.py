"""What TFLite's benchmark_model prints, read as data.

The lines are those of ``tools/benchmark/benchmark_model.cc`` and ``benchmark_tflite_model.cc`` in TensorFlow 2.14 and in
LiteRT's sources of 2026; times are in microseconds, of one inference each in whole ones. Older builds print neither
levels (``INFO:``) nor percentiles. Only whole lines count, so that a cut number is never read, and what the output says
twice must agree.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from edgeworthy.errors import ToolUnusable
from edgeworthy.storage import LOG_TAIL_LINES

_NUMBER = r"-?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|nan)"
_LEVEL = re.compile(r"^(?:VERBOSE|INFO|WARN|WARNING|ERROR|FATAL): ")
_COUNT = re.compile(
    rf"count=(?P<count>\d+)"
    rf"(?: first=(?P<first>\d+) curr=\d+ min=(?P<min>\d+) max=(?P<max>\d+) avg=(?P<avg>{_NUMBER}) std={_NUMBER}"
    rf"| curr=(?P<same>\d+)(?:\(all same\))?)?"
    rf"(?: p5=\d+ median=(?P<median>\d+) p95=(?P<p95>\d+))?"
)
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: (\d+), First inference: (\d+), Warmup \(avg\): ({_NUMBER}), "
    rf"Inference \(avg\): ({_NUMBER})"
)
_MEMORY = re.compile(rf"Memory footprint delta from the start of the tool \(MB\): init={_NUMBER} overall=({_NUMBER})")
_REPLACED = re.compile(
    r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((.*?)\) node, yielding (\d+) partitions.*"
)
_WHOLE = re.compile(
    r"Explicitly applied (\S+) delegate, and the model graph will be completely executed by the delegate\."
)
_PARTLY = re.compile(
    r"Explicitly applied (\S+) delegate, and the model graph will be partially executed by the delegate "
    r"w/ (\d+) delegate kernels\."
)
_NOT = re.compile(
    r"Though (\S+) delegate is explicitly applied, the model graph will not be executed by the delegate\."
)
#: The tool prints six significant digits: two prints of one number differ by no more.
PRINTED = 1e-5


@dataclass(frozen=True)
class Statistics:
    """Times of ``count`` inferences in microseconds; percentiles are None where the build prints none."""

    count: int
    first_us: int
    mean_us: float
    median_us: int | None
    p95_us: int | None


@dataclass(frozen=True)
class Applied:
    """A delegate that was asked for: it executes the graph ``wholly``, or ``kernels`` parts of it (0: nothing)."""

    name: str
    wholly: bool
    kernels: int
    line: str


@dataclass(frozen=True)
class Replaced:
    """The runtime's own words: so many of the graph's nodes became a delegate's."""

    delegate: str
    taken: int
    total: int
    line: str


@dataclass(frozen=True)
class Transcript:
    """One process of the tool. What it did not get to print is None, or missing from the tuples; ``lines`` are its own words."""

    warmup: Statistics | None
    run: Statistics | None
    init_us: int | None
    memory_growth_bytes: int | None
    applied: tuple[Applied, ...]
    replaced: tuple[Replaced, ...]
    lines: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether the tool came to its end and said what it measured."""
        return self.init_us is not None

    def line(self, *words: str) -> str:
        """The first line that holds one of the words, whatever their case, or nothing."""
        return next((line for line in self.lines if any(word.lower() in line.lower() for word in words)), "")

    @property
    def tail(self) -> str:
        """The last lines."""
        return "\n".join(self.lines[-LOG_TAIL_LINES:])


def parse(output: str) -> Transcript:
    """Read stdout and stderr of one process, whole or cut. Raises ToolUnusable where it contradicts itself."""
    whole = output.split("\n")[:-1]  # what follows the last line's end is half a line
    said = [_LEVEL.sub("", line.rstrip("\r")) for line in whole]
    counts = [_statistics(found) for text in said if (found := _COUNT.fullmatch(text))]
    if len(counts) > 2:
        raise ToolUnusable(
            f"benchmark_model printed the statistics of {len(counts)} runs, not of warm-up and run",
            hint="use a benchmark_model of a known build, see docs/devices.md",
        )
    warmup, run = (*counts, None, None)[:2]
    summary = next((found for text in said if (found := _SUMMARY.fullmatch(text))), None)
    memory = next((found for text in said if (found := _MEMORY.fullmatch(text))), None)
    if summary:
        _check_summary(summary, warmup, run)
    return Transcript(
        warmup=warmup,
        run=run,
        init_us=int(summary[1]) if summary else None,
        memory_growth_bytes=round(float(memory[1]) * 2**20) if memory and float(memory[1]) >= 0 else None,
        applied=tuple(applied for text in said if (applied := _applied(text))),
        replaced=tuple(
            Replaced(found[3], int(found[1]), int(found[2]), text)
            for text in said
            if (found := _REPLACED.fullmatch(text)) and int(found[1]) <= int(found[2])
        ),
        lines=tuple(line.rstrip("\r") for line in whole),
    )


def _statistics(found: re.Match[str]) -> Statistics:
    """One ``count=`` line. Raises ToolUnusable where its numbers cannot be those of the same inferences."""
    count = int(found["count"])
    if found["same"]:
        first = low = high = int(found["same"])
        mean = float(first)
    elif found["first"]:
        first, low, high, mean = int(found["first"]), int(found["min"]), int(found["max"]), float(found["avg"])
    else:
        first = low = high = 0
        mean = 0.0
    # Of equal times the tool prints only one, which is every percentile.
    median, p95 = (None if found[name] is None else int(found[name]) for name in ("median", "p95"))
    if found["same"]:
        median = p95 = first
    middle = [value for value in (first, median, p95) if value is not None]
    slack = PRINTED * high
    if (
        not (low - slack <= mean <= high + slack and all(low <= value <= high for value in middle))
        or (median is not None and p95 is not None and median > p95)
        or (count == 0) != (not found["same"] and not found["first"])
    ):
        raise ToolUnusable(
            f"benchmark_model printed times that contradict each other: {found[0]}",
            hint="use a benchmark_model of a known build, see docs/devices.md",
        )
    return Statistics(count, first, mean, median, p95)


def _check_summary(summary: re.Match[str], warmup: Statistics | None, run: Statistics | None) -> None:
    """The last line repeats what the lines before it said."""
    if warmup is None or run is None:
        raise ToolUnusable(
            f"benchmark_model printed a summary without its runs: {summary[0]}",
            hint="use a benchmark_model of a known build, see docs/devices.md",
        )
    same = [
        int(summary[2]) == warmup.first_us,
        warmup.count == 0 or math.isclose(float(summary[3]), warmup.mean_us, rel_tol=PRINTED),
        run.count == 0 or math.isclose(float(summary[4]), run.mean_us, rel_tol=PRINTED),
    ]
    if not all(same):
        raise ToolUnusable(
            f"benchmark_model printed a summary that contradicts its runs: {summary[0]}",
            hint="use a benchmark_model of a known build, see docs/devices.md",
        )


def _applied(text: str) -> Applied | None:
    if found := _WHOLE.fullmatch(text):
        return Applied(found[1], True, 1, text)
    if found := _PARTLY.fullmatch(text):
        return Applied(found[1], False, int(found[2]), text)
    if found := _NOT.fullmatch(text):
        return Applied(found[1], False, 0, text)
    return None
