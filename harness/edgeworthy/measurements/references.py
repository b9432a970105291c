"""What the variants of each model are compared with: its reference's outputs on this host, and the truth."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeworthy.array_files import load_array
from edgeworthy.datasets.prepared import PreparedDataset
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import HostDevice
from edgeworthy.errors import EdgeworthyError, RecipeRefused, VariantError
from edgeworthy.measurements.once import once
from edgeworthy.measurements.project import Project
from edgeworthy.measurements.reference_check import CHANGES, TRIED, Trial, check_reference
from edgeworthy.measurements.truth import check_labels, check_outputs, truth_of
from edgeworthy.records import Artifact
from edgeworthy.runs.journal import Journal
from edgeworthy.storage import Store, digest, read_json, write_json
from edgeworthy.targets import host_state
from edgeworthy.targets.base import Job, Target
from edgeworthy.targets.device_lock import device_lock
from edgeworthy.tasks.task import Shapes
from edgeworthy.tensors import is_ragged
from edgeworthy.truth import Truth
from edgeworthy.user_code.function_files import function_copy


class References:
    """The references of a project; each is run once, and found in the store afterwards."""

    def __init__(
        self,
        project: Project,
        store: Store,
        journal: Journal,
        dataset: Callable[[str], PreparedDataset],
        artifact: Callable[[str, str], Artifact],
        target: Target,
        progress: Callable[[str], None],
    ) -> None:
        """``dataset`` gives a model's, ``artifact`` that of a model and a variant; ``target`` runs them on this host."""
        self._project = project
        self._store = store
        self._journal = journal
        self._dataset = dataset
        self._artifact = artifact
        self._target = target
        self._progress = progress
        self._stored = once(self._stored_outputs)
        self.truth = once(self._truth)

    def outputs(self, model: str) -> NDArray[np.float32]:
        """The reference variant's outputs on this host (samples, values). Raises EdgeworthyError."""
        return self._stored(model)[0]

    def sizes(self, model: str) -> NDArray[np.int64] | None:
        """The shapes of each sample's outputs, (samples, axes), where these have different sizes. Raises EdgeworthyError."""
        return self._stored(model)[2]

    def every_size(self, model: str) -> NDArray[np.int64]:
        """As ``sizes``, also where all samples have outputs of one. Raises EdgeworthyError."""
        values, shapes, sizes = self._stored(model)
        alike = [size for shape in shapes.values() for size in shape]
        return np.tile(np.array(alike, np.int64), (len(values), 1)) if sizes is None else sizes

    def _stored_outputs(self, model: str) -> tuple[NDArray[np.float32], Shapes, NDArray[np.int64] | None]:
        """The outputs, kept in the store, the shape of a sample in each, and the sizes of samples that differ in them."""
        name = self._project.models.models[model].reference
        try:
            artifact = self._artifact(model, name)
        except RecipeRefused as error:  # of the reference; the variant that is compared with it is not to blame
            raise VariantError(f"the reference {name!r} of {model!r}: {error.message}", hint=error.hint) from error
        dataset = self._dataset(model)
        runtime = host_state.runtime_version(artifact.runtime)
        seed = self._project.models.models[model].random_seed
        facts = [artifact.key, dataset.checksum, runtime, host_state.hardware()["processor"], seed]
        key = digest(["reference 5", *facts])
        folder = self._store.find("references", key)
        if folder is None:
            self._progress(f"running the reference of {model}")
            with device_lock(HostDevice.connection, self._progress):
                outputs = self._target.outputs(self._job(artifact, dataset.samples("evaluation"), seed))
            values = outputs.values
            entry = self._project.models.models[model]
            check_outputs(artifact, outputs, dataset, entry)
            check_labels(model, outputs, dataset, entry)
            if not np.isfinite(values).all():
                raise VariantError(
                    f"the reference {name!r} of {model!r} gives NaN or infinity, so that nothing can be compared with it",
                    hint="check the model's weights and the scale of the dataset's inputs",
                )
            with self._store.create("references", key) as made:
                np.save(made / "outputs.npy", values)
                if outputs.sizes is not None:
                    np.save(made / "sizes.npy", outputs.sizes)
                # A list, for their order says where each stands, and JSON is written with sorted keys.
                names = artifact.outputs or ("",)
                write_json(made / "shapes.json", list(zip(names, outputs.shapes, strict=True)))
            folder = self._store.root / "references" / key
        shapes = {name: tuple(shape) for name, shape in read_json(folder / "shapes.json")}
        sizes = load_array(folder / "sizes.npy") if (folder / "sizes.npy").exists() else None
        return load_array(folder / "outputs.npy"), shapes, sizes

    def _truth(self, model: str) -> Truth:
        """What the model's outputs are judged by; the run keeps it beside the measurements. Raises EdgeworthyError."""
        dataset = self._dataset(model)
        entry = self._project.models.models[model]
        reference, outputs, sizes = self._stored(model)
        truth = truth_of(model, entry, dataset, reference, outputs, self._project.base, sizes)
        truth = replace(truth, random_weights=entry.source.random)
        if not entry.expect_weak_reference:
            check_reference(model, truth, functools.partial(self._trials, model))
        self._save(model, truth)
        return truth

    def _save(self, model: str, truth: Truth) -> None:
        """Keep it in the run; a function of the user's with its files, so that the run can be judged elsewhere."""
        copy = function_copy(truth.metric, self._project.base) if truth.folder else None
        if copy is None:
            self._journal.save_truth(model, truth)
        else:
            self._journal.save_truth(model, replace(truth, copy=copy.name, text=copy.text), copy.files)

    def _trials(self, model: str) -> Iterator[Trial]:
        """The reference's outputs for some evaluation samples whose inputs were changed, for each change that may be."""
        dataset = self._dataset(model)
        # A row has the sizes of ragged samples too, which no change would leave alone.
        if is_ragged(dataset.samples("evaluation").inputs):
            return
        artifact = self._artifact(model, self._project.models.models[model].reference)
        chosen = np.sort(np.random.default_rng(0).permutation(dataset.count)[:TRIED])
        inputs = dataset.samples("evaluation").take(chosen)
        for how, change in CHANGES.items():
            changed = change(inputs)
            if changed is None:
                continue
            with self._store.scratch() as folder, device_lock(HostDevice.connection, self._progress):
                np.save(folder / "inputs.npy", changed)
                samples = replace(dataset.samples("evaluation"), path=folder / "inputs.npy", steps=())
                job = self._job(artifact, samples, None)
                try:
                    values = self._target.outputs(job).values
                except EdgeworthyError:  # inputs that the model cannot take are not what was meant
                    continue
            yield Trial(how, chosen, values)

    def _job(self, artifact: Artifact, samples: Samples, seed: int | None) -> Job:
        return Job(artifact, samples, self._project.models.timeouts.cell_s, seed)
