"""``edgeworthy profile``: the time of every op of a cell."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgeworthy.cli.diagnose import chosen_cell, say
from edgeworthy.cli.options import DevicesOption, ModelsOption
from edgeworthy.cli.short_bench import short_bench
from edgeworthy.errors import ConfigError
from edgeworthy.measurements.project import Project
from edgeworthy.targets.op_times import INTERVALS
from edgeworthy.text import printable

if TYPE_CHECKING:
    import pandas as pd

WIDEST = 1000


def profile(
    cell: Annotated[str, typer.Argument(help="MODEL/VARIANT/DEVICE:BACKEND, or MODEL/VARIANT for its first target")],
    models: ModelsOption,
    devices: DevicesOption,
    csv: Annotated[bool, typer.Option("--csv", help="print all columns as CSV")] = False,
) -> None:
    """Time every op of a variant where it runs, with intervals over reloads where the artifact is loaded several times."""
    model, variant, target = _parts(cell)
    project = Project.load(models, devices)
    chosen = chosen_cell(project, model, variant, target)
    with short_bench(project, [chosen], say) as bench:
        found = bench.profile(chosen)
    if csv:
        found.to_csv(sys.stdout, index=False)
    else:
        _show(str(chosen), found)


def _parts(cell: str) -> tuple[str, str, str]:
    """Model, variant and target, which may be left out. Raises ConfigError."""
    model, variant, target = [*cell.split("/", 2), "", ""][:3]
    if not (model and variant):
        raise ConfigError(
            f"{cell!r} names no cell", hint="write MODEL/VARIANT/DEVICE:BACKEND; 'edgeworthy models' lists them"
        )
    return model, variant, target


def _show(title: str, found: pd.DataFrame) -> None:
    """One line for each op."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("part", "op", "ms", "95 % interval", "share", "calls", "name"):
        table.add_column(heading, justify="left" if heading in ("part", "op", "name") else "right", no_wrap=True)
    for row in found.to_dict("records"):
        time, interval = f"{row['mean_ms']:.4g}", ""
        if INTERVALS.keys() <= row.keys():
            time, interval = f"{row['median_ms']:.4g}", f"{row['low_ms']:.4g} to {row['high_ms']:.4g}"
        numbers = (time, interval, f"{row['percent']:.1f} %", f"{row['times_called']:g}")
        table.add_row(*(Text(printable(str(each))) for each in (row["part"], row["node_type"], *numbers, row["name"])))
    Console(highlight=False, width=WIDEST).print(table)  # whoever looks for a node needs its whole name
