"""Measure cells, each thing once: artifacts from the store, measurements from the run's journal, the rest now."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.config import CANARY
from harness.errors import EdgegateError, InputMismatch, RecipeRefused, VariantError
from harness.measurements.in_turn import Enough, in_turn_identity, time_in_turn
from harness.measurements.journal import Journal
from harness.measurements.project import Project
from harness.records import Artifact, CellId, Outputs, PairedTiming, Timing, Truth
from harness.sources.datasets import PreparedDataset, prepare
from harness.storage import Store, digest
from harness.targets import host_state
from harness.targets.base import Job, Side, Target
from harness.targets.device_lock import device_lock
from harness.targets.open_targets import REFERENCE, Targets
from harness.variants.artifacts import ArtifactMaker

Measured = TypeVar("Measured", Outputs, Timing)


class Bench:
    """Measures the cells of a project into a run folder.

    What fails, fails once: asking again for the same artifact or measurement raises the same error.
    """

    def __init__(
        self,
        project: Project,
        store: Store,
        run_folder: Path,
        planned: Sequence[CellId],
        progress: Callable[[str], None],
    ) -> None:
        self.project = project
        self.store = store
        self.journal = Journal(run_folder)
        self.planned = planned
        self.progress = progress
        self.targets = Targets(project.devices)
        self._errors: dict[tuple[CellId, type], EdgegateError] = {}
        self.dataset = functools.cache(self._dataset)
        self._maker = functools.cache(self._new_maker)
        self.reference = functools.cache(self._reference)
        self.truth = functools.cache(self._truth)

    def artifact(self, model: str, variant: str) -> Artifact:
        """The variant's file. Raises VariantError or SourceError."""
        return self._maker(model).artifact(variant)

    def outputs(self, cell: CellId) -> Outputs:
        """What the cell answers to every evaluation sample. Raises EdgegateError."""
        return self._measured(Outputs, cell, lambda target, job: target.outputs(job))

    def timing(self, cell: CellId) -> Timing:
        """How long the cell takes. Raises EdgegateError."""
        plan = self.project.models.latency
        return self._measured(Timing, cell, lambda target, job: target.timing(job, plan))

    def in_turn(self, cell: CellId, baseline_key: str, enough: Enough, max_seconds: float) -> PairedTiming | None:
        """The cell's artifact timed in turn with the one that its baseline was measured on.

        None where the store no longer has that artifact. ``enough`` says when to stop (see time_in_turn). Raises
        EdgegateError.
        """
        candidate, dataset = self.artifact(cell.model, cell.variant), self.dataset(cell.model)
        baseline = self._maker(cell.model).stored(baseline_key, self.project.plan(cell.model, cell.variant).recipe)
        if baseline is None:
            return None
        target = self.targets[cell.target]
        identity = in_turn_identity(baseline_key, candidate.key, dataset.checksum, target.identity())
        with device_lock(target.device, self.progress):
            found = self.journal.find(PairedTiming, cell, identity)
            if found is None:
                self.progress(f"timing {cell} in turn with its baseline")
                inputs = dataset.samples("evaluation")
                found = time_in_turn(target, Side(baseline), Side(candidate), inputs, enough, max_seconds)
                self.journal.save(cell, identity, candidate, found)
        return found

    def canary(self, cell: CellId) -> tuple[NDArray[np.float32], str]:
        """The canary's answers, and in words what was done to make it bad.

        A source that cannot be quantized (a finished .tflite) gets the reference's answers to other samples instead.
        """
        try:
            return self.outputs(cell).values, "int8 calibrated on noise in [0, 255]"
        except RecipeRefused:
            values = self.reference(cell.model)
            return np.random.default_rng(0).permutation(values), "the reference's answers to other samples"

    def close(self) -> None:
        """Let go of every device."""
        self.targets.close()
        REFERENCE.close()

    # -- how --------------------------------------------------------------------------------------------------

    def _dataset(self, model: str) -> PreparedDataset:
        name = self.project.models.models[model].dataset
        return prepare(self.store, name, self.project.models.datasets[name], self.project.base)

    def _new_maker(self, model: str) -> ArtifactMaker:
        entry = self.project.models.models[model]
        wanted = [cell.variant for cell in self.planned if cell.model == model]
        return ArtifactMaker(
            store=self.store,
            base=self.project.base,
            name=model,
            model=entry,
            dataset=self.dataset(model),
            plans=[self.project.plan(model, variant) for variant in dict.fromkeys([entry.reference, *wanted, CANARY])],
            recipe_files=self.project.recipe_files(),
            timeout_s=self.project.models.timeouts.conversion_s,
            progress=self.progress,
            alone=lambda: device_lock(REFERENCE.device, self.progress),
        )

    def _reference(self, model: str) -> NDArray[np.float32]:
        """The reference variant's answers on this host, kept in the store."""
        name = self.project.models.models[model].reference
        try:
            artifact = self.artifact(model, name)
        except RecipeRefused as error:  # of the reference; the variant that is compared with it is not to blame
            raise VariantError(
                f"the reference {name!r} of {model!r}: {error.message}", next_step=error.next_step
            ) from error
        dataset = self.dataset(model)
        runtime = host_state.runtime_version(artifact.runtime)
        key = digest(["reference 1", artifact.key, dataset.checksum, runtime, host_state.hardware()["processor"]])
        folder = self.store.find("references", key)
        if folder is None:
            self.progress(f"running the reference of {model}")
            with device_lock(REFERENCE.device, self.progress):
                values = REFERENCE.outputs(self._job(artifact, dataset)).values
            _check_classes(artifact, values, dataset)
            if not np.isfinite(values).all():
                raise VariantError(
                    f"the reference {name!r} of {model!r} answers NaN or infinity, so that nothing can be held against it",
                    next_step="check the model's weights and the scale of the dataset's inputs",
                )
            with self.store.create("references", key) as made:
                np.save(made / "outputs.npy", values)
            folder = self.store.root / "references" / key
        stored: NDArray[np.float32] = np.load(folder / "outputs.npy")
        return stored

    def _truth(self, model: str) -> Truth:
        """What the model's answers are judged by; the run keeps it beside the measurements. Raises EdgegateError."""
        dataset = self.dataset(model)
        metric = self.project.models.models[model].metric
        truth = Truth(dataset.labels(), self.reference(model), metric, dataset.checksum)
        self.journal.save_truth(model, truth)
        return truth

    def _measured(self, kind: type[Measured], cell: CellId, measure: Callable[[Target, Job], Measured]) -> Measured:
        if (cell, kind) in self._errors:
            raise self._errors[cell, kind]
        try:
            return self._measure(kind, cell, measure)
        except EdgegateError as error:
            self._errors[cell, kind] = error
            raise

    def _measure(self, kind: type[Measured], cell: CellId, measure: Callable[[Target, Job], Measured]) -> Measured:
        artifact, dataset, target = (
            self.artifact(cell.model, cell.variant),
            self.dataset(cell.model),
            self.targets[cell.target],
        )
        identity = self._identity(kind, artifact, dataset, target)
        with device_lock(target.device, self.progress):  # another worker may be measuring this very cell
            found = self.journal.find(kind, cell, identity)
            if found is None:
                found = measure(target, self._job(artifact, dataset))
                if isinstance(found, Outputs):
                    _check_classes(artifact, found.values, dataset)
                self.journal.save(cell, identity, artifact, found)
        return found

    def _identity(self, kind: type, artifact: Artifact, dataset: PreparedDataset, target: Target) -> str:
        """What must be the same for a stored measurement to stand for a new one."""
        plan = self.project.models.latency.model_dump() if kind is Timing else {}
        return digest([artifact.key, dataset.checksum, target.identity(), plan])

    def _job(self, artifact: Artifact, dataset: PreparedDataset) -> Job:
        return Job(artifact, dataset.samples("evaluation"), self.project.models.timeouts.cell_s)


def _check_classes(artifact: Artifact, values: NDArray[np.float32], dataset: PreparedDataset) -> None:
    if values.shape[1] != dataset.classes:
        raise InputMismatch(
            f"{artifact.path.name} ({artifact.recipe}): the model answers {values.shape[1]} classes, "
            f"the dataset {dataset.name!r} has {dataset.classes}",
            next_step="set the dataset's 'classes', or give the dataset that the model was trained for",
        )
