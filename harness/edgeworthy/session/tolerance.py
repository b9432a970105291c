"""Before a comparison: a tolerance that the noise of a target hides is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from edgeworthy.cells import CellId
from edgeworthy.errors import DeviceError
from edgeworthy.measurements.project import Project
from edgeworthy.session.settings import Settings
from edgeworthy.targets.open_targets import Targets
from edgeworthy.verdicts.noise import check_tolerance, noise_path


def check_tolerances(settings: Settings, project: Project, cells: Sequence[CellId]) -> None:
    """Hold the tolerance of latency against the noise studies of the cells' targets, where there are any.

    A device that cannot be asked says so with its cells. Raises ConfigError where the noise is larger.
    """
    results, percent = settings.results, project.models.regression.latency_percent
    with contextlib.closing(Targets(project.devices, project.devices_base)) as targets:
        for target in dict.fromkeys(cell.target for cell in cells):
            if noise_path(results, target).is_file():
                with contextlib.suppress(DeviceError):
                    check_tolerance(results, target, targets[target].identity(), percent)
