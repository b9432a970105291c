"""``edgeworthy noise``: measure the smallest slowdown that a target's noise does not hide."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeworthy.cells import CellId, CellSelector
from edgeworthy.cli.options import DevicesOption, ModelsOption, ResultsOption
from edgeworthy.cli.short_bench import short_bench
from edgeworthy.errors import ConfigError
from edgeworthy.measurements.bench import Bench
from edgeworthy.measurements.interleaved import Enough, time_interleaved
from edgeworthy.measurements.project import Project
from edgeworthy.records import PairedTiming
from edgeworthy.targets.base import Side
from edgeworthy.targets.device_lock import device_lock, exclusive_host
from edgeworthy.verdicts.noise import FORMAT_VERSION, ModelNoise, Noise, Study, save_noise


def noise(
    target: Annotated[str, typer.Option(help="device:backend of devices.yaml")],
    models: ModelsOption,
    devices: DevicesOption,
    results: ResultsOption,
    trials: Annotated[int, typer.Option(min=1, help="comparisons of each kind, for each model")] = 10,
    max_seconds: Annotated[float, typer.Option(min=1, help="time limit of one comparison")] = 10.0,
) -> None:
    """Measure a target's false-alarm rate and the smallest slowdown that it can detect; takes minutes."""
    project = Project.load(models, devices)
    cells = _references(project, target)
    with short_bench(project, cells, print) as bench:
        found = {cell.model: _study(bench, cell, trials, max_seconds) for cell in cells}
        study = Noise(version=FORMAT_VERSION, target=target, fingerprint=bench.targets[target].identity(), models=found)
    print(study.message())
    print(f"wrote {save_noise(results, study)}")


def _references(project: Project, target: str) -> list[CellId]:
    """The reference of every model that runs on the target."""
    cells = project.cells(CellSelector(targets=[target]))
    found = [cell for cell in cells if cell.variant == project.models.models[cell.model].reference]
    if not found:
        raise ConfigError(f"--target {target}: no model's reference runs there", hint="choose another target")
    return found


def _study(bench: Bench, cell: CellId, trials: int, max_seconds: float) -> ModelNoise:
    project = bench.project
    artifact, inputs = bench.artifact(cell.model, cell.variant), bench.dataset(cell.model).samples("evaluation")
    device = bench.targets[cell.target]

    def measure(injected_delay_ns: int, enough: Enough) -> PairedTiming:
        with device_lock(project.device(cell.target).connection, print), exclusive_host():
            return time_interleaved(
                device, Side(artifact), Side(artifact, injected_delay_ns), inputs, enough, max_seconds
            )

    return Study(measure, trials, lambda text: print(f"{cell}: {text}", flush=True)).run()
