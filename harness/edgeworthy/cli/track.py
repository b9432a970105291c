"""``edgeworthy track``: log a run to MLflow."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeworthy.cli.options import RunArgument
from edgeworthy.reports.tracking import shown_address, track_run
from edgeworthy.runs.run import Run


def track(
    run: RunArgument,
    to: Annotated[
        str,
        typer.Option(
            "--to", envvar="MLFLOW_TRACKING_URI", metavar="URI", help="MLflow's server, or sqlite:///FILE of your own"
        ),
    ],
    experiment: Annotated[str, typer.Option(help="the experiment there; made where there is none")] = "edgeworthy",
) -> None:
    """Log a finished run to MLflow, with a run below it for each cell; what it has of the same run is replaced."""
    opened = Run.open(run)
    made = track_run(opened, to, experiment)
    print(f"{opened.name} is run {made} of {shown_address(to)}")
