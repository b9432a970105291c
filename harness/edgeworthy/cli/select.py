"""``edgeworthy select``: what may ship on a target, from measured results alone."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeworthy.cli.options import RunOption
from edgeworthy.errors import ConfigError
from edgeworthy.reports.frames import load_run
from edgeworthy.reports.selection import Choice, choices


def select(
    target: Annotated[str, typer.Option(help="device:backend of the run")],
    run: RunOption,
    max_latency_ms: Annotated[float | None, typer.Option(min=0, help="median time of one inference")] = None,
    min_accuracy: Annotated[float | None, typer.Option(min=0, max=100, help="top-1 accuracy, percent")] = None,
    max_size_mb: Annotated[float | None, typer.Option(min=0, help="size of the file, 1 MB = 1,000,000 bytes")] = None,
    model: Annotated[list[str] | None, typer.Option(help="only this model (may be repeated)")] = None,
) -> None:
    """Choose a variant from the numbers of a run; exit status 1 where none of some model fits."""
    if min_accuracy is not None and 0 < min_accuracy <= 1:
        raise ConfigError(
            f"--min-accuracy {min_accuracy:g} is a percentage: {min_accuracy:g} % would accept almost anything",
            hint=f"did you mean --min-accuracy {100 * min_accuracy:g}?",
        )
    size_kb = None if max_size_mb is None else max_size_mb * 1000
    given = {"max_p50_ms": max_latency_ms, "min_top1_percent": min_accuracy, "max_size_kb": size_kb}
    limits = {name: value for name, value in given.items() if value is not None}
    found = choices(load_run(run), target, limits, model or [])
    print(f"from run {run.resolve().name}, measured on {target}:")
    for choice in found:
        print("\n".join(_lines(choice)))
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
        return f"{choice.model}: no measured variant fits; none was measured here"
    why = nearest.broken() or f"{nearest.status}: {nearest.message}"
    return f"{choice.model}: no measured variant fits; the nearest is {nearest.cell.variant}: {why}"
