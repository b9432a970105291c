"""What became of metrics since the baseline, as the page shows it: effect with interval, tolerance, method."""

from __future__ import annotations

from dataclasses import dataclass

from edgeworthy.cells import CellId
from edgeworthy.metrics import COMPARED
from edgeworthy.records import Change


@dataclass(frozen=True)
class ShownChange:
    """One metric of a cell, all of it text; ``worse_by`` is negative where it is better, and empty where it is not known."""

    cell: CellId
    status: str
    metric: str
    before: str
    after: str
    worse_by: str
    interval: str
    tolerance: str
    method: str
    evidence: str
    message: str
    hint: str

    def cells(self) -> list[str]:
        """Without the cell, in their order."""
        return [str(getattr(self, name)) for name in self.__dataclass_fields__ if name != "cell"]


def shown_change(change: Change) -> ShownChange:
    """A change in words."""
    shown, effect = COMPARED[change.metric].shown, change.effect
    before, after = ("" if value is None else shown(value) for value in (change.before, change.after))
    found = effect.estimate if effect else None
    known = found is not None and found.low is not None and found.high is not None
    return ShownChange(
        change.cell,
        change.status,
        "" if change.metric == "cell" else COMPARED[change.metric].label,
        before,
        after,
        f"{found.value:+.2f} {effect.unit}" if found and effect else "",
        f"{found.low:+.2f} to {found.high:+.2f}" if found and known else "",
        f"{effect.tolerance:g} {effect.unit}" if effect else "",
        effect.method if effect else "",
        change.evidence,
        change.message,
        change.hint,
    )
