"""The gate's test of itself: an item in every run that fails unless the canary is rejected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeworthy.cells import CellId
from edgeworthy.errors import EdgeworthyError
from edgeworthy.judging.judge import Judge
from edgeworthy.runs.verdict_log import VerdictLog

#: The judge, and where verdicts go.
Setup = tuple[Judge, VerdictLog]


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
        judge, log = self._setup()
        verdict, error = judge.canary(self.cell)
        log.add(verdict)
        if verdict.status == "absent":
            pytest.skip(f"absent: {verdict.message}")
        if error is not None:
            raise error
        self.user_properties.append(("edge_canary", verdict.status))
        if not verdict:
            raise CanaryAcceptedError(str(verdict))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """Message and hint instead of a traceback, for edgeworthy's own errors."""
        if isinstance(excinfo.value, (EdgeworthyError, CanaryAcceptedError)):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, None, str]:
        """The item's location in reports."""
        return self.path, None, self.name
