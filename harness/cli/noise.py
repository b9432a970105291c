"""``edgegate noise``: measure what a target's own noise hides."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import ConfigError
from harness.measurements.bench import Bench
from harness.measurements.in_turn import Enough, time_in_turn
from harness.measurements.project import Project, Selection
from harness.records import CellId, PairedTiming
from harness.storage import open_store
from harness.targets.base import Side
from harness.targets.device_lock import alone_on_host, device_lock
from harness.verdicts.noise import FORMAT_VERSION, ModelNoise, Noise, Study, save_noise


def noise(
    target: Annotated[str, typer.Option(help="device:backend of devices.yaml")],
    models: Annotated[Path, typer.Option("--models", help="path of models.yaml")] = Path("benchmarks/models.yaml"),
    devices: Annotated[Path, typer.Option("--devices", help="path of devices.yaml")] = Path("devices.yaml"),
    results: Annotated[Path, typer.Option(help="folder of the runs; the study goes below it")] = Path("results"),
    trials: Annotated[int, typer.Option(min=1, help="comparisons of each kind, for each model")] = 10,
    max_seconds: Annotated[float, typer.Option(min=1, help="time limit of one comparison")] = 10.0,
) -> None:
    """Measure a target's false-alarm rate and the smallest slowdown that it can show; takes minutes."""
    project = Project.load(models, devices)
    cells = _references(project, target)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(project, open_store(Path(".edgegate")), Path(folder), cells, print)
        try:
            found = {cell.model: _study(bench, cell, trials, max_seconds) for cell in cells}
            study = Noise(
                version=FORMAT_VERSION, target=target, fingerprint=bench.targets[target].identity(), models=found
            )
        finally:
            bench.close()
    print(study.sentence())
    print(f"wrote {save_noise(results, study)}")


def _references(project: Project, target: str) -> list[CellId]:
    """The reference of every model that runs on the target."""
    cells = project.cells(Selection(targets=[target]))
    found = [cell for cell in cells if cell.variant == project.models.models[cell.model].reference]
    if not found:
        raise ConfigError(f"--target {target}: no model's reference runs there", next_step="choose another target")
    return found


def _study(bench: Bench, cell: CellId, trials: int, max_seconds: float) -> ModelNoise:
    project = bench.project
    artifact, inputs = bench.artifact(cell.model, cell.variant), bench.dataset(cell.model).samples("evaluation")
    device = bench.targets[cell.target]

    def measure(burden_ns: int, enough: Enough) -> PairedTiming:
        with device_lock(project.device(cell.target).connection, print), alone_on_host():
            return time_in_turn(device, Side(artifact), Side(artifact, burden_ns), inputs, enough, max_seconds)

    return Study(measure, trials, lambda text: print(f"{cell}: {text}", flush=True)).run()
