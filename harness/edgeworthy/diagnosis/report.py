"""A diagnosis for the terminal, and as markdown for a run's folder."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from edgeworthy.diagnosis.findings import layer_words
from edgeworthy.diagnosis.records import Diagnosis, LayerError, OnAccelerator, Traced
from edgeworthy.reports.page import blank_page, text_of
from edgeworthy.reports.summary import escape_markdown
from edgeworthy.text import digits, one_line

HEADERS = ("share %", "layer", "added dB", "total dB", "cause", "calibrated", "seen", "clipped %", "dead")
SHOWN = 12
OUTPUT_HEADERS = ("output", "error %", "dB", "caused by, % of its error")
#: Of each output.
BLAMED = 3


def terminal(diagnosis: Diagnosis, color: bool) -> str:
    """Findings, the layers that add most of the error, and the proposed variant."""
    page = blank_page(color)
    page.print(Text(title(diagnosis), "bold"))
    for finding in diagnosis.findings:
        page.print(Text.assemble("- ", one_line(finding.message)), soft_wrap=True)
        if finding.hint:
            page.print(Text(f"    hint: {one_line(finding.hint)}"), soft_wrap=True)
    if len(diagnosis.traced.outputs) > 1:
        page.print(_output_table(diagnosis.traced))
    table = Table(*HEADERS, box=None, pad_edge=False, title=_heading(diagnosis), title_justify="left")
    for column in (0, 2, 3, 7, 8):
        table.columns[column].justify = "right"
    for layer in diagnosis.ranked[:SHOWN]:
        table.add_row(*map(Text, _cells(layer)))
    page.print(table)
    if diagnosis.proposal:
        page.print(Text(f"\nproposed, for the variants of {diagnosis.model} in models.yaml:\n", "bold"))
        page.print(Text(diagnosis.proposal.yaml()), soft_wrap=True)
    return text_of(page)


def accelerator_text(found: OnAccelerator) -> str:
    """The finding, and the ops with the largest errors in the order of execution."""
    finding = found.finding
    lines = [
        f"{found.model}/{found.variant} on {found.target}, every op against the processor's, {found.samples} samples"
        + (f", {found.taken} of {found.total} nodes taken so" if found.total else ""),
        f"- {one_line(finding.message)}",
        *([f"    hint: {one_line(finding.hint)}"] if finding.hint else []),
    ]
    worst = sorted(found.ops, key=lambda op: -op.error_percent)[:SHOWN]
    lines += [f"{op.error_percent:10.3g} %  {one_line(op.words)}" for op in found.ops if op in worst]
    return "\n".join(lines) + "\n"


def markdown(diagnosis: Diagnosis) -> str:
    """The same, as GitHub-flavoured markdown."""
    lines = [f"## {escape_markdown(title(diagnosis))}", ""]
    for finding in diagnosis.findings:
        step = f" _Hint: {escape_markdown(finding.hint)}_" if finding.hint else ""
        lines.append(f"- {escape_markdown(finding.message)}{step}")
    traced = diagnosis.traced
    if len(traced.outputs) > 1:
        lines += ["", *_markdown_table(OUTPUT_HEADERS, [_output_cells(traced, i) for i in range(len(traced.outputs))])]
    lines += ["", _heading(diagnosis), ""]
    lines += _markdown_table(HEADERS, [_cells(layer) for layer in diagnosis.ranked[:SHOWN]])
    if diagnosis.proposal:
        lines += ["", f"Proposed, for the variants of {diagnosis.model} in models.yaml:", ""]
        lines += ["```yaml", diagnosis.proposal.yaml().rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(map(escape_markdown, row)) + " |" for row in rows]
    return ["| " + " | ".join(headers) + " |", "|" + " --- |" * len(headers), *lines]


def _output_table(traced: Traced) -> Table:
    table = Table(*OUTPUT_HEADERS, box=None, pad_edge=False, title="the outputs", title_justify="left")
    for column in (1, 2):
        table.columns[column].justify = "right"
    for place in range(len(traced.outputs)):
        table.add_row(*map(Text, _output_cells(traced, place)))
    return table


def _output_cells(traced: Traced, place: int) -> tuple[str, ...]:
    output, blamed = traced.outputs[place], traced.blamed_for(place)[:BLAMED]
    causes = (f"{layer_words(layer)} {layer.output_shares_percent[place]:.1f}" for layer in blamed)
    return output.name, f"{output.error_percent:.3g}", _db(output.sqnr_db), ", ".join(causes)


def title(diagnosis: Diagnosis) -> str:
    """Which cell, against what, on how many samples."""
    traced = diagnosis.traced
    same = f"agreement {traced.agreement_percent:.1f} %, " if diagnosis.classifies else ""
    return (
        f"{diagnosis.model}/{diagnosis.variant}/{diagnosis.target} ({diagnosis.recipe}) against {diagnosis.reference},"
        f" {traced.samples} samples: {same}{_outputs(traced)}"
    )


def _outputs(traced: Traced) -> str:
    worst = traced.outputs[traced.worst_output]
    of = f"worst of {len(traced.outputs)} outputs {worst.name}" if len(traced.outputs) > 1 else "output"
    return f"{of} {_db(worst.sqnr_db)} dB"


def _heading(diagnosis: Diagnosis) -> str:
    count = len(diagnosis.traced.layers)
    return f"{min(SHOWN, count)} of {count} layers, by their share of the error of the output"


def _cells(layer: LayerError) -> tuple[str, ...]:
    return (
        f"{layer.share_percent:.1f}",
        layer_words(layer),
        _db(layer.added_sqnr_db),
        _db(layer.sqnr_db),
        layer.cause if layer.share_percent > 0 else "",
        _ends(layer.calibrated) if layer.calibrated else "",
        _ends(layer.seen),
        f"{layer.saturated_percent:.1f}" if layer.calibrated else "",
        f"{layer.dead_channels}/{layer.channels}",
    )


def _ends(ends: tuple[float, float]) -> str:
    return f"{digits(ends[0])} to {digits(ends[1])}"


def _db(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f}"
