"""The gate's result as markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from edgeworthy.judging.gate import GateResult
from edgeworthy.reports.ci.findings import Finding
from edgeworthy.reports.ci.places import Place
from edgeworthy.reports.gate_report import TITLES, counted, counted_cells, explained
from edgeworthy.reports.summary import escape_markdown, quoted_markdown

_HEADERS = ("status", "cell", "metric", "baseline", "run", "change", "limit", "evidence")


@dataclass(frozen=True)
class Links:
    """Addresses: of what ran the gate, of the repository's ``files`` at the judged revision, and of the run's ``report``."""

    run: str = ""
    files: str = ""
    report: str = ""

    def line(self, place: Place) -> str:
        """The address of a line of models.yaml; empty where files have none."""
        return f"{self.files}/{quote(place.path)}#L{place.line}" if self.files else ""


def markdown(result: GateResult, found: Sequence[Finding], links: Links) -> str:
    """Result and links, failures with their hints, then each finding with its numbers; unchanged metrics are only counted."""
    lines = [f"## edgeworthy: {TITLES[result.status]}", ""]
    named = (("this run in CI", links.run), ("the run's report", links.report))
    addresses = "".join(f" [{name}]({address})" for name, address in named if address)
    lines += [f"Run {quoted_markdown(result.run)} against {quoted_markdown(result.baseline)}.{addresses}", ""]
    lines += [f"Cells: {counted_cells(result.verdicts)}. Metrics: {counted(result.changes)}.", ""]
    lines += [f"- **fail** {escape_markdown(said)}" for said in result.troubles]
    for verdict in explained(result):
        step = f" _Hint:_ {quoted_markdown(verdict.hint)}" if verdict.hint else ""
        lines.append(
            f"- **{verdict.status}** {quoted_markdown(str(verdict.cell))} {escape_markdown(verdict.axis)}: "
            f"{escape_markdown(verdict.message)}{step}"
        )
    lines += [f"- {escape_markdown(note)}" for note in result.notes]
    rows = [_row(finding, links) for finding in found if finding.cell]
    if rows:
        lines += ["", f"| {' | '.join(_HEADERS)} |", "| --- | --- | --- | ---: | ---: | ---: | --- | --- |", *rows]
    return "\n".join(lines) + "\n"


def _row(finding: Finding, links: Links) -> str:
    limit, address = escape_markdown(finding.limit), links.line(finding.place)
    if address:
        limit = f"[{limit}]({address})"
    before = (finding.status, finding.who, finding.name, finding.before, finding.after, finding.difference)
    return f"| {' | '.join(map(escape_markdown, before))} | {limit} | {finding.evidence} |"
