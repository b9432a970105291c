"""How failures are shown: a verdict by its message, an error without a traceback, a cause that tests share once."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

import pytest

from edgeworthy.errors import EdgeworthyError
from edgeworthy.text import first_of, plural

if TYPE_CHECKING:
    from edgeworthy.cells import CellId
    from edgeworthy.records import Verdict

#: Attribute of a report: the place of its test in the run, the cell, and the text of edgeworthy's own error. Plain data,
#: which xdist hands on.
_CAUSE = "edge_cause"


def show_verdicts(raised: BaseException, verdicts: Iterable[Verdict]) -> None:
    """Have a failed assertion of verdicts (``assert verdict, verdict``) say their messages instead of their reprs."""
    if not (isinstance(raised, AssertionError) and raised.args and isinstance(raised.args[0], str)):
        return
    text = raised.args[0]
    for verdict in verdicts:
        text = text.replace(f"{verdict!r}\nassert {verdict!r}", str(verdict)).replace(repr(verdict), verdict.message)
    raised.args = (text, *raised.args[1:])


def drop_prefix(report: pytest.TestReport) -> None:
    """Leave ``AssertionError: `` out where there is room for few words: pytest's short summary, JUnit's message."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = crash.message.removeprefix("AssertionError: ")


def show_error(report: pytest.TestReport, raised: EdgeworthyError, cell: CellId | None, place: int) -> None:
    """Show message and hint, and note them as the cause that other tests may share; ``place`` is the test's in the run."""
    report.longrepr = str(raised)
    setattr(report, _CAUSE, [place, str(cell or ""), str(raised)])


class SharedCauses:
    """While the failures are listed, each cause is there once: with its first test, and the number of the others.

    Under xdist reports come in any order; that of the tests counts.
    """

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._stats = reporter.stats

    def listed_once(self) -> Generator[None, object, object]:
        """Take the other tests out of pytest's lists while it writes them; its counts need them afterwards."""
        outcomes = [outcome for outcome in ("failed", "error") if outcome in self._stats]
        kept: dict[str, list[Any]] = {outcome: list(self._stats[outcome]) for outcome in outcomes}
        sharing: dict[str, list[pytest.TestReport]] = {}
        caused = [report for reports in kept.values() for report in reports if hasattr(report, _CAUSE)]
        for report in sorted(caused, key=lambda report: getattr(report, _CAUSE)[0]):
            sharing.setdefault(getattr(report, _CAUSE)[2], []).append(report)
        hidden = {id(report) for reports in sharing.values() for report in reports[1:]}
        for outcome, reports in kept.items():
            self._stats[outcome] = [report for report in reports if id(report) not in hidden]
        for text, reports in sharing.items():
            if len(reports) > 1:
                reports[0].longrepr = f"{text}\n{_others(reports)}"
        try:
            return (yield)
        finally:
            self._stats.update(kept)


def _others(reports: list[pytest.TestReport]) -> str:
    """``The same in 29 more tests, 30 in all, of 10 cells: a, b, c, d ...``."""
    cells = list(dict.fromkeys(cell for report in reports if (cell := getattr(report, _CAUSE)[1])))
    return f"This is why {plural(len(reports), 'test')} of {plural(len(cells), 'cell')} failed: {first_of(cells)}"
