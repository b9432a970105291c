"""The outputs of an artifact that lies on the phone: of samples in batches, of samples one by one, of sequences step by step."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import (
    ArtifactUnusable,
    BackendUnused,
    NotRepeatable,
    RunnerCrashed,
    RunnerTimeout,
    ToolUnusable,
)
from edgeworthy.records import Artifact
from edgeworthy.runners.python_runner.outputs import BATCH, BATCH_CHECK
from edgeworthy.runners.python_runner.ragged import stacked
from edgeworthy.runners.python_runner.stored import same_outputs
from edgeworthy.targets.android import ragged, shards
from edgeworthy.targets.android.graph import Fed, Graph
from edgeworthy.targets.android.processes import Processes, Ran, Side, Taken
from edgeworthy.targets.base import Job
from edgeworthy.targets.device_files import DeviceFiles
from edgeworthy.targets.runner_target import NOT_REPEATABLE_HINT, differing
from edgeworthy.tensors import is_ragged, length_of

#: What a batch may fail with while single samples run: then it is the batch that cannot be had.
_NO_BATCH = (ArtifactUnusable, BackendUnused, RunnerCrashed, ToolUnusable)
Floats = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An artifact on the phone."""

    artifact: Artifact
    graph: Graph
    fed: tuple[Fed, ...]
    wanted: tuple[int, ...]
    #: Of each input the place of the output that it is given back at the step after, None of one that is no state.
    back: tuple[int | None, ...]
    remote: str
    where: str


@dataclasses.dataclass(frozen=True)
class Found:
    """What ``records.Outputs`` has of outputs: their values, shapes, sizes and the batch in which they ran."""

    values: Floats
    shapes: tuple[tuple[int, ...], ...]
    batch: int
    sizes: NDArray[Any] | None = None

    @classmethod
    def singly(cls, outputs: list[list[Floats]]) -> Found:
        """Of the outputs of each sample, or sequence, in their own size."""
        arrays, frames = stacked(outputs)
        return cls(arrays["values"], tuple(map(tuple, frames)), 1, differing(arrays["sizes"]))


@dataclasses.dataclass(frozen=True)
class Running:
    """A model on the phone that is run for its outputs until ``end``; ``words`` start the tool for one inference.

    ``files`` are samples there, ``check`` raises TargetError for processes that did not run on the backend, and ``tell`` says
    what takes long.
    """

    model: Prepared
    job: Job
    words: list[str]
    processes: Processes
    files: DeviceFiles
    check: Callable[[Prepared, Ran], Any]
    tell: Callable[[str], None]
    end: float

    def outputs(self, samples: Samples, folder: Path) -> Found:
        """Every sample's or sequence's; ``samples`` are the job's, of sequences their single steps. Raises TargetError."""
        if length_of(self.job.inputs.inputs):
            return Found.singly(self._of_sequences(samples, folder))
        if is_ragged(samples.inputs):
            return Found.singly(self._one_by_one(samples, folder))
        raw, batch = self._of_one_size(samples, folder)
        return Found(*self._as_wanted(raw), batch)

    def _as_wanted(self, raw: NDArray[Any]) -> tuple[Floats, tuple[tuple[int, ...], ...]]:
        """Outputs dequantized, of each sample or step, in the dataset's layout; and the shape of each."""
        graph, wanted = self.model.graph, self.model.wanted
        values, shapes = shards.floats(raw, graph, wanted), shards.shapes_of(graph, wanted)
        return shards.in_dataset_layout(values, shapes, self.model.artifact.layout)

    # -- samples of one size ----------------------------------------------------------------------------------

    def _of_one_size(self, samples: Samples, folder: Path) -> tuple[NDArray[Any], int]:
        """The outputs as the graph gives them; and in which batch they ran."""
        found: list[NDArray[Any]] = []
        batch, ends = 0, [*range(BATCH, len(samples), BATCH), len(samples)]
        for shard, rows in shards.write_shards(samples, self.model.fed, self.job.artifact.layout, folder, ends, BATCH):
            remote, count = tuple(self.files.put(file) for file in shard), len(rows)
            if batch:
                answers = self._raw(remote, -(-count // batch), batch)
            else:
                batch, answers = self._first_shard(remote, count)
            found.append(answers[:count])
        return np.concatenate(found), batch

    def _first_shard(self, remote: tuple[str, ...], count: int) -> tuple[int, NDArray[Any]]:
        """In batches if their outputs equal those of single samples; otherwise one by one, with the expected time reported."""
        model, samples, checked = self.model, len(self.job.inputs), min(count, BATCH_CHECK)
        begun = time.monotonic()
        singly = self._raw(remote, checked, 1)
        each_s = (time.monotonic() - begun) / checked
        if samples >= BATCH:
            try:
                batched = self._raw(remote, -(-count // BATCH), BATCH)
                if same_outputs(
                    *(shards.floats(each[:BATCH_CHECK], model.graph, model.wanted) for each in (singly, batched))
                ):
                    return BATCH, batched
                why = "gives other outputs in a batch"
            except _NO_BATCH as error:
                why = f"cannot be run in batches ({error.message.removeprefix(f'{model.where}: ')})"
            self._announce(f"{model.where} {why}", f"{samples} samples", each_s * samples)
        found = self._raw(remote, count, 1)
        self._check_repeated(singly, found[:checked])
        return 1, found

    # -- samples of different sizes ---------------------------------------------------------------------------

    def _one_by_one(self, samples: Samples, folder: Path) -> list[list[Floats]]:
        """The outputs of each sample, every one in a process of its own with inputs of its own size."""
        found: list[list[Floats]] = []
        for shard in ragged.write_shards(samples, self.model.fed, self.job.artifact.layout, folder):
            remote, plan = [self.files.put(file) for file in shard.files], self.files.put(shard.plan)
            outputs = functools.partial(self._each, remote, plan, len(found))
            if found:
                found += outputs(shard.count)
                continue
            begun, checked = time.monotonic(), min(shard.count, BATCH_CHECK)
            once = outputs(checked)
            each_s = (time.monotonic() - begun) / checked
            self._announce(self.model.where, f"{len(samples)} samples", each_s * len(samples))
            found += outputs(shard.count)
            self._check_same(*(stacked(each)[0]["values"] for each in (once, found[:checked])))
        return found

    def _each(self, remote: list[str], plan: str, first: int, count: int) -> list[list[Floats]]:
        """The outputs of ``count`` samples of a shard that begins with the sample ``first``."""
        model, sizes, layout = self.model, self.job.sizes, self.job.artifact.layout
        assert sizes is not None  # of samples of different sizes
        frames = ragged.frames_of(model.fed)
        ran, written = self.processes.each(self.words, model.remote, remote, frames, plan, count, self._left_s())
        shown = ran.said[0].partition("Input shapes: ")[2].partition("\n")[0] if ran.said else ""
        self.check(dataclasses.replace(model, where=f"{model.where}, given inputs of {shown}"), ran)
        own = zip(written, sizes[first : first + count], strict=True)
        return [ragged.outputs_of(model.where, raw, model.graph, model.wanted, size, layout) for raw, size in own]

    # -- sequences --------------------------------------------------------------------------------------------

    def _of_sequences(self, steps: Samples, folder: Path) -> list[list[Floats]]:
        """The outputs of each sequence: of all steps that it has, or of the last one."""
        sequences = self.job.inputs
        ends = np.cumsum(sequences.lengths())
        found: list[NDArray[Any]] = []
        for shard, rows in shards.write_shards(steps, self.model.fed, self.job.artifact.layout, folder, ends.tolist()):
            begins = [start - rows.start for start in [0, *ends.tolist()] if rows.start <= start < rows.stop]
            remote = tuple(self.files.put(file) for file in shard)
            found.append(self._steps(remote, begins, len(rows), 0 if found else len(steps)))
        values, shapes = self._as_wanted(np.concatenate(found))
        parts = np.split(values, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1], axis=1)
        outputs = [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]
        return [
            [each[end - 1] if sequences.last else each[start:end] for each in outputs]
            for start, end in itertools.pairwise([0, *ends])
        ]

    def _steps(self, remote: tuple[str, ...], begins: list[int], count: int, told: int) -> NDArray[Any]:
        """Every step in a process of its own, which takes the state from what the last one wrote.

        Of the first of all shards the first sequence is run twice, and what all ``told`` steps will take is reported.
        """
        if not told:
            return self._raw(remote, count, 1, begins)
        begun, first = time.monotonic(), [*begins, count][1]
        singly = self._raw(remote, first, 1, begins)
        each_s = (time.monotonic() - begun) / first
        self._announce(self.model.where, f"{told} steps", each_s * told)
        found = self._raw(remote, count, 1, begins)
        self._check_repeated(singly, found[:first])
        return found

    # -- what is common ---------------------------------------------------------------------------------------

    def _raw(self, remote: tuple[str, ...], batches: int, batch: int, begins: list[int] | None = None) -> NDArray[Any]:
        """The outputs of the first batches of these files, as the graph gives them; sequences begin at those batches."""
        model = self.model
        sizes = [tensor.size_bytes for tensor in model.graph.outputs]
        taken = [
            Taken(
                each.tensor.size_bytes * (batch if each.varies else 1),
                each.varies,
                -1 if back is None else sum(sizes[:back]),
            )
            for each, back in zip(model.fed, model.back, strict=True)
        ]
        side = Side(model.remote, tuple(each.shape(batch) for each in model.fed), remote)
        ran = self.processes.outputs(self.words, side, taken, batches, self._left_s(), begins or ())
        self.check(model, ran)
        return shards.outputs_of(ran.fetched, model.graph, model.wanted, batch, batches)

    def _announce(self, what: str, each: str, seconds: float) -> None:
        """Say what takes long."""
        self.tell(f"{what}: one process for each of {each}, about {seconds:.0f} s")

    def _check_repeated(self, once: NDArray[Any], again: NDArray[Any]) -> None:
        """Raise NotRepeatable where the same samples had other outputs, unless the job has a ``random_seed``."""
        self._check_same(*(shards.floats(each, self.model.graph, self.model.wanted) for each in (once, again)))

    def _check_same(self, once: Floats, again: Floats) -> None:
        if self.job.random_seed is None and not same_outputs(once, again):
            raise NotRepeatable(
                f"{self.model.where}: it is random: the same sample gave different outputs in two processes",
                hint=NOT_REPEATABLE_HINT,
            )

    def _left_s(self) -> float:
        left_s = self.end - time.monotonic()
        if left_s <= 0:
            raise RunnerTimeout(
                f"{self.model.where} did not finish all samples in time",
                hint="raise timeouts.cell_s in models.yaml, or evaluate fewer samples",
            )
        return left_s
