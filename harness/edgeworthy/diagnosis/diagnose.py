"""Diagnose a cell: its artifact and the float one are run side by side in a child process, once; the rest is reading."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edgeworthy.cells import CellId
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import CpuBackend, HostDevice, RunnerBackend
from edgeworthy.diagnosis.findings import Facts, calibrated_otherwise, find
from edgeworthy.diagnosis.proposal import propose
from edgeworthy.diagnosis.records import Diagnosis, Traced
from edgeworthy.errors import DiagnosisError
from edgeworthy.judging import axes
from edgeworthy.measurements.bench import Bench
from edgeworthy.measurements.project import Project
from edgeworthy.model_schema import Variant
from edgeworthy.records import Artifact, Verdict
from edgeworthy.storage import digest, log_tail, read_json, write_json
from edgeworthy.targets import host_state
from edgeworthy.targets.device_lock import device_lock
from edgeworthy.targets.runner_server import describe_exit
from edgeworthy.temporary import temporary_folder
from edgeworthy.tensors import NamedInput, length_of

SAMPLES = 64
#: Fewer samples where a model is so large that these would take longer.
SECONDS = 45.0
_FORMAT = "traced 4"


def with_float(project: Project, cell: CellId) -> tuple[Project, CellId]:
    """The project with a float variant of the cell's runtime, and that variant's cell. Raises DiagnosisError."""
    recipe = project.plan(cell.model, cell.variant).recipe
    wanted = recipe.runtime.float_recipe
    if wanted is None:
        raise DiagnosisError(
            f"{cell}: its recipe {recipe.name!r} makes {recipe.runtime} files, whose layers cannot be read",
            hint="diagnose the variant of a LiteRT or ONNX Runtime recipe instead",
        )
    variants = project.models.models[cell.model].variants
    for name, variant in variants.items():
        if variant.recipe_name(name) == wanted and not variant.all_options:
            if name == cell.variant:
                raise DiagnosisError(
                    f"{cell}: this variant is the float model itself, there is nothing to compare it with",
                    hint="diagnose a quantized variant of this model",
                )
            return project, cell._replace(variant=name)
    name = f"{wanted}-of-diagnosis"
    return project.with_variants(cell.model, {name: Variant(recipe=wanted)}), cell._replace(variant=name)


class Diagnostician:
    """Diagnoses cells of a bench whose project has their float variants (see ``with_float``)."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def diagnose(self, cell: CellId, floats: CellId, timed: bool) -> Diagnosis:
        """Diagnose the cell; ``timed`` also asks whether it is slower than its float variant.

        Raises EdgeworthyError where it cannot be measured, DiagnosisError where its graph cannot be compared.
        """
        traced = self.traced(cell, floats)
        accuracy = axes.accuracy(self.bench, cell, self._limits(cell))
        latency = axes.latency(self.bench, cell, self._limits(cell)) if timed else None
        slower = self._slower(latency, floats) if latency else ""
        recipe = self.bench.project.plan(cell.model, cell.variant).recipe
        repair = not accuracy and not calibrated_otherwise(traced)
        proposal = propose(traced, recipe.runtime, f"{cell.variant}_mixed", accuracy=repair)
        facts = Facts(traced, bool(accuracy), slower, repairable=repair and proposal is not None)
        return Diagnosis(
            model=cell.model,
            variant=cell.variant,
            target=cell.target,
            recipe=recipe.name,
            reference=floats.variant,
            classifies=self.bench.truth(cell.model).classifies,
            traced=traced,
            findings=tuple(find(facts)),
            proposal=proposal,
            verdicts=tuple(
                f"{found.axis} {found.status}: {found.message}" for found in (accuracy, latency) if found is not None
            ),
        )

    def traced(self, cell: CellId, floats: CellId) -> Traced:
        """Both graphs on the same samples, from the store where they were compared before."""
        artifact, reference = (self.bench.artifact(found.model, found.variant) for found in (cell, floats))
        samples, names = evaluation_samples(self.bench, cell), self._output_names(cell.model)
        version = host_state.runtime_version(artifact.runtime)
        given = [samples.checksum(), *map(NamedInput.to_json, samples.inputs)]
        key = digest([_FORMAT, artifact.key, reference.key, given, names, version, SAMPLES])
        folder = self.bench.store.find("diagnoses", key)
        if folder is None:
            self.bench.progress(f"comparing {cell.variant} with {floats.variant} of {cell.model}, layer by layer")
            with self.bench.store.create("diagnoses", key) as made:
                np.save(made / "samples.npy", spread(samples, SAMPLES))
                with device_lock(HostDevice.connection, self.bench.progress):
                    self._run(cell, made, _job(artifact, reference, samples.inputs, names))
                (made / "samples.npy").unlink()
            folder = self.bench.store.root / "diagnoses" / key
        traced = Traced.model_validate(read_json(folder / "traced.json"))
        return traced if _by_xnnpack(self.bench.project, cell.target) else traced.model_copy(update={"delegated": None})

    def _output_names(self, model: str) -> list[str]:
        """What the model's outputs are called wherever they are judged; "" of a single one."""
        reference = self.bench.project.models.models[model].reference
        return list(self.bench.artifact(model, reference).outputs or ("",))

    def _run(self, cell: CellId, folder: Path, job: dict[str, Any]) -> None:
        """Have ``traced.json`` made in the folder, which has the samples, by a child process."""
        limit = self.bench.project.models.timeouts.cell_s
        where = {"samples": str(folder / "samples.npy"), "out": str(folder / "traced.json")}
        with temporary_folder() as scratch:
            write_json(scratch / "job.json", {**job, **where, "seconds": min(SECONDS, limit / 2)})
            _run_child(cell, scratch, limit)
        _check_answer(cell, folder / "traced.json")

    def _limits(self, cell: CellId) -> dict[str, float]:
        return self.bench.project.limits(cell)

    def _slower(self, latency: Verdict, floats: CellId) -> str:
        """``p50 0.14 ms, fp32 0.04 ms``, where the intervals say that the cell is slower than its float variant."""
        reference = axes.latency(self.bench, floats, self._limits(floats)).metrics
        if latency.metrics["p50_ms"] <= reference.get("p50_ms_high", reference["p50_ms"]):
            return ""
        return f"p50 {latency.metrics['p50_ms']:.4f} ms, {floats.variant} {reference['p50_ms']:.4f} ms"


def _job(artifact: Artifact, reference: Artifact, inputs: Sequence[NamedInput], names: Sequence[str]) -> dict[str, Any]:
    """The child's job: the two files, and what each of them calls the inputs and outputs."""
    sides = {
        side: {
            "path": str(found.path),
            "layout": found.layout,
            "inputs": [found.inputs[each.name] for each in inputs],
            "outputs": list(found.outputs),
        }
        for side, found in (("float", reference), ("quantized", artifact))
    }
    if artifact.runtime.name == "litert":  # each graph is built for one size: smaller samples are followed by zeros
        inputs = [replace(each, ragged=()) for each in inputs]
    described = [each.to_json() for each in inputs]
    return {"runtime": artifact.runtime.name, **sides, "inputs": described, "outputs": list(names)}


def evaluation_samples(bench: Bench, cell: CellId) -> Samples:
    """The samples of the cell's model. Raises DiagnosisError where they are sequences."""
    samples = bench.dataset(cell.model).samples("evaluation")
    if length_of(samples.inputs):
        raise DiagnosisError(
            f"{cell}: the model keeps a state from step to step, and layers are compared sample by sample",
            hint="compare its variants by their outputs: 'metric: fidelity' judges each output by itself",
        )
    return samples


def spread(samples: Samples, at_most: int) -> NDArray[np.float32]:
    """So many samples, evenly over all of them: datasets are often sorted by label."""
    count = len(samples)
    indices = np.unique(np.linspace(0, count - 1, min(at_most, count)).round().astype(np.intp))
    return samples.take(indices)


def _by_xnnpack(project: Project, target: str) -> bool:
    """Whether the target delegates to XNNPACK, the one delegate that the host can report on."""
    backend = project.backend(target)
    return (isinstance(backend, CpuBackend) and backend.xnnpack) or (
        isinstance(backend, RunnerBackend) and backend.delegate
    )


def _run_child(cell: CellId, folder: Path, timeout_s: float) -> None:
    command: Sequence[str] = [sys.executable, "-m", "edgeworthy.diagnosis.child", str(folder / "job.json")]
    with (folder / "log.txt").open("wb") as log:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise DiagnosisError(
                f"{cell}: comparing its layers did not finish within {timeout_s:g} s",
                hint="raise timeouts.cell_s in models.yaml",
            ) from error
    if done.returncode != 0:
        raise DiagnosisError(
            f"{cell}: the process that compares its layers {describe_exit(done.returncode)}",
            hint="see the end of its log",
            log_tail=log_tail(folder / "log.txt"),
        )


def _check_answer(cell: CellId, path: Path) -> None:
    answer = read_json(path)
    if "error" in answer:
        raise DiagnosisError(f"{cell}: {answer['error']}", hint=answer["hint"])
    try:
        Traced.model_validate(answer)
    except ValidationError as error:
        raise DiagnosisError(
            f"{cell}: {path.name}: {error.errors()[0]['msg']}",
            hint="delete the folder diagnoses of the artifact store; it is made again",
        ) from error
