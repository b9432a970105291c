"""What is made of a model's source before anything is converted: the trained source, and the steps of its sequences."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgeworthy.errors
from edgeworthy.datasets.prepared import PreparedDataset
from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import EdgeworthyError, RecipeRefused, VariantError
from edgeworthy.source_schema import FixedSource
from edgeworthy.storage import Store, read_json, write_json
from edgeworthy.tensors import NamedInput, length_of
from edgeworthy.variants.artifacts.child_process import Children, Event
from edgeworthy.variants.artifacts.frameworks import OPENED_BY
from edgeworthy.variants.artifacts.keys import SEQUENCES, ArtifactKeys
from edgeworthy.variants.artifacts.slots import Slots
from edgeworthy.variants.models.source_content import existing

if TYPE_CHECKING:
    from edgeworthy.variants.artifacts.maker import Progress


@dataclass(frozen=True)
class SourceChildren:
    """Runs a model's source in children of its framework, each thing once: the store keeps what comes of it.

    ``slots`` bounds how many children there are; ``rank`` is the model's place among those that want one.
    """

    store: Store
    keys: ArtifactKeys
    processes: Children
    slots: Slots
    rank: int
    stop: threading.Event
    progress: Progress

    def ready_source(self) -> FixedSource:
        """The source as the child opens it, trained first where there is a trainer. Raises SourceError and the like."""
        source = self.keys.source
        if source.trainer is None:
            return source
        trained = "weights" if source.factory else "path"
        return source.model_copy(update={"trainer": None, trained: str(self._trained().absolute())})

    def samples(self, source: FixedSource) -> PreparedDataset:
        """The dataset that artifacts are made from: of sequences their single steps. Raises SourceError."""
        dataset = self.keys.dataset
        if not length_of(dataset.samples("evaluation").inputs):
            return dataset
        sequences = {split: dataset.samples(split) for split in SEQUENCES if split in dataset.inputs}
        key = self.keys.steps(sequences)
        if self.store.find("steps", key) is None:
            with self.slots.held((0, self.rank)), self.store.create("steps", key) as folder:
                write_json(folder / "inputs.json", self._take_apart(source, sequences, folder))
        folder = self.store.root / "steps" / key
        inputs = tuple(map(NamedInput.from_json, read_json(folder / "inputs.json")))
        return dataset.taken_apart(inputs, {split: folder / f"{split}.npy" for split in sequences})

    def _take_apart(self, source: FixedSource, sequences: dict[str, Samples], folder: Path) -> list[dict[str, Any]]:
        """Have a child write the steps into ``folder``; gives back a step's inputs."""
        job = {
            "action": "take_apart",
            "framework": OPENED_BY[self.keys.kind],
            "source": source.model_dump(),
            "base_dir": str(self.keys.base),
            "sequences": {split: samples.to_json() for split, samples in sequences.items()},
            "classes": self.keys.dataset.classes,
            "out": str(folder),
        }
        self.progress(f"running {self.keys.name} step by step")
        inputs: list[dict[str, Any]] = self._made(job, "")["inputs"]
        return inputs

    def _trained(self) -> Path:
        """The file that the trainer wrote, trained now if the store lacks it."""
        key = self.keys.source_key
        name = "weights.pt" if self.keys.source.factory else "model.keras"
        if self.store.find("trained", key) is None:
            with self.slots.held((1, self.rank)), self.store.create("trained", key) as folder:
                self._train(folder / name)
        return self.store.root / "trained" / key / name

    def _train(self, out: Path) -> None:
        name, trainer = self.keys.name, self.keys.source.trainer
        job = {
            "action": "train",
            "trainer": trainer,
            "base_dir": str(self.keys.base),
            "splits": {array: self.keys.split_reference(array) for array in self.keys.training_arrays()},
            "out": str(out),
        }
        self.progress(f"training {name} (first use)")
        self._made(job, f"training {name}: ")
        existing(out, f"model {name!r}: what {trainer} should have written")

    def _made(self, job: dict[str, Any], doing: str) -> Event:
        """What the child of a job with one result says of it. Raises the error that it reports."""
        for event in self.processes.events(job, self.stop):
            if event["event"] == "progress":
                self.progress(f"{doing}{event['text']}")
            elif event["event"] == "failed":
                raise reported(event)
        return event


def reported(event: Event) -> EdgeworthyError:
    """The error that a child reported, in the type it had there."""
    if event["event"] == "refused":
        return RecipeRefused(event["message"], hint=event.get("hint", ""))
    kind = getattr(edgeworthy.errors, event["error_type"], VariantError)
    error: EdgeworthyError = kind(event["message"], hint=event.get("hint", ""), log_tail=event.get("log_tail", ""))
    return error
