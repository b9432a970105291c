"""Measure cells, each thing once: artifacts from the store, measurements from the run's journal, the rest now."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeworthy.cells import CellId
from edgeworthy.datasets.model_sizes import in_model_sizes
from edgeworthy.datasets.prepared import PreparedDataset, prepare
from edgeworthy.device_schema import HostDevice
from edgeworthy.errors import (
    DeviceAbsent,
    DeviceNotReady,
    DeviceRefuses,
    Emulated,
    NodesLeft,
    VariantError,
)
from edgeworthy.measurements.interleaved import Enough, interleaved_identity, time_interleaved
from edgeworthy.measurements.lanes import Ahead, Lanes
from edgeworthy.measurements.once import once
from edgeworthy.measurements.preconditions import check_again, timed_when_ready
from edgeworthy.measurements.project import Project
from edgeworthy.measurements.references import References
from edgeworthy.measurements.truth import check_outputs, check_sizes
from edgeworthy.metrics import FIDELITY
from edgeworthy.records import Artifact, Outputs, PairedTiming, Timing
from edgeworthy.runs.journal import Journal
from edgeworthy.storage import Store, digest
from edgeworthy.targets.base import Job, Side, Target
from edgeworthy.targets.device_lock import device_lock, exclusive_host, shared_host
from edgeworthy.targets.open_targets import Targets
from edgeworthy.tensors import is_ragged
from edgeworthy.variants.artifacts import canary
from edgeworthy.variants.artifacts.child_process import Children
from edgeworthy.variants.artifacts.fork_servers import ForkServers
from edgeworthy.variants.artifacts.maker import ArtifactMaker
from edgeworthy.variants.artifacts.slots import Slots, cores

if TYPE_CHECKING:
    import pandas as pd

Made = TypeVar("Made")
Measured = TypeVar("Measured", Outputs, Timing)
Timed = TypeVar("Timed", Timing, PairedTiming)


class Bench:
    """Measures the cells of a project into a run's journal.

    What fails, fails once: asking again for the same artifact or measurement raises the same error.
    """

    def __init__(
        self,
        project: Project,
        store: Store,
        journal: Journal,
        planned: Sequence[CellId],
        progress: Callable[[str], None],
        ahead: bool = False,
    ) -> None:
        """With ``ahead``, what is asked of one cell is measured of all planned ones: each device beside the others, and the
        host's outputs on all its cores.
        """
        self.project = project
        self.store = store
        self.journal = journal
        self.planned = planned
        self.lanes = Lanes(self._other_devices() if ahead else (), progress)
        self._host_outputs: Ahead[CellId] | None = Ahead(cores()) if ahead else None
        self.progress = self.lanes.tell
        self.targets = Targets(project.devices, project.devices_base, self.progress)
        self._errors: dict[tuple[CellId, type], Exception] = {}
        #: Devices that are not tried again in this run, and those that did not get ready in time.
        self._out: dict[str, DeviceAbsent | DeviceRefuses] = {}
        self._not_ready: set[str] = set()
        self._begun: set[type] = set()
        #: Measured by this process; a resumed run measures again what an earlier one could not compare.
        self._fresh: set[tuple[CellId, type]] = set()
        self._models = list(dict.fromkeys(cell.model for cell in planned))
        self._makers: list[ArtifactMaker] = []
        self._slots = Slots(shared_host)
        self._processes = Children(project.models.timeouts, ForkServers())
        self._converts_ahead = threading.Event()
        self.dataset = once(self._dataset)
        self._maker = once(self._new_maker)
        #: A model's reference outputs (samples, ...) float32, and its truth; raise EdgeworthyError.
        self.references = References(
            project, store, self.journal, self.dataset, self.artifact, self.targets.reference, self.progress
        )
        self.reference = self.references.outputs
        self.truth = self.references.truth

    def artifact(self, model: str, variant: str) -> Artifact:
        """The variant's file. Raises VariantError or SourceError."""
        self.lanes.drain()
        return self._maker(model).artifact(self.project.plan(model, variant))

    def outputs(self, cell: CellId) -> Outputs:
        """The outputs of the cell for every evaluation sample. Raises EdgeworthyError."""
        self._measure_ahead(Outputs)
        begun = self._host_outputs.take(cell) if self._host_outputs else None
        if begun:
            self.lanes.result(begun)
        return self.lanes.call(cell.device, lambda: self._outputs(cell))

    def timing(self, cell: CellId) -> Timing:
        """How long the cell takes. Raises EdgeworthyError."""
        self._measure_ahead(Timing)
        return self.lanes.call(cell.device, lambda: self._timing(cell))

    def timed(self, cell: CellId) -> bool:
        """Whether the cell's target has times and memory of its own; an emulated one has not."""
        return self.project.backend(cell.target).timed

    def profile(self, cell: CellId) -> pd.DataFrame:
        """The time of every op of the cell, measured anew each time and kept in the run. Raises EdgeworthyError."""
        return self.lanes.call(cell.device, lambda: self._profile(cell))

    def interleaved(self, cell: CellId, baseline_key: str, enough: Enough, max_seconds: float) -> PairedTiming | None:
        """The cell's artifact in an interleaved A/B timing against the one that its baseline was measured on.

        None where the store no longer has that artifact. ``enough`` says when to stop (see time_interleaved). Raises
        EdgeworthyError.
        """
        return self.lanes.call(cell.device, lambda: self._interleaved(cell, baseline_key, enough, max_seconds))

    def canaries(self, cell: CellId) -> list[tuple[NDArray[np.float32], str]]:
        """Outputs that the gate must reject, each with what was done to make them bad; the last speaks for all."""
        scrambled = canary.scrambled(self.reference(cell.model))
        try:
            return [(scrambled, canary.SCRAMBLED), (self.outputs(cell).values, canary.HOW)]
        except (VariantError, NodesLeft) as error:
            return [(scrambled, f"{canary.SCRAMBLED}; there is no int8 canary: {error.message}")]

    def close(self) -> None:
        """Let go of every device; a run that was interrupted leaves nothing running there."""
        for maker in self._makers:
            maker.close()
        self._processes.close()
        self.lanes.drain()
        self.lanes.close()
        if self._host_outputs:
            self._host_outputs.close()
        for device in self.lanes.busy:
            self.targets.end_jobs(device)
        self.targets.close()

    # -- each device beside the others --------------------------------------------------------------------------

    def _is_host(self, cell: CellId) -> bool:
        """Whether the cell runs on this machine."""
        return self.project.device(cell.target).here

    def _other_devices(self) -> list[str]:
        """The devices of planned cells, the host apart."""
        return list(dict.fromkeys(cell.device for cell in self.planned if not self._is_host(cell)))

    def _measure_ahead(self, kind: type[Outputs | Timing]) -> None:
        """At the first question of this kind, set every other device on all its cells, and the host on all its outputs.

        The host's timings come first: they run alone, and in between they would wait for the other devices each time.
        """
        if kind in self._begun:
            return
        self._begun.add(kind)
        if kind is Timing and self.lanes.devices:
            self.lanes.wait()
            for cell in filter(self._is_host, self.planned):
                self._try(self._timing, cell)
        measure = self._outputs if kind is Outputs else self._timing
        canaries = self.project.canaries(self.planned) if kind is Outputs else []
        for cell in (*self.planned, *canaries):
            work = functools.partial(self._try, measure, cell)
            if cell.device in self.lanes.devices:
                self.lanes.ahead(cell.device, work)
            elif self._host_outputs and kind is Outputs:
                self._host_outputs.begin(cell, work)

    @staticmethod
    def _try(measure: Callable[[CellId], object], cell: CellId) -> None:
        """What goes wrong, whatever it is, is said again when the cell's own test asks for it, and in no other test."""
        with contextlib.suppress(Exception):
            measure(cell)

    # -- how --------------------------------------------------------------------------------------------------

    def _outputs(self, cell: CellId) -> Outputs:
        def measure(target: Target, job: Job) -> Outputs:
            with shared_host():
                return target.outputs(job)

        return self._measured(Outputs, cell, measure)

    def _timing(self, cell: CellId) -> Timing:
        if not self.timed(cell):
            raise Emulated(cell.target)
        plan = self.project.models.latency
        return self._measured(
            Timing, cell, lambda target, job: self._when_ready(cell, lambda: target.timing(job, plan))
        )

    def _profile(self, cell: CellId) -> pd.DataFrame:
        artifact = self.artifact(cell.model, cell.variant)
        job = self._job(cell.model, artifact, self.dataset(cell.model))
        with self._held(cell), shared_host():
            found = self.targets[cell.target].profile(job)
        self.journal.save_profile(cell, artifact.key, found.to_csv(index=False))
        return found

    def _interleaved(self, cell: CellId, baseline_key: str, enough: Enough, max_seconds: float) -> PairedTiming | None:
        candidate, dataset = self.artifact(cell.model, cell.variant), self.dataset(cell.model)
        baseline = self._maker(cell.model).stored(baseline_key, self.project.plan(cell.model, cell.variant).recipe)
        if baseline is None:
            return None
        target = self.targets[cell.target]
        with self._held(cell):
            where = self._where(cell, candidate)
            identity = interleaved_identity(baseline_key, candidate.key, dataset.checksum, *where)
            found = self.journal.find(PairedTiming, cell, identity)
            if found is None:
                self.progress(f"timing {cell} interleaved with its baseline")
                inputs, sides = dataset.samples("evaluation"), (Side(baseline), Side(candidate))
                found = self._when_ready(cell, lambda: time_interleaved(target, *sides, inputs, enough, max_seconds))
                self.journal.save(cell, identity, candidate, found)
        return found

    def _when_ready(self, cell: CellId, measure: Callable[[], Timed]) -> Timed:
        """Time when the device meets its preconditions; the host exclusively, other devices in parallel.

        The host is timed when nothing is left to be made: children that had to wait for a timing would leave cores idle.
        A device that did not get ready in time is checked without waiting for further cells.
        """

        def undisturbed() -> Timed:
            if self._is_host(cell):
                self._slots.wait_until_idle(self.lanes.drain)
            with exclusive_host() if self._is_host(cell) else shared_host():
                return measure()

        device, target = cell.device, self.targets[cell.target]
        hygiene = self.project.device(cell.target).hygiene
        try:
            if device in self._not_ready:
                check_again(target, hygiene)
                self._not_ready.discard(device)
            return timed_when_ready(target, hygiene, undisturbed, self.progress)
        except DeviceNotReady:
            self._not_ready.add(device)
            raise

    @contextlib.contextmanager
    def _held(self, cell: CellId) -> Iterator[None]:
        """The cell's device is this run's alone. One that is absent, or refuses us, is so for all further cells."""
        device, entry = cell.device, self.project.device(cell.target)
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
        entry = self.project.models.models[model]
        given = self.project.models.datasets[entry.dataset]
        alone = partial(device_lock, HostDevice.connection, self.progress)
        prepared = prepare(self.store, entry.dataset, given, self.project.base, self.progress, alone)
        self.journal.save_dataset(entry.dataset, prepared.description)
        if entry.metric.title != FIDELITY:
            prepared.check_labelled(entry.metric.title)
        if not entry.expect_weak_reference:
            prepared.check_calibration()
        return in_model_sizes(self.store, prepared, entry).for_model(entry)

    def _new_maker(self, model: str) -> ArtifactMaker:
        entry = self.project.models.models[model]
        wanted = [cell.variant for cell in self.planned if cell.model == model]
        maker = ArtifactMaker(
            store=self.store,
            base=self.project.base,
            name=model,
            model=entry,
            dataset=self.dataset(model),
            plans=self.project.plans(model, [entry.reference, *wanted]),
            recipe_files=self.project.recipe_files(),
            own_runtimes=self.project.models.runtimes,
            processes=self._processes,
            progress=self.progress,
            slots=self._slots,
            rank=self._models.index(model) if model in self._models else len(self._models),
            on_miss=self._convert_ahead,
            on_wait=self.lanes.drain,
        )
        self._makers.append(maker)
        return maker

    def _convert_ahead(self) -> None:
        """At the first artifact that is missing, begin with those of all models; whoever asks first waits least."""
        if self._converts_ahead.is_set():
            return
        self._converts_ahead.set()

        def begin() -> None:
            for model in self._models:
                with contextlib.suppress(Exception):  # raised again where the model's own cell asks
                    self._maker(model).start()

        threading.Thread(target=begin, name="edgeworthy conversions", daemon=True).start()

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
        side_by_side = self._host_outputs is not None and kind is Outputs and self._is_host(cell)
        # Asked first: the reference is run on the host, which is not held yet.
        ragged = kind is Outputs and is_ragged(dataset.samples("evaluation").inputs)
        sizes = self.references.sizes(cell.model) if ragged else None
        # Of a device that is held, another worker may be measuring this very cell.
        with contextlib.nullcontext() if side_by_side else self._held(cell):
            identity = self._identity(kind, cell, artifact, dataset)
            found = self.journal.find(kind, cell, identity)
            if found is None or (found.conditions.invalid_reason and (cell, kind) not in self._fresh):
                job = self._job(cell.model, artifact, dataset)
                job = replace(job, sizes=self.references.every_size(cell.model)) if ragged else job
                found = measure(target, job)
                self._fresh.add((cell, kind))
                if isinstance(found, Outputs):
                    check_outputs(artifact, found, dataset, self.project.models.models[cell.model])
                    check_sizes(artifact, found, sizes)
                self.journal.save(cell, identity, artifact, found)
        return found

    def _identity(self, kind: type, cell: CellId, artifact: Artifact, dataset: PreparedDataset) -> str:
        """What must be the same for a stored measurement to stand for a new one."""
        seed = self.project.models.models[cell.model].random_seed
        plan = self.project.models.latency.model_dump() if kind is Timing else {"random_seed": seed}
        return digest([artifact.key, dataset.checksum, *self._where(cell, artifact), plan])

    def _where(self, cell: CellId, artifact: Artifact) -> tuple[dict[str, str], str]:
        """The identity of the cell's target, and what the artifact's runtime is there; a phone may be sent its tool for that."""
        target = self.targets[cell.target]
        with contextlib.nullcontext() if self._is_host(cell) else shared_host():
            return target.identity(), target.version_of(artifact.runtime)

    def _job(self, model: str, artifact: Artifact, dataset: PreparedDataset) -> Job:
        seed = self.project.models.models[model].random_seed
        return Job(artifact, dataset.samples("evaluation"), self.project.models.timeouts.cell_s, seed)
