"""What differs between two sides: verdicts, metrics, times, predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.config import Tolerances
from edgeworthy.records import RED_STATUSES, Change
from edgeworthy.reports.compare.flipped import flipped
from edgeworthy.reports.compare.sides import ACCEPTED, OneSide
from edgeworthy.reports.compare.spread import Spread, spread_of
from edgeworthy.reports.html.pairs import Album
from edgeworthy.reports.html.shown.samples import Samples
from edgeworthy.reports.rows import STATUSES
from edgeworthy.verdicts.regression import compare
from edgeworthy.verdicts.sides import WORDS, Sides


def unseen(model: str) -> str:
    """Samples that are only numbered are not looked up."""
    return f"the dataset of {model} is not at hand"


@dataclass(frozen=True)
class Turned:
    """A cell whose status changed; "" where a side does not have it. Message and hint are those of the later one."""

    cell: CellId
    before: str
    after: str
    message: str
    hint: str

    @property
    def worse(self) -> bool:
        """Whether the cell may not ship any more, or is gone."""
        return not self.after or self.after in RED_STATUSES


@dataclass(frozen=True)
class CellOfBoth:
    """A cell that both sides measured: its latency as each has it (None: not timed), and its samples, or why not."""

    cell: CellId
    latency_ms: tuple[float | None, float | None]
    spread: Spread | None
    pairs: dict[str, Any] | None


@dataclass(frozen=True)
class Comparison:
    """All of it, the worst first. ``pictures`` are those of the samples that ``cells`` show."""

    before: OneSide
    after: OneSide
    turned: Sequence[Turned]
    changes: Sequence[Change]
    cells: Sequence[CellOfBoth]
    pictures: dict[str, str]


def compare_sides(
    before: OneSide, after: OneSide, tolerances: Tolerances, samples: Callable[[str], Samples | str] = unseen
) -> Comparison:
    """Hold ``after`` against ``before``; ``samples`` finds those of a model, to be shown. Raises StoreError."""
    album = Album(samples)
    changes = sorted(differences(before, after, tolerances), key=lambda change: WORDS.index(change.status))
    cells = dict.fromkeys(change.cell for change in changes)
    common = [sides for cell in cells if (sides := _sides(cell, before, after, tolerances))]
    both = [_both(sides, before, after, album) for sides in common]
    return Comparison(before, after, turned(before, after), changes, both, album.pictures)


def turned(before: OneSide, after: OneSide) -> list[Turned]:
    """The cells whose verdict changed, those that a side lacks among them."""
    found = []
    for cell in sorted({*before.snapshots, *before.rows, *after.snapshots, *after.rows}):
        old, new = before.status(cell), after.status(cell)
        if _passed(old) != _passed(new):
            row = after.rows.get(cell) or {}
            found.append(Turned(cell, old, new, row.get("message") or "", row.get("hint") or ""))
    return sorted(found, key=lambda one: _rank(one.after))


def differences(before: OneSide, after: OneSide, tolerances: Tolerances) -> Iterator[Change]:
    """Every metric of every cell that was measured on a side."""
    for cell in sorted({*before.snapshots, *after.snapshots}):
        if sides := _sides(cell, before, after, tolerances):
            yield from compare(sides)
        elif cell in after.snapshots:
            yield Change(cell, "cell", "new", "exact", None, None, "is new")
        else:
            yield Change(cell, "cell", "missing", "exact", None, None, "is missing")


def _sides(cell: CellId, before: OneSide, after: OneSide, tolerances: Tolerances) -> Sides | None:
    """Both sides of a cell; None where one lacks it."""
    old, new = before.snapshots.get(cell), after.snapshots.get(cell)
    return Sides(cell, old, new, tolerances, after.name if after.run else "RUN") if old and new else None


def _both(sides: Sides, before: OneSide, after: OneSide, album: Album) -> CellOfBoth:
    cell = sides.cell
    times = sides.before.latency_ms, sides.after.latency_ms
    return CellOfBoth(cell, times, spread_of(cell, before, after), flipped(sides, before, after, album))


def _passed(status: str) -> str:
    """Only what passed is accepted."""
    return "pass" if status == ACCEPTED else status


def _rank(status: str) -> int:
    """A cell that is gone comes first."""
    return STATUSES.index(_passed(status)) if status else -1
