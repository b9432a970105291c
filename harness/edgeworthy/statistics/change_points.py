"""Change points of one metric over many runs: steps, and creeps that no comparison of two runs would show.

A series is cut into straight lines, the best of all ways to cut it (optimal partitioning: Jackson et al., An algorithm for
optimal partitioning of data on an interval, IEEE Signal Processing Letters 2005), so that a level that jumps and a level
that creeps are found by one method, over the raw values. Everything is measured in units of the series' own noise.
PELT finds the same cuts; in Python its candidates one by one take twenty times as long as all of them at once.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: At least so many runs make a level.
SHORTEST = 3
#: Fewer values than this do not show their own noise.
FEWEST = 8
#: What one more line must explain, in squared noise: set by simulation so that about 1 % of flat series are cut.
PENALTY = 28.0
#: A slope is one where it is so many of its standard errors; likewise a jump at a bend.
CERTAIN = 5.0
#: Values so many noises off both neighbourhoods, in the same direction, are outliers.
FAR = 5.0
#: Noise is never taken for less than this: a change of log(value), so 0.1 %; or of the value where it is not relative.
LEAST_NOISE = 1e-3


@dataclass(frozen=True)
class Change:
    """A change that began with value number ``first`` and took ``runs`` values to go from level ``before`` to ``after``."""

    kind: Literal["step", "creep"]
    first: int
    runs: int
    before: float
    after: float


@dataclass(frozen=True)
class Changes:
    """The changes of a series, oldest first, and the level that it has ``now``."""

    found: tuple[Change, ...]
    now: float


class Line(NamedTuple):
    """Values ``start`` to ``stop`` lie on a line that has the value ``level`` at ``start``."""

    start: int
    stop: int
    level: float
    slope: float

    def at(self, index: float) -> float:
        """The line's value there."""
        return self.level + self.slope * (index - self.start)

    @property
    def end(self) -> float:
        """Its value at its last point."""
        return self.at(self.stop - 1)


def find_changes(values: Floats, smallest: float, relative: bool) -> Changes:
    """The changes of ``values`` (oldest first) that stand out of their noise and are at least ``smallest``.

    With ``relative`` the values must be positive and ``smallest`` is a share: 0.01 is 1 %.
    """
    series = np.log(values) if relative else np.asarray(values, dtype=np.float64)
    back = np.exp if relative else float
    if len(series) < FEWEST:
        return Changes((), float(back(np.median(series))))
    least = np.log1p(smallest) if relative else smallest
    noise = noise_of(series)
    clean = without_outliers(series, noise)
    costs = _costs(clean)
    noise = max(noise, _rest_noise(clean, _lines(clean / noise, costs / noise**2), noise))
    clean, costs = clean / noise, costs / noise**2
    lines = _lines(clean, costs)
    found = [change for change in _changes(clean, lines) if abs(change.after - change.before) * noise >= least]
    shown = tuple(
        replace(change, before=float(back(change.before * noise)), after=float(back(change.after * noise)))
        for change in found
    )
    return Changes(shown, float(back(lines[-1].end * noise)))


def noise_of(series: Floats) -> float:
    """The standard deviation of one value, from the differences of neighbours: neither steps nor outliers widen it.

    The largest of robust estimates (quantiles of the absolute differences, each over the normal distribution's own),
    because a series that takes few values has a median difference of zero.
    """
    steps = np.diff(series)
    sizes = np.abs(steps - np.median(steps)) / np.sqrt(2)
    estimates = np.quantile(sizes, (0.5, 0.75, 0.8)) / (0.6745, 1.1503, 1.2816)
    return max(float(estimates.max()), LEAST_NOISE)


def without_outliers(series: Floats, noise: float) -> Floats:
    """The series with values that stand alone set to the level around them.

    Up to ``SHORTEST`` values in a row stand alone, at either end fewer. A step or a creep does not: one side is near.
    """
    clean = series.copy()
    for index in _off_what_follows(series, noise):
        left, right = clean[max(index - 5, 0) : index], series[index + 1 : index + 6]
        if len(left) < 2:
            if _off_the_edge(clean[index], right, noise):
                clean[index] = np.median(right)
        elif len(right) < 2:
            if _off_the_edge(clean[index], left[::-1], noise):
                clean[index] = np.median(left)
        elif _stands_alone(clean[index], left, right, noise):
            clean[index] = (np.median(left) + np.median(right)) / 2
    return clean


def _off_what_follows(series: Floats, noise: float) -> list[int]:
    """The values that may stand alone: those that are off the next five, and those near an end, which have fewer beside them."""
    following = np.median(np.lib.stride_tricks.sliding_window_view(series, 5), axis=1)[1:]
    off = np.flatnonzero(np.abs(series[: len(following)] - following) > FAR * noise)
    return sorted({0, 1, *off.tolist(), *range(len(following), len(series))})


def _stands_alone(value: float, left: Floats, right: Floats, noise: float) -> bool:
    off_left, off_right = value - np.median(left), value - np.median(right)
    return bool(min(abs(off_left), abs(off_right)) > FAR * noise and off_left * off_right > 0)


def _off_the_edge(value: float, inwards: Floats, noise: float) -> bool:
    """At either end there is one side only, nearest value first: that side's spread separates a creep from an outlier."""
    off = np.abs(value - np.median(inwards))
    spread = np.median(np.abs(inwards - np.median(inwards)))
    return bool(off > FAR * noise + 4 * spread and np.abs(value - inwards[0]) > FAR * noise)


def _rest_noise(series: Floats, lines: list[Line], noise: float) -> float:
    """What the lines leave, as the noise of independent values would: wider where it has tails or drifts by itself."""
    rest = np.concatenate([series[line.start : line.stop] / noise - _drawn(line) for line in lines]) * noise
    if not rest.any():
        return 0.0
    follows = float(np.clip(rest[1:] @ rest[:-1] / (rest @ rest), 0, 0.8))
    return float(np.std(rest) * np.sqrt((1 + follows) / (1 - follows)))


def _drawn(line: Line) -> Floats:
    return np.asarray(line.level + line.slope * np.arange(line.stop - line.start), dtype=np.float64)


def _lines(series: Floats, costs: Floats) -> list[Line]:
    """The series as the lines that pay for themselves; a slope that is none is taken out."""
    stops = _stops(costs)
    return [_line(series, start, stop) for start, stop in zip([0, *stops], stops, strict=False)]


def _stops(costs: Floats) -> list[int]:
    """Where the lines end that leave the least, PENALTY for each of them counted."""
    count = len(costs)
    least, begun = np.zeros(count + 1), np.zeros(count + 1, dtype=np.int64)
    for stop in range(1, count + 1):
        whole = least[:stop] + costs[:stop, stop - 1]
        begun[stop] = whole.argmin()
        least[stop] = whole[begun[stop]] + PENALTY
    stops = [count]
    while begun[stops[-1]]:
        stops.append(int(begun[stops[-1]]))
    return stops[::-1]


def _costs(series: Floats) -> Floats:
    """What one line leaves of the values from ``start`` to ``stop``, its sum of squares, at [start, stop - 1]."""
    y, x, spans = series - series.mean(), np.arange(len(series), dtype=np.float64), _spans(len(series))
    sums = (np.concatenate([[0.0], np.cumsum(values)]) for values in (y, x * y, y * y))
    one, by_place, left = (found[1:] - found[:-1, np.newaxis] for found in sums)
    # In place: of hundreds of runs each of these has a megabyte, and new memory takes longer than the sums.
    by_place -= spans.middle * one
    left -= np.divide(np.square(one, out=one), spans.places, out=one)
    left -= np.divide(np.square(by_place, out=by_place), spans.spread, out=by_place)
    return np.where(spans.short, np.inf, np.maximum(left, 0.0))


class _Spans(NamedTuple):
    """Of the places ``start`` to ``stop``, at [start, stop - 1]: how many, their mean, and their sum of squares around it.

    ``short`` are those of fewer than SHORTEST places, which are no lines.
    """

    places: Floats
    middle: Floats
    spread: Floats
    short: NDArray[np.bool_]


@functools.lru_cache(maxsize=2)
def _spans(length: int) -> _Spans:
    """For the series of many cells, which have as many runs."""
    start, stop = np.arange(length)[:, np.newaxis], np.arange(1, length + 1)
    count = np.maximum(stop - start, SHORTEST).astype(np.float64)
    return _Spans(count, start + (count - 1) / 2, count * (count * count - 1) / 12, stop - start < SHORTEST)


def _line(series: Floats, start: int, stop: int) -> Line:
    values = series[start:stop]
    at = np.arange(len(values)) - (len(values) - 1) / 2
    spread = float(at @ at)
    slope = float(at @ values) / spread
    if abs(slope) * np.sqrt(spread) < CERTAIN:
        slope = 0.0
    return Line(start, stop, float(values.mean()) - slope * (len(values) - 1) / 2, slope)


def _changes(series: Floats, lines: list[Line]) -> Iterator[Change]:
    """Every jump between two lines, and every stretch of lines that creeps one way."""
    creep = _creep(lines[0], 0, lines[0].level) if lines[0].slope else None
    for before, line in itertools.pairwise(lines):
        bend = _bend(series, before, line)
        if creep and bend is not None and line.slope * (creep.after - creep.before) > 0:
            creep = replace(creep, runs=line.stop - creep.first, after=line.end)
            continue
        if creep:
            yield creep
            creep = None
        if bend is None:
            yield Change("step", line.start, 1, before.end, line.level)
        if line.slope:
            creep = _creep(line, bend, before.at(bend - 1)) if bend else _creep(line, line.start, line.level)
    if creep:
        yield creep


def _creep(line: Line, first: int, level: float) -> Change:
    return Change("creep", first, line.stop - first, level, line.end)


def _bend(series: Floats, before: Line, line: Line) -> int | None:
    """Where ``line`` leaves ``before``, if the two may be one bent line; None where the level jumps between them."""
    if not before.slope and not line.slope:
        return None
    values = series[before.start : line.stop]
    rest, corner = min((_bent_rest(values, corner), corner) for corner in range(len(values) - 1))
    jumped = np.concatenate([_drawn(before), _drawn(line)])
    if rest - float(np.sum((values - jumped) ** 2)) > CERTAIN**2:
        return None
    return before.start + corner + 1


def _bent_rest(values: Floats, corner: int) -> float:
    """The sum of squares that a line with a corner there leaves."""
    at = np.arange(len(values))
    columns = np.stack([np.ones(len(at)), at, np.maximum(at - corner, 0)], axis=1)
    found = np.linalg.lstsq(columns, values, rcond=None)[0]
    return float(np.sum((values - columns @ found) ** 2))
