"""The gate's test of itself: an item in every run that is red unless the canary is rejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EdgegateError
from harness.measurements.bench import Bench
from harness.pytest_plugin.cell import is_excused
from harness.records import CellId, Outcome, Verdict
from harness.verdicts.accuracy import judge_accuracy
from harness.verdicts.log import VerdictLog

AXIS = "canary"


#: The bench, where verdicts go, and the limits of the command line.
Setup = tuple[Bench, VerdictLog, dict[str, float]]


class CanaryAcceptedError(Exception):
    """The gate let the canary pass."""


class CanaryItem(pytest.Item):
    """Judges one model's canary on one target as any variant's accuracy is judged, and wants it rejected."""

    def __init__(self, *, cell: CellId, setup: Callable[[], Setup], **keywords: Any) -> None:
        super().__init__(**keywords)
        self.cell = cell
        self._setup = setup

    def runtest(self) -> None:
        """Raises CanaryAcceptedError, or EdgegateError where the canary cannot even be made."""
        bench, log, overrides = self._setup()
        try:
            verdict = canary_verdict(bench, self.cell, overrides)
        except EdgegateError as error:
            excused = is_excused(error)
            outcome: Outcome = "absent" if excused else "error"
            log.add(Verdict(self.cell, AXIS, outcome, "exact", error.message, error.next_step))
            if excused:
                pytest.skip(f"absent: {error.message}")
            raise
        log.add(verdict)
        self.user_properties.append(("edge_canary", verdict.outcome))
        if not verdict:
            raise CanaryAcceptedError(f"{verdict.sentence}\nNext: {verdict.next_step}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """One sentence instead of a traceback, for what is said on purpose."""
        if isinstance(excinfo.value, (EdgegateError, CanaryAcceptedError)):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where reports say that the item stands."""
        return self.path, None, self.name


def canary_verdict(bench: Bench, cell: CellId, overrides: dict[str, float]) -> Verdict:
    """True where the gate, with the limits that other cells get, rejects the canary for its accuracy."""
    values, how = bench.canary(cell)
    judged = judge_accuracy(cell, values, bench.truth(cell.model), {**bench.project.limits(cell), **overrides})
    if judged.outcome == "fail":
        return replace(
            judged,
            axis=AXIS,
            outcome="pass",
            sentence=f"rejected as it must be ({how}): {judged.sentence}",
            next_step="",
        )
    return replace(
        judged,
        axis=AXIS,
        outcome="fail",
        sentence=f"the gate accepted a model that was made to be bad ({how}): {judged.sentence}",
        next_step="tighten this model's accuracy budget; as it is, it lets anything pass",
    )
