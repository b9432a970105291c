"""Judge one cell on one axis, whatever becomes of it: measured, emulated, refused, absent, waived or in error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY
from edgeworthy.errors import DeviceAbsent, EdgeworthyError, Emulated, RecipeRefused
from edgeworthy.judging import axes
from edgeworthy.judging.gate import Gate
from edgeworthy.measurements.bench import Bench
from edgeworthy.records import Status, Verdict
from edgeworthy.verdicts.regression import AXIS as REGRESSION


class Judged(NamedTuple):
    """A verdict, and the error that kept the cell from being judged, if one did."""

    verdict: Verdict
    error: EdgeworthyError | None = None


class Judge:
    """Measures what an axis needs, judges it, and applies the waivers of ``gate``; ``overrides`` are over the cell's limits."""

    def __init__(self, bench: Bench, gate: Gate, overrides: Mapping[str, float]) -> None:
        self._bench = bench
        self._gate = gate
        self._overrides = overrides
        self._axes: dict[str, Callable[[Bench, CellId, axes.Limits], Verdict]] = {
            "accuracy": axes.accuracy,
            "latency": axes.latency,
            "footprint": axes.footprint,
            REGRESSION: lambda bench, cell, _: gate.judge(bench, cell),
        }

    def limits(self, cell: CellId) -> dict[str, float]:
        """The cell's limits, all layers of configuration applied."""
        return self._bench.project.limits(cell, self._overrides)

    def judge(self, axis: str, cell: CellId) -> Judged:
        """Judge ``accuracy``, ``latency``, ``footprint`` or ``regression``. Raises ValueError for another axis."""
        if axis not in self._axes:
            raise ValueError(f"no axis {axis!r}; there are: {', '.join(self._axes)}")
        return self._judged(axis, cell, lambda: self._axes[axis](self._bench, cell, self.limits(cell)))

    def consistency(self, cell: CellId, first: CellId) -> Judged:
        """Judge whether two targets give the same predictions."""
        return self._judged("consistency", cell, lambda: axes.consistency(self._bench, cell, first, self.limits(cell)))

    def canary(self, cell: CellId) -> Judged:
        """Judge whether the gate rejects the model's canary on this target; nothing waives it."""
        return self._judged(axes.CANARY_AXIS, cell, lambda: axes.canary(self._bench, cell, self.limits(cell)))

    def _judged(self, axis: str, cell: CellId, judge: Callable[[], Verdict]) -> Judged:
        """An error is a verdict, too. What it raises otherwise is no verdict on the cell."""
        try:
            return Judged(self._waived(judge()))
        except EdgeworthyError as error:
            verdict = Verdict(cell, axis, self._status(cell, error), "exact", error.message, error.hint)
            return Judged(self._waived(verdict), error)

    def _waived(self, verdict: Verdict) -> Verdict:
        return verdict if verdict.cell.variant == CANARY else self._gate.waivers.waive(verdict)

    def _status(self, cell: CellId, error: EdgeworthyError) -> Status:
        if isinstance(error, DeviceAbsent) and not error.required:
            return "absent"
        if isinstance(error, Emulated):
            return "emulated"
        if isinstance(error, RecipeRefused) and cell.variant != CANARY:
            return "error" if self._bench.project.plan(cell.model, cell.variant).required else "refused"
        return "error"
