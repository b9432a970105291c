"""``edgeworthy select``: what may ship on a target, from measured results alone."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeworthy.cli.options import BudgetOptions, RunOption, limits_of
from edgeworthy.reports.frames import load_run
from edgeworthy.reports.selection import Choice, choices
from edgeworthy.text import json_text


def select(
    target: Annotated[str, typer.Option(help="device:backend of the run")],
    run: RunOption,
    budget: BudgetOptions = None,
    model: Annotated[list[str] | None, typer.Option(help="only this model (may be repeated)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the choice with all its numbers as JSON")] = False,
) -> None:
    """Choose a variant from the numbers of a run; exit status 1 where none of some model fits."""
    limits = limits_of(budget)
    found, name = choices(load_run(run), target, limits, model or []), run.resolve().name
    if as_json:
        answer = {"run": name, "target": target, "limits": limits, "models": [choice.plain() for choice in found]}
        print(json_text(answer))
    else:
        emulated = ", which is emulated: no times are known" if any(choice.emulated for choice in found) else ""
        print(f"from run {name}, measured on {target}{emulated}:")
        print("\n".join(line for choice in found for line in _lines(choice)))
    if not all(choice.fitting for choice in found):
        raise typer.Exit(1)


def _lines(choice: Choice) -> list[str]:
    lines = [_first(choice)]
    if choice.fitting:
        cell = choice.fitting[0].cell
        lines.append(f"    take it: edgeworthy export {cell.model} {cell.variant} --target {cell.target}")
    lines += [f"    also fits: {other.cell.variant}: {other.numbers()}" for other in choice.fitting[1:]]
    lines += [
        f"    within the limits, but {other.status}: {other.cell.variant}: {other.message}" for other in choice.rejected
    ]
    lines += [f"    unknown: {variant}: {why}" for variant, why in choice.unknown.items()]
    return lines


def _first(choice: Choice) -> str:
    if choice.fitting:
        best = choice.fitting[0]
        open_ = [check.message() for check in best.checks if check.evidence == "inconclusive"]
        doubt = f" (inconclusive: {'; '.join(open_)})" if open_ else ""
        return f"{choice.model}: {best.cell.variant}: {best.numbers()}{doubt}"
    nearest = choice.nearest
    if nearest is None:
        return f"{choice.model}: no variant fits; none has all the numbers that are asked for"
    why = nearest.broken() or f"{nearest.status}: {nearest.message}"
    return f"{choice.model}: no measured variant fits; the nearest is {nearest.cell.variant}: {why}"
