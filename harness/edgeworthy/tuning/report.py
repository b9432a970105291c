"""The result of a search, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from edgeworthy.diagnosis.records import variant_yaml
from edgeworthy.reports.columns import number
from edgeworthy.reports.page import blank_page, text_of
from edgeworthy.text import one_line
from edgeworthy.tuning.choice import Tried, pareto_front, recommended

HEADERS = ("", "variant", "recipe", "KB", "accuracy", "lost", "p50 ms", "failed on")
#: The reason is cut here; the next run of the suite shows it in full.
WHY_LENGTH = 110


def terminal(tried: Sequence[Tried], model: str, target: str, color: bool) -> str:
    """Every candidate, those of the Pareto front first and marked, and the recommended one to paste."""
    front = pareto_front(tried)
    table = Table(*HEADERS, box=None, pad_edge=False)
    for column in table.columns[3:7]:
        column.justify = "right"
    for one in sorted(tried, key=lambda one: (one not in front, bool(one.against), one.cost if one.fits else 0)):
        table.add_row("*" if one in front else "", *map(Text, _cells(one)))
    page = blank_page(color)
    page.print(Text(_title(tried, front, model, target)), soft_wrap=True)
    page.print(table)
    page.print(Text(_recommendation(recommended(tried), model)), soft_wrap=True)
    return text_of(page)


def _title(tried: Sequence[Tried], front: Sequence[Tried], model: str, target: str) -> str:
    fitting = sum(one.fits for one in tried)
    return (
        f"{model} on {target}: {len(tried)} variants tried, {fitting} within budget,"
        f" {len(front)} on the Pareto front of size, latency and accuracy (*)"
    )


def _recommendation(best: Tried | None, model: str) -> str:
    if best is None:
        return "\nno tried variant keeps all budgets: relax one with a reason, or allow more minutes"
    candidate = best.candidate
    if candidate.own:
        return f"\nrecommended: {candidate.name}, which models.yaml has"
    entry = variant_yaml(candidate.name, candidate.recipe, candidate.variant.options)
    return f"\nrecommended, for the variants of {model} in models.yaml:\n\n{entry}"


def _cells(one: Tried) -> tuple[str, ...]:
    why = one_line(one.against)
    return (
        one.candidate.name,
        one.candidate.recipe,
        number(one.size_kb, 1),
        number(one.accuracy, 2),
        number(one.lost, 2),
        number(one.p50_ms, 4),
        why if len(why) <= WHY_LENGTH else f"{why[:WHY_LENGTH]}...",
    )
