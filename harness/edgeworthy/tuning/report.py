"""The result of a search, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from edgeworthy.diagnosis.records import variant_yaml
from edgeworthy.metrics import METRICS, Quality
from edgeworthy.reports.columns import number
from edgeworthy.reports.page import blank_page, text_of
from edgeworthy.text import json_text, one_line
from edgeworthy.tuning.choice import Tried, pareto_front, recommended

#: The reason is cut here; the next run of the suite shows it in full.
WHY_LENGTH = 110


def as_json(tried: Sequence[Tried], model: str, target: str, judged_by: Quality) -> str:
    """Every candidate with its numbers, the names of those on the Pareto front, and of the recommended one or null."""
    best = recommended(tried)
    found = {
        "model": model,
        "target": target,
        "metric": judged_by.name,
        "tried": [one.plain(judged_by) for one in tried],
        "pareto_front": [one.candidate.name for one in pareto_front(tried)],
        "recommended": best and best.candidate.name,
    }
    return json_text(found)


def terminal(tried: Sequence[Tried], model: str, target: str, judged_by: Quality, color: bool) -> str:
    """Every candidate, those of the Pareto front first and marked, and the recommended one to paste."""
    front = pareto_front(tried)
    table = Table(*_headers(judged_by), box=None, pad_edge=False)
    for column in table.columns[3:7]:
        column.justify = "right"
    for one in sorted(tried, key=lambda one: (one not in front, bool(one.against), one.cost if one.fits else 0)):
        table.add_row("*" if one in front else "", *map(Text, _cells(one, judged_by)))
    page = blank_page(color)
    label = METRICS[judged_by.metric].label
    page.print(Text(_title(tried, front, f"{model} on {target}", label)), soft_wrap=True)
    page.print(table)
    page.print(Text(_recommendation(recommended(tried), model)), soft_wrap=True)
    return text_of(page)


def _headers(judged_by: Quality) -> tuple[str, ...]:
    unit = METRICS[judged_by.lost].unit.strip()
    lost = f"lost, {unit}" if unit else "lost"
    return "", "variant", "recipe", "KB", judged_by.header, lost, "p50 ms", "failed on"


def _title(tried: Sequence[Tried], front: Sequence[Tried], searched: str, label: str) -> str:
    fitting = sum(one.fits for one in tried)
    emulated = bool(front) and all(one.p50_ms is None for one in front)
    axes = f"size and {label}, no times are known" if emulated else f"size, latency and {label}"
    return f"{searched}: {len(tried)} variants tried, {fitting} within budget, {len(front)} on the Pareto front of {axes} (*)"


def _recommendation(best: Tried | None, model: str) -> str:
    if best is None:
        return "\nno tried variant keeps all budgets: relax one with a reason, or allow more minutes"
    candidate = best.candidate
    if candidate.own:
        return f"\nrecommended: {candidate.name}, which models.yaml has"
    entry = variant_yaml(candidate.name, candidate.recipe, candidate.variant.options)
    return f"\nrecommended, for the variants of {model} in models.yaml:\n\n{entry}"


def _cells(one: Tried, judged_by: Quality) -> tuple[str, ...]:
    why = one_line(one.against)
    return (
        one.candidate.name,
        one.candidate.recipe,
        number(one.size_kb, 1),
        number(one.quality, METRICS[judged_by.metric].digits),
        number(one.lost, METRICS[judged_by.lost].digits),
        number(one.p50_ms, 4),
        why if len(why) <= WHY_LENGTH else f"{why[:WHY_LENGTH]}...",
    )
