"""Waivers: cells that may fail for now, each with a reason, an issue and a last day, in ``waivers.yaml``.

A waiver without ``metric`` covers every failure of its cells, also a broken budget or an offline device; with one
it covers only that metric's comparison with the baseline. The canary is never waived.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgeworthy.cells import CellId, CellSelector, matches
from edgeworthy.records import RED_STATUSES, Change, Verdict
from edgeworthy.schema import ComparedName, Strict, validate
from edgeworthy.verdicts.regression import regression_verdict
from edgeworthy.verdicts.sides import RED
from edgeworthy.yaml_file import YamlFile, read_yaml

Text = Annotated[str, Field(min_length=1)]


class Waiver(Strict):
    """Cells by globs, and until when their failures are waived."""

    model: Text = Field(description="a model, or a glob")
    variant: Text = Field(description="a variant, or a glob")
    target: Text = Field(description="a target 'device:backend', or a glob")
    metric: ComparedName | None = Field(None, description="only this metric's comparison with the baseline")
    reason: Text = Field(description="why the cell may fail for now")
    issue: str = Field(pattern=r"^https?://\S+$", description="link to the issue that will resolve it")
    expires: date = Field(description="the last day on which it holds, in UTC")

    def covers(self, cell: CellId, metric: str | None) -> bool:
        """Whether it covers this metric (None: anything but a comparison with the baseline) of the cell."""
        return CellSelector.of(self.model, self.variant, self.target).selects(cell) and self.metric in (None, metric)


class WaiversFile(Strict):
    """benchmarks/waivers.yaml."""

    version: Literal[1]
    waivers: list[Waiver] = Field([], description="cells that may fail for now")


@dataclass(frozen=True)
class Active:
    """A waiver that holds today, and its place in the file."""

    waiver: Waiver
    where: str

    def __str__(self) -> str:
        return f"waived until {self.waiver.expires} by {self.where} ({self.waiver.issue}: {self.waiver.reason})"


class Waivers:
    """The waivers of a file, as of ``today``."""

    def __init__(self, document: YamlFile | None, file: WaiversFile, today: date) -> None:
        self._document = document
        self.active: list[Active] = []
        self.expired: list[str] = []
        for index, waiver in enumerate(file.waivers):
            assert document is not None
            where = f"{document.path.name}:{document.lines['waivers', index]}"
            if waiver.expires < today:
                self.expired.append(
                    f"{where}: the waiver of {waiver.model}/{waiver.variant}/{waiver.target} expired on "
                    f"{waiver.expires} ({waiver.issue}); repair the cell, or give the waiver a new date and a new reason"
                )
            else:
                self.active.append(Active(waiver, where))

    @classmethod
    def load(cls, path: Path, today: date | None = None) -> Waivers:
        """Read a file; none there means no waivers. Raises ConfigError with file, line and key."""
        today = today or datetime.now(UTC).date()
        if not path.is_file():
            return cls(None, WaiversFile(version=1), today)
        document = read_yaml(path)
        return cls(document, validate(WaiversFile, document), today)

    def check_names(self, cells: Iterable[CellId]) -> None:
        """Refuse a waiver, also an expired one, that names no cell at all. Raises ConfigError with the nearest name."""
        if self._document is None:
            return
        known = list(cells)
        for index, waiver in enumerate(self._document.data.get("waivers", [])):
            within = known
            for part, kind in enumerate(("model", "variant", "target")):
                matching = [cell for cell in within if matches(cell[part], [waiver[kind]])]
                if not matching:
                    names = sorted({cell[part] for cell in within})
                    raise self._document.unknown_name(("waivers", index, kind), kind, waiver[kind], names)
                within = matching

    def find(self, cell: CellId, metric: str | None) -> Active | None:
        """The first waiver that holds for this metric (None: anything but a comparison) of the cell."""
        return next((active for active in self.active if active.waiver.covers(cell, metric)), None)

    def judge(self, cell: CellId, changes: Sequence[Change]) -> Verdict:
        """A cell's changes as one verdict, without those that are waived."""
        waived = [
            (change, active)
            for change in changes
            if change.status in RED and (active := self.find(cell, change.metric)) is not None
        ]
        left = [change for change in changes if all(change is not one for one, _ in waived)]
        verdict = regression_verdict(cell, left)
        if not waived:
            return verdict
        said = "; ".join(f"{active}: {change.status}: {change.message}" for change, active in waived)
        return replace(
            verdict,
            status="waived" if verdict else "fail",
            message=said if verdict else f"{verdict.message}; {said}",
            waived_by=tuple(active.where for _, active in waived),
        )

    def waive(self, verdict: Verdict) -> Verdict:
        """A verdict of another axis, waived if it fails and a waiver covers the whole cell."""
        active = self.find(verdict.cell, None) if verdict.status in RED_STATUSES else None
        if active is None:
            return verdict
        message = f"{active}: {verdict.message}"
        return replace(verdict, status="waived", message=message, hint="", waived_by=(active.where,))

    def unneeded(self, verdicts: Sequence[Verdict]) -> list[str]:
        """Waivers whose cells were judged without needing them: a sentence each."""
        used = {where for verdict in verdicts for where in verdict.waived_by}
        judged = {verdict.cell for verdict in verdicts}
        return [
            f"{active.where}: the waiver of {active.waiver.model}/{active.waiver.variant}/{active.waiver.target} is no "
            f"longer needed; remove it"
            for active in self.active
            if active.where not in used and any(active.waiver.covers(cell, active.waiver.metric) for cell in judged)
        ]
