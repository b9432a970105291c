"""Measure cells, each thing once: artifacts from the store, measurements from the run's journal, the rest now."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.config import CANARY
from harness.errors import DeviceAbsent, DeviceRefuses, DeviceUnsettled, RecipeRefused, VariantError
from harness.measurements.answers import check_answers, check_labels, truth_of
from harness.measurements.in_turn import Enough, in_turn_identity, time_in_turn
from harness.measurements.journal import Journal
from harness.measurements.lanes import Lanes
from harness.measurements.project import Project
from harness.measurements.settling import look_again, timed_when_settled
from harness.records import Artifact, CellId, Outputs, PairedTiming, Timing, Truth
from harness.sources.datasets import PreparedDataset, prepare
from harness.storage import Store, digest
from harness.targets import host_state
from harness.targets.base import Job, Side, Target
from harness.targets.device_lock import alone_on_host, beside_others, device_lock
from harness.targets.open_targets import REFERENCE, Targets
from harness.variants.artifacts import ArtifactMaker
from harness.variants.canary import wrong_range

if TYPE_CHECKING:
    import pandas as pd

Made = TypeVar("Made")
Measured = TypeVar("Measured", Outputs, Timing)
Timed = TypeVar("Timed", Timing, PairedTiming)


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
        ahead: bool = False,
    ) -> None:
        """With ``ahead``, what is asked of one cell is measured of all planned ones, each device beside the others."""
        self.project = project
        self.store = store
        self.journal = Journal(run_folder)
        self.planned = planned
        self.lanes = Lanes(self._other_devices() if ahead else (), progress)
        self.progress = self.lanes.tell
        self.targets = Targets(project.devices, project.devices_base, self.progress)
        self._errors: dict[tuple[CellId, type], Exception] = {}
        #: Devices that are not tried again in this run, and those that a cell has waited for in vain.
        self._out: dict[str, DeviceAbsent | DeviceRefuses] = {}
        self._unsettled: set[str] = set()
        self._begun: set[type] = set()
        #: Measured by this process; a resumed run measures again what an earlier one could not compare.
        self._fresh: set[tuple[CellId, type]] = set()
        self._lock = threading.RLock()
        self.dataset = self._once(self._dataset)
        self._maker = self._once(self._new_maker)
        self.reference = self._once(self._reference)
        self.truth = self._once(self._truth)

    def artifact(self, model: str, variant: str) -> Artifact:
        """The variant's file. Raises VariantError or SourceError."""
        return self._maker(model).artifact(variant)

    def outputs(self, cell: CellId) -> Outputs:
        """What the cell answers to every evaluation sample. Raises EdgegateError."""
        self._measure_ahead(Outputs)
        return self.lanes.call(self._device(cell), lambda: self._outputs(cell))

    def timing(self, cell: CellId) -> Timing:
        """How long the cell takes. Raises EdgegateError."""
        self._measure_ahead(Timing)
        return self.lanes.call(self._device(cell), lambda: self._timing(cell))

    def profile(self, cell: CellId) -> pd.DataFrame:
        """The time of every op of the cell, measured anew each time. Raises EdgegateError."""
        return self.lanes.call(self._device(cell), lambda: self._profile(cell))

    def in_turn(self, cell: CellId, baseline_key: str, enough: Enough, max_seconds: float) -> PairedTiming | None:
        """The cell's artifact timed in turn with the one that its baseline was measured on.

        None where the store no longer has that artifact. ``enough`` says when to stop (see time_in_turn). Raises
        EdgegateError.
        """
        return self.lanes.call(self._device(cell), lambda: self._in_turn(cell, baseline_key, enough, max_seconds))

    def canary(self, cell: CellId) -> tuple[NDArray[np.float32], str]:
        """The canary's answers, and in words what was done to make it bad.

        A source that cannot be quantized (a finished .tflite) gets the reference's answers to other samples instead.
        """
        try:
            low, high = wrong_range(self.dataset(cell.model).samples("evaluation"))
            return self.outputs(cell).values, f"int8 calibrated on noise in [{low:g}, {high:g}]"
        except RecipeRefused:
            values = self.reference(cell.model)
            return np.random.default_rng(0).permutation(values), "the reference's answers to other samples"

    def close(self) -> None:
        """Let go of every device; a run that was interrupted leaves nothing running there."""
        self.lanes.close()
        for device in self.lanes.busy:
            self.targets.end_jobs(device)
        self.targets.close()
        REFERENCE.close()

    # -- each device beside the others --------------------------------------------------------------------------

    def _device(self, cell: CellId) -> str:
        return cell.target.partition(":")[0]

    def _is_host(self, cell: CellId) -> bool:
        return self.project.device(cell.target).kind == "host"

    def _other_devices(self) -> list[str]:
        """The devices of planned cells, the host apart."""
        return list(dict.fromkeys(self._device(cell) for cell in self.planned if not self._is_host(cell)))

    def _measure_ahead(self, kind: type[Outputs | Timing]) -> None:
        """At the first question of this kind, set every other device on all its cells.

        The host's timings come first: they run alone, and in between they would wait for the other devices each time.
        """
        if kind in self._begun or not self.lanes.devices:
            return
        self._begun.add(kind)
        if kind is Timing:
            self.lanes.wait()
            for cell in filter(self._is_host, self.planned):
                self._try(self._timing, cell)
        measure = self._outputs if kind is Outputs else self._timing
        canaries = self.project.canaries(self.planned) if kind is Outputs else []
        for cell in (*self.planned, *canaries):
            if self._device(cell) in self.lanes.devices:
                self.lanes.ahead(self._device(cell), functools.partial(self._try, measure, cell))

    @staticmethod
    def _try(measure: Callable[[CellId], object], cell: CellId) -> None:
        """What goes wrong, whatever it is, is said again when the cell's own test asks for it, and in no other test."""
        with contextlib.suppress(Exception):
            measure(cell)

    def _once(self, make: Callable[[str], Made]) -> Callable[[str], Made]:
        """``make`` of a model, once, whichever thread asks first."""
        cached = functools.cache(make)

        def found(model: str) -> Made:
            with self._lock:
                return cached(model)

        return found

    # -- how --------------------------------------------------------------------------------------------------

    def _outputs(self, cell: CellId) -> Outputs:
        def measure(target: Target, job: Job) -> Outputs:
            with contextlib.nullcontext() if self._is_host(cell) else beside_others():
                return target.outputs(job)

        return self._measured(Outputs, cell, measure)

    def _timing(self, cell: CellId) -> Timing:
        plan = self.project.models.latency
        return self._measured(Timing, cell, lambda target, job: self._settled(cell, lambda: target.timing(job, plan)))

    def _profile(self, cell: CellId) -> pd.DataFrame:
        job = self._job(self.artifact(cell.model, cell.variant), self.dataset(cell.model))
        with self._held(cell), beside_others():
            return self.targets[cell.target].profile(job)

    def _in_turn(self, cell: CellId, baseline_key: str, enough: Enough, max_seconds: float) -> PairedTiming | None:
        candidate, dataset = self.artifact(cell.model, cell.variant), self.dataset(cell.model)
        baseline = self._maker(cell.model).stored(baseline_key, self.project.plan(cell.model, cell.variant).recipe)
        if baseline is None:
            return None
        target = self.targets[cell.target]
        with self._held(cell):
            identity = in_turn_identity(baseline_key, candidate.key, dataset.checksum, target.identity())
            found = self.journal.find(PairedTiming, cell, identity)
            if found is None:
                self.progress(f"timing {cell} in turn with its baseline")
                inputs, sides = dataset.samples("evaluation"), (Side(baseline), Side(candidate))
                found = self._settled(cell, lambda: time_in_turn(target, *sides, inputs, enough, max_seconds))
                self.journal.save(cell, identity, candidate, found)
        return found

    def _settled(self, cell: CellId, measure: Callable[[], Timed]) -> Timed:
        """Time when the device is fit; the host alone, other devices beside one another.

        A device that did not settle in time is not waited for again before a look has found it fit.
        """

        def undisturbed() -> Timed:
            with alone_on_host() if self._is_host(cell) else beside_others():
                return measure()

        device, target = self._device(cell), self.targets[cell.target]
        hygiene = self.project.device(cell.target).hygiene
        try:
            if device in self._unsettled:
                look_again(target, hygiene)
                self._unsettled.discard(device)
            return timed_when_settled(target, hygiene, undisturbed, self.progress)
        except DeviceUnsettled:
            self._unsettled.add(device)
            raise

    @contextlib.contextmanager
    def _held(self, cell: CellId) -> Iterator[None]:
        """The cell's device is this run's alone. One that is absent, or refuses us, is so for all further cells."""
        device, entry = self._device(cell), self.project.device(cell.target)
        if device in self._out:
            raise self._out[device]
        try:
            with device_lock(entry.connection, self.progress):
                yield
        except (DeviceAbsent, DeviceRefuses) as error:
            if isinstance(error, DeviceAbsent):
                error.required = entry.required
            self._out[device] = error
            raise

    def _dataset(self, model: str) -> PreparedDataset:
        name = self.project.models.models[model].dataset
        entry, alone = self.project.models.datasets[name], lambda: device_lock(REFERENCE.device, self.progress)
        prepared = prepare(self.store, name, entry, self.project.base, self.progress, alone)
        self.journal.save_dataset(name, prepared.description)
        return prepared

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
            check_answers(artifact, values, dataset)
            check_labels(model, values, dataset)
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
        entry = self.project.models.models[model]
        truth = truth_of(entry.metric, dataset, self.reference(model), self.project.base)
        truth = replace(truth, random_weights=entry.source.random)
        self.journal.save_truth(model, truth)
        return truth

    def _measured(self, kind: type[Measured], cell: CellId, measure: Callable[[Target, Job], Measured]) -> Measured:
        if (cell, kind) in self._errors:
            raise self._errors[cell, kind]
        try:
            return self._measure(kind, cell, measure)
        except Exception as error:
            self._errors[cell, kind] = error
            raise

    def _measure(self, kind: type[Measured], cell: CellId, measure: Callable[[Target, Job], Measured]) -> Measured:
        artifact, dataset = self.artifact(cell.model, cell.variant), self.dataset(cell.model)
        target = self.targets[cell.target]
        with self._held(cell):  # another worker may be measuring this very cell
            identity = self._identity(kind, artifact, dataset, target)
            found = self.journal.find(kind, cell, identity)
            if found is None or (found.conditions.trouble and (cell, kind) not in self._fresh):
                found = measure(target, self._job(artifact, dataset))
                self._fresh.add((cell, kind))
                if isinstance(found, Outputs):
                    check_answers(artifact, found.values, dataset)
                self.journal.save(cell, identity, artifact, found)
        return found

    def _identity(self, kind: type, artifact: Artifact, dataset: PreparedDataset, target: Target) -> str:
        """What must be the same for a stored measurement to stand for a new one."""
        plan = self.project.models.latency.model_dump() if kind is Timing else {}
        return digest([artifact.key, dataset.checksum, target.identity(), plan])

    def _job(self, artifact: Artifact, dataset: PreparedDataset) -> Job:
        return Job(artifact, dataset.samples("evaluation"), self.project.models.timeouts.cell_s)
