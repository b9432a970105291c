"""Datasets as checked samples on disk, prepared once and kept in the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.dataset_schema import FILE_KINDS, Dataset
from harness.errors import SourceError
from harness.sources import arrays
from harness.sources.from_arrays import from_arrays
from harness.sources.from_files import Alone, Progress, from_files
from harness.sources.preprocessing import check_values, described, value_step
from harness.sources.samples import Samples
from harness.storage import Store, digest, read_json


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset's parts and what they hold.

    ``inputs`` has the samples of each part, ``sha256`` a checksum of each array; ``input_shape`` is (H, W, C) of one
    sample; ``count`` and ``classes`` (None where numbers are to be predicted) describe the evaluation samples;
    ``description`` says in a line what was done to them.
    """

    name: str
    folder: Path
    inputs: Mapping[str, Samples]
    sha256: Mapping[str, str]
    input_shape: tuple[int, int, int]
    count: int
    classes: int | None
    description: str

    def array(self, name: str) -> Path:
        """The .npy file of one array of targets."""
        return self.folder / f"{name}.npy"

    def samples(self, split: str) -> Samples:
        """The inputs of one part."""
        return self.inputs[split]

    def labels(self) -> NDArray[Any]:
        """The evaluation targets: class numbers int64 (N,), or float32 (N, values)."""
        targets: NDArray[Any] = np.load(self.array("evaluation_y"))
        return targets if targets.dtype == np.int64 else targets.reshape(len(targets), -1)

    @property
    def checksum(self) -> str:
        """One checksum for the evaluation samples, as a model is given them, and their targets."""
        return digest([self.sha256[name] for name in arrays.REQUIRED])


def prepare(
    store: Store,
    name: str,
    dataset: Dataset,
    base: Path,
    progress: Progress = lambda text: None,
    alone: Alone = nullcontext,
) -> PreparedDataset:
    """The dataset as files in the store, made on first use. Raises SourceError naming the dataset.

    ``alone`` is held while images are decoded, so that nothing is timed on this machine meanwhile.
    """
    with _naming(name):
        if dataset.kind in FILE_KINDS:
            folder, inputs = from_files(store, dataset, base, lambda text: progress(f"{name}: {text}"), alone)
        else:
            folder, inputs = from_arrays(store, dataset, base)
        facts = read_json(folder / "dataset.json")
        count, *shape = facts["shapes"]["evaluation"]
        step = value_step(dataset.preprocessing, shape[2])
        sha256 = {array: _with_step(array, sha, step) for array, sha in facts["sha256"].items()}
        prepared = PreparedDataset(
            name=name,
            folder=folder,
            inputs={part: Samples(path, *step) for part, path in inputs.items()},
            sha256=sha256,
            input_shape=(shape[0], shape[1], shape[2]),
            count=count,
            classes=facts["classes"],
            description=f"{_description(dataset, facts)}; checksum {sha256['evaluation_x'][:12]}",
        )
        check_values(dataset.preprocessing, *facts["extremes"])
        return prepared


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Begin every sentence with the dataset that it is about."""
    try:
        yield
    except SourceError as error:
        verb = error.message.startswith(("lacks ", "has an array "))
        raise SourceError(
            f"dataset {name!r}{'' if verb else ':'} {error.message}", next_step=error.next_step
        ) from error


def _with_step(array: str, sha: str, step: tuple[tuple[float, ...], tuple[float, ...]]) -> str:
    return digest([sha, *step]) if step[0] and array.endswith("_x") else sha


def _description(dataset: Dataset, facts: dict[str, Any]) -> str:
    shape = "x".join(map(str, facts["shapes"]["evaluation"][1:]))
    counts = [f"{facts['shapes'][part][0]:,} {part}" for part in arrays.SPLITS if part in facts["shapes"]]
    return f"{', '.join(counts)} samples of {shape}; {described(dataset.preprocessing)}"
