"""What an accelerator makes of a graph: the artifact with every float tensor as an output, on the processor and on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.cells import CellId
from edgeworthy.datasets.samples import Samples
from edgeworthy.diagnosis.diagnose import evaluation_samples, spread
from edgeworthy.diagnosis.graph import Graph
from edgeworthy.diagnosis.records import OnAccelerator, OpError
from edgeworthy.diagnosis.trace import opened
from edgeworthy.measurements.bench import Bench
from edgeworthy.records import Artifact, Outputs
from edgeworthy.targets.base import Job
from edgeworthy.targets.device_lock import device_lock
from edgeworthy.targets.runner_target import RunnerTarget
from edgeworthy.temporary import temporary_folder

#: An inference with every tensor as an output takes seconds where the accelerator is emulated.
SAMPLES = 2
#: An op goes wrong where its error is so much of its largest value, and so many times that of its inputs.
WRONG_PERCENT, TIMES_INPUTS = 10.0, 4.0


def on_accelerator(bench: Bench, cell: CellId) -> OnAccelerator:
    """Compare the cell's target with the processor, op by op. Raises EdgeworthyError, where it cannot be run there too."""
    artifact = bench.artifact(cell.model, cell.variant)
    graph = opened(
        artifact.runtime.name, artifact.path, artifact.layout, tuple(artifact.inputs.values()), artifact.outputs
    )
    with temporary_folder() as folder:
        path = folder / f"exposed{artifact.path.suffix}"
        names = graph.expose(path)
        inputs = dict(zip(artifact.inputs, graph.graph.inputs, strict=False))  # none where there is a single one
        job = _job(bench, cell, replace(artifact, path=path, inputs=inputs, outputs=tuple(names)), folder)
        bench.progress(f"comparing {cell.target} with the processor, op by op")
        with device_lock(bench.project.device(cell.target).connection, bench.progress):
            here, there = bench.targets.reference.outputs(job), _target(bench, cell).outputs(job)
    ops = list(_errors(graph.graph, _named(here, names), _named(there, names)))
    wrong = (op for op in ops if op.error_percent > max(WRONG_PERCENT, TIMES_INPUTS * op.inputs_percent))
    return OnAccelerator(
        model=cell.model,
        variant=cell.variant,
        target=cell.target,
        samples=len(here.values),
        taken=there.delegation.taken if there.delegation else None,
        total=there.delegation.total if there.delegation else None,
        ops=tuple(ops),
        first=next(wrong, None),
    )


def _target(bench: Bench, cell: CellId) -> RunnerTarget:
    """The cell's target, which may leave nodes: with their tensors as outputs, ops are not fused as they were."""
    target = bench.targets[cell.target]
    assert isinstance(target, RunnerTarget)
    return target.with_fallback()


def _job(bench: Bench, cell: CellId, artifact: Artifact, folder: Path) -> Job:
    samples = evaluation_samples(bench, cell)
    np.save(folder / "samples.npy", spread(samples, SAMPLES))
    few = Samples(folder / "samples.npy", (), samples.inputs)
    timeouts, seed = bench.project.models.timeouts, bench.project.models.models[cell.model].random_seed
    return Job(artifact, few, timeouts.cell_s, seed)


def _named(outputs: Outputs, names: list[str]) -> dict[str, NDArray[np.float32]]:
    """Each tensor's values (samples, ...)."""
    ends = np.cumsum([math.prod(shape) for shape in outputs.shapes])
    return dict(zip(names, np.split(outputs.values, ends[:-1], axis=1), strict=True))


def _errors(graph: Graph, here: Mapping[str, NDArray[Any]], there: Mapping[str, NDArray[Any]]) -> Iterator[OpError]:
    """Of every op with a float output, in the order of execution; tensors that are no floats carry their inputs' errors on."""
    errors = {name: _percent(here[name], there[name]) for name in here}
    reach = {name: float(np.abs(values).max(initial=0.0)) for name, values in here.items()}
    for node in graph.nodes:
        inputs = max((errors.get(name, 0.0) for name in node.inputs), default=0.0)
        for tensor in node.outputs:
            if tensor in here:
                widest = max((reach.get(name, 0.0) for name in node.inputs), default=0.0)
                yield OpError(
                    op=node.op,
                    name=node.name,
                    tensor=tensor,
                    error_percent=errors[tensor],
                    inputs_percent=inputs,
                    inputs_reach=widest,
                )
            else:
                errors[tensor] = inputs


def _percent(exact: NDArray[Any], found: NDArray[Any]) -> float:
    """The largest error over the largest value, in percent; at most what the two can differ by in sign."""
    largest = float(np.abs(exact).max(initial=0.0))
    error = float(np.abs(np.nan_to_num(found - exact, nan=np.inf)).max(initial=0.0))
    if not error:
        return 0.0
    return 100.0 * min(error / largest, 1e6) if largest else 1e8
