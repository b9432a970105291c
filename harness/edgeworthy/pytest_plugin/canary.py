"""The gate's test of itself: an item in every run that fails unless the canary is rejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeworthy.cells import CellId
from edgeworthy.config import DEFAULT_LIMITS
from edgeworthy.errors import EdgeworthyError
from edgeworthy.measurements.bench import Bench
from edgeworthy.pytest_plugin.cell import is_excused
from edgeworthy.records import Status, Verdict
from edgeworthy.runs.verdict_log import VerdictLog
from edgeworthy.verdicts.accuracy import judge_accuracy

AXIS = "canary"
#: Where the built-in limits reject the canary, and where they do not either.
_WIDE = "tighten this model's accuracy budget; as it is, it lets anything pass"
_HARMLESS = (
    "the budget is not at fault: these outputs are nearly right; please report the model, its canary proves nothing"
)


#: The bench, where verdicts go, and the limits of the command line.
Setup = tuple[Bench, VerdictLog, dict[str, float]]


class CanaryAcceptedError(Exception):
    """The gate accepted the canary."""


class CanaryItem(pytest.Item):
    """Judges one model's canary on one target as any variant's accuracy is judged, and passes if it is rejected."""

    def __init__(self, *, cell: CellId, setup: Callable[[], Setup], **keywords: Any) -> None:
        super().__init__(**keywords)
        self.cell = cell
        self._setup = setup

    def runtest(self) -> None:
        """Raises CanaryAcceptedError, or EdgeworthyError where the canary cannot even be made."""
        bench, log, overrides = self._setup()
        try:
            verdict = canary_verdict(bench, self.cell, overrides)
        except EdgeworthyError as error:
            excused = is_excused(error)
            status: Status = "absent" if excused else "error"
            log.add(Verdict(self.cell, AXIS, status, "exact", error.message, error.hint))
            if excused:
                pytest.skip(f"absent: {error.message}")
            raise
        log.add(verdict)
        self.user_properties.append(("edge_canary", verdict.status))
        if not verdict:
            raise CanaryAcceptedError(f"{verdict.message}\nHint: {verdict.hint}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """Message and hint instead of a traceback, for edgeworthy's own errors."""
        if isinstance(excinfo.value, (EdgeworthyError, CanaryAcceptedError)):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, None, str]:
        """The item's location in reports."""
        return self.path, None, self.name


def canary_verdict(bench: Bench, cell: CellId, overrides: dict[str, float]) -> Verdict:
    """A pass where the gate, with the limits that other cells get, rejects all that was made to be bad."""
    limits, truth = {**bench.project.limits(cell), **overrides}, bench.truth(cell.model)
    for values, how in bench.canaries(cell):
        judged = judge_accuracy(cell, values, truth, limits)
        if judged.status != "fail":
            wide = judge_accuracy(cell, values, truth, DEFAULT_LIMITS.given()).status == "fail"
            return replace(
                judged,
                axis=AXIS,
                status="fail",
                message=f"the gate accepted a model that was made to be bad ({how}): {judged.message}",
                hint=_WIDE if wide else _HARMLESS,
            )
    message = f"rejected, as expected ({how}): {judged.message}"
    return replace(judged, axis=AXIS, status="pass", message=message, hint="")
