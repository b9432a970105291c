"""Options that commands share; where they are not given, the ini values of pytest hold, as they do for a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeworthy.config import parse_limits
from edgeworthy.pytest_ini import ini_path


def _from_ini(flag: str, what: str, ini: str) -> Any:
    """An option for a path that is, where it is not given, the one of that ini value."""
    return typer.Option(
        flag,
        default_factory=partial(ini_path, ini),
        show_default=False,
        help=f"{what}; default: pytest's ini value {ini}",
    )


def _latest() -> Path:
    return ini_path("edge_results") / "latest"


ModelsOption = Annotated[Path, _from_ini("--models", "path of models.yaml", "edge_models")]
DevicesOption = Annotated[Path, _from_ini("--devices", "path of devices.yaml", "edge_devices")]
ResultsOption = Annotated[Path, _from_ini("--results", "path of the runs' folder", "edge_results")]
FolderOption = Annotated[
    Path, _from_ini("--folder", "folder of the baselines, below the working directory", "edge_baselines")
]
RunArgument = Annotated[
    Path, typer.Argument(default_factory=_latest, show_default=False, help="a run's folder; default: the newest run")
]
RunOption = Annotated[
    Path,
    typer.Option("--run", default_factory=_latest, show_default=False, help="a run's folder; default: the newest run"),
]

BudgetOptions = Annotated[
    list[str] | None,
    typer.Option("--budget", metavar="NAME=VALUE", help="a limit for every selected cell (may be repeated)"),
]


def limits_of(budgets: list[str] | None) -> dict[str, float]:
    """The limits that the options ``--budget`` give. Raises ConfigError for one that does not exist, or a wrong value."""
    return parse_limits(budgets or (), "--budget")


def _globs(what: str) -> Any:
    return typer.Option(metavar="GLOB", help=f"only {what} that match (may be repeated)")


ModelGlobs = Annotated[list[str] | None, _globs("models")]
VariantGlobs = Annotated[list[str] | None, _globs("variants")]
TargetGlobs = Annotated[list[str] | None, _globs("targets")]
