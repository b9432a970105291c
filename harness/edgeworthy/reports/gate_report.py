"""The gate's result: JUnit XML for a CI system, text for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from edgeworthy.judging.gate import NOT_JUDGED, PASSED, REGRESSED, GateResult
from edgeworthy.metrics import COMPARED
from edgeworthy.records import RED_STATUSES, Change, Verdict
from edgeworthy.runs.verdict_log import STATUSES
from edgeworthy.text import one_line
from edgeworthy.verdicts.sides import WORDS

TITLES = {
    PASSED: "passed",
    REGRESSED: "failed: something regressed, is missing or exceeds its budget",
    NOT_JUDGED: "incomplete: some cells could not be judged",
}
_EXPLAINED = (*RED_STATUSES, "waived")


def counted(changes: Iterable[Change]) -> str:
    """``1 regressed, 2 improved, 21 unchanged``."""
    found = Counter(change.status for change in changes)
    return ", ".join(f"{found[status]} {status}" for status in WORDS if found[status]) or "nothing to compare"


def text(result: GateResult) -> str:
    """For a terminal: the verdict, then message and hint for every cell that did not pass."""
    lines = [f"gate {TITLES[result.status]}: {one_line(result.run)} against {one_line(result.baseline)}"]
    lines += [f"cells: {counted_cells(result.verdicts)}", f"metrics: {counted(result.changes)}"]
    for verdict in explained(result):
        lines.append(one_line(f"{verdict.status} {verdict.cell} {verdict.axis}: {verdict.message}"))
        if verdict.hint:
            lines.append(f"    hint: {one_line(verdict.hint)}")
    lines += map(one_line, (*(f"fail: {said}" for said in result.troubles), *result.notes))
    return "\n".join(lines) + "\n"


def junit(result: GateResult) -> bytes:
    """A test case per cell and axis, and one per trouble; waived and refused ones are skipped."""
    suite = TestSuite("edgeworthy gate")
    for verdict in result.verdicts:
        model = xml_text(verdict.cell.model)
        case = TestCase(xml_text(f"{verdict.axis}[{verdict.cell}]"), classname=f"edgeworthy.{model}")
        case.result = _result(verdict)
        suite.add_testcase(case)
    for number, said in enumerate(result.troubles):
        case = TestCase(f"run[{number}]", classname="edgeworthy.run")
        case.result = [Failure(xml_text(said))]
        suite.add_testcase(case)
    suite.update_statistics()  # type: ignore[no-untyped-call]
    report = JUnitXml("edgeworthy")
    report.add_testsuite(suite)
    # Not update_statistics: it also writes an attribute that the schema of JUnit's readers has in the suites alone.
    report.tests, report.failures, report.errors = suite.tests, suite.failures, suite.errors
    written: bytes = report.tostring()  # type: ignore[no-untyped-call]
    return written


def explained(result: GateResult) -> list[Verdict]:
    """The verdicts that did not pass, worst first."""
    found = [verdict for verdict in result.verdicts if verdict.status in _EXPLAINED]
    return sorted(found, key=lambda verdict: STATUSES.index(verdict.status))


def worst_first(changes: Iterable[Change]) -> list[Change]:
    """In the order of WORDS."""
    return sorted(changes, key=lambda change: WORDS.index(change.status))


def row(change: Change) -> tuple[str, ...]:
    """Status, cell, metric, before, after, evidence."""
    shown = COMPARED[change.metric].shown
    before, after = ("" if value is None else shown(value) for value in (change.before, change.after))
    return change.status, str(change.cell), change.metric, before, after, change.evidence


def xml_text(said: str) -> str:
    """Without the characters that XML 1.0 forbids."""
    return one_line(said)


def _result(verdict: Verdict) -> list[FinalResult]:
    said = xml_text(f"{verdict.message}{f' Hint: {verdict.hint}' if verdict.hint else ''}")
    if verdict.status == "fail":
        return [Failure(said, type_=xml_text(verdict.axis))]
    if verdict.status == "error":
        return [Error(said, type_=xml_text(verdict.axis))]
    return [] if verdict.status == "pass" else [Skipped(said)]


def counted_cells(verdicts: Sequence[Verdict]) -> str:
    """``1 fail, 5 pass``: each cell by its worst axis."""
    worst: dict[object, str] = {}
    for verdict in verdicts:
        before = worst.get(verdict.cell, "pass")
        worst[verdict.cell] = min(before, verdict.status, key=STATUSES.index)
    found = Counter(worst.values())
    return ", ".join(f"{found[status]} {status}" for status in STATUSES if found[status]) or "none"
