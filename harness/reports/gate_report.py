"""What the gate says of a run: markdown for a pull request, JUnit XML for a CI system, text for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from harness.records import RED_OUTCOMES, Change, Verdict
from harness.reports.summary import escape_markdown, printable
from harness.verdicts.gate import NOT_JUDGED, PASSED, REGRESSED, GateResult
from harness.verdicts.log import OUTCOMES
from harness.verdicts.regression import METRICS, WORDS

SAID = {
    PASSED: "passed",
    REGRESSED: "failed: something is worse, gone or over its budget",
    NOT_JUDGED: "could not judge all of it",
}
_EXPLAINED = (*RED_OUTCOMES, "waived")


def counted(changes: Iterable[Change]) -> str:
    """``1 regressed, 2 improved, 21 unchanged``."""
    found = Counter(change.word for change in changes)
    return ", ".join(f"{found[word]} {word}" for word in WORDS if found[word]) or "nothing to compare"


def text(result: GateResult) -> str:
    """For a terminal: the verdict, then a sentence and a next step for every cell that did not simply pass."""
    lines = [f"gate {SAID[result.status]}: {result.run} against {result.baseline}"]
    lines += [f"cells: {_cells(result.verdicts)}", f"metrics: {counted(result.changes)}"]
    for verdict in explained(result):
        lines.append(f"{verdict.outcome} {verdict.cell} {verdict.axis}: {printable(verdict.sentence)}")
        if verdict.next_step:
            lines.append(f"    next: {printable(verdict.next_step)}")
    return "\n".join([*lines, *(f"red: {said}" for said in result.troubles), *result.notes]) + "\n"


def markdown(result: GateResult) -> str:
    """For a pull request: what is red first, then what changed; what is unchanged is only counted."""
    lines = [f"## edgegate: {SAID[result.status]}", ""]
    lines += [f"Run `{result.run}` against `{result.baseline}`.", ""]
    lines += [f"Cells: {_cells(result.verdicts)}. Metrics: {counted(result.changes)}.", ""]
    lines += [f"- **red** {escape_markdown(said)}" for said in result.troubles]
    for verdict in explained(result):
        step = f" _Next:_ `{printable(verdict.next_step).replace('`', '')}`" if verdict.next_step else ""
        lines.append(
            f"- **{verdict.outcome}** `{verdict.cell}` {verdict.axis}: {escape_markdown(verdict.sentence)}{step}"
        )
    lines += [f"- {escape_markdown(note)}" for note in result.notes]
    moved = worst_first(change for change in result.changes if change.word != "unchanged")
    if moved:
        lines += ["", "| word | cell | metric | baseline | run | evidence |", "| --- | --- | --- | ---: | ---: | --- |"]
        lines += ["| " + " | ".join(map(escape_markdown, row(change))) + " |" for change in moved]
    return "\n".join(lines) + "\n"


def junit(result: GateResult) -> bytes:
    """A test case per cell and axis, and one per trouble; waived and refused ones are skipped."""
    suite = TestSuite("edgegate gate")
    for verdict in result.verdicts:
        case = TestCase(f"{verdict.axis}[{verdict.cell}]", classname=f"edgegate.{verdict.cell.model}")
        case.result = _result(verdict)
        suite.add_testcase(case)
    for number, said in enumerate(result.troubles):
        case = TestCase(f"run[{number}]", classname="edgegate.run")
        case.result = [Failure(xml_text(said))]
        suite.add_testcase(case)
    suite.update_statistics()  # type: ignore[no-untyped-call]
    report = JUnitXml("edgegate")
    report.add_testsuite(suite)
    report.update_statistics()  # type: ignore[no-untyped-call]
    written: bytes = report.tostring()  # type: ignore[no-untyped-call]
    return written


def explained(result: GateResult) -> list[Verdict]:
    """The verdicts that did not simply pass, worst first."""
    found = [verdict for verdict in result.verdicts if verdict.outcome in _EXPLAINED]
    return sorted(found, key=lambda verdict: OUTCOMES.index(verdict.outcome))


def worst_first(changes: Iterable[Change]) -> list[Change]:
    """In the order of WORDS."""
    return sorted(changes, key=lambda change: WORDS.index(change.word))


def row(change: Change) -> tuple[str, ...]:
    """Word, cell, metric, before, after, evidence."""
    shown = METRICS[change.metric].shown
    before, after = ("" if value is None else shown(value) for value in (change.before, change.after))
    return change.word, str(change.cell), change.metric, before, after, change.evidence


def xml_text(said: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return printable(said)


def _result(verdict: Verdict) -> list[FinalResult]:
    said = xml_text(f"{verdict.sentence}{f' Next: {verdict.next_step}' if verdict.next_step else ''}")
    if verdict.outcome == "fail":
        return [Failure(said, type_=verdict.axis)]
    if verdict.outcome == "error":
        return [Error(said, type_=verdict.axis)]
    return [] if verdict.outcome == "pass" else [Skipped(said)]


def _cells(verdicts: Sequence[Verdict]) -> str:
    worst: dict[object, str] = {}
    for verdict in verdicts:
        before = worst.get(verdict.cell, "pass")
        worst[verdict.cell] = min(before, verdict.outcome, key=OUTCOMES.index)
    found = Counter(worst.values())
    return ", ".join(f"{found[outcome]} {outcome}" for outcome in OUTCOMES if found[outcome]) or "none"
