"""Datasets as checked samples on disk, prepared once and kept in the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.array_files import load_array
from edgeworthy.dataset_schema import ANNOTATED_KINDS, FILE_KINDS, Dataset, Preprocessing
from edgeworthy.datasets import arrays
from edgeworthy.datasets.arrays import INPUT
from edgeworthy.datasets.from_arrays import from_arrays
from edgeworthy.datasets.from_files import Exclusive, Progress, from_files
from edgeworthy.datasets.preprocessing import check_values, described, value_steps
from edgeworthy.datasets.samples import Samples, Step
from edgeworthy.errors import SourceError
from edgeworthy.storage import Store, digest, read_json
from edgeworthy.suggestions import did_you_mean
from edgeworthy.tensors import NamedInput, constant, in_a_row, is_ragged, state

if TYPE_CHECKING:
    from edgeworthy.model_schema import Model

_NO_LABELS = "name a labels file under 'labels', or sort the images into a folder per class"


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset's splits and what they contain.

    ``inputs`` has the samples of each split, ``sha256`` a checksum of each array; ``input_shape`` is that of one sample, of an
    image (H, W, C); ``count`` and ``classes`` (None where numbers are to be predicted) describe the evaluation samples;
    ``description`` says in a line what was done to them; ``mismatch`` how the ranges of calibration inputs differ from
    those of evaluation inputs, or None. Where the samples are the steps of sequences, those of each calibration sequence end
    at ``calibration_ends``. ``class_names`` are those that folders, labels or categories have, in the order of the classes'
    numbers.
    """

    name: str
    kind: str
    folder: Path
    inputs: Mapping[str, Samples]
    sha256: Mapping[str, str]
    input_shape: tuple[int, ...]
    count: int
    classes: int | None
    description: str
    mismatch: str | None = None
    calibration_ends: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()

    def array(self, name: str) -> Path:
        """The .npy file of one array of targets."""
        return self.folder / f"{name}.npy"

    def samples(self, split: str) -> Samples:
        """The inputs of one split."""
        return self.inputs[split]

    def for_model(self, model: Model) -> PreparedDataset:
        """The dataset as a model takes it, by its ``inputs`` and its ``state``. Raises SourceError.

        Without ``inputs`` the arrays have the names of the model's inputs.
        """
        self._check_texts(model)
        if not model.inputs and not model.state:
            return self
        arrays = {each.name: each for each in self.arrays()}
        inputs = self._given(model.inputs, arrays) if model.inputs else list(arrays.values())
        if model.state:
            self._check_sequences(inputs)
            inputs = [replace(each, stepped=each.constant is None) for each in inputs]
        for name, of in model.states.items():
            inputs.append(state(name, of.output, 0.0 if of.initial == "zeros" else of.initial, of.shape or ()))
        named, last = tuple(inputs), bool(model.state) and self.classes is not None
        sha256 = {name: _as_given(name, sha, (), named, last) for name, sha in self.sha256.items()}
        samples = {split: replace(each, inputs=named, last=last) for split, each in self.inputs.items()}
        size = sum(each.size for each in arrays.values())
        return replace(self, inputs=samples, sha256=sha256, input_shape=(size,))

    def _check_texts(self, model: Model) -> None:
        """Raise SourceError where there are texts and the model is not of the format that has them."""
        texts = [each.name for each in self.inputs["evaluation"].inputs if each.width]
        if texts and not str(model.source.path).lower().endswith(".onnx"):
            raise SourceError(
                f"dataset {self.name!r}: evaluation_{texts[0]} holds texts, which only .onnx files take",
                hint="give numbers in their place (a tokenizer's, for example), or the model as .onnx",
            )

    def taken_apart(self, inputs: tuple[NamedInput, ...], splits: Mapping[str, Path]) -> PreparedDataset:
        """The dataset whose samples are the steps of its sequences: ``splits`` are files of rows of a step's ``inputs``."""
        samples = {split: Samples(path, (), inputs) for split, path in splits.items()}
        size = sum(each.size for each in inputs)
        ends = np.cumsum(self.inputs["calibration"].lengths()) if "calibration" in splits else ()
        return replace(
            self, inputs={**self.inputs, **samples}, input_shape=(size,), calibration_ends=tuple(map(int, ends))
        )

    def _given(self, given: Mapping[str, str | float], arrays: Mapping[str, NamedInput]) -> list[NamedInput]:
        """What each input of a model is given: an array, or a number."""
        inputs = []
        for name, what in given.items():
            if isinstance(what, str) and what not in arrays:
                raise SourceError(
                    f"dataset {self.name!r} has no array {f'evaluation_{what}'!r} for the model's input {name!r};"
                    f" {did_you_mean(what, arrays)}",
                    hint="correct the model's 'inputs' in models.yaml",
                )
            inputs.append(replace(arrays[what], name=name) if isinstance(what, str) else constant(name, what))
        return inputs

    def _check_sequences(self, inputs: Sequence[NamedInput]) -> None:
        """Raise SourceError unless a sample has as many steps in every array, and steps are alike in size."""
        varying = [each for each in inputs if each.constant is None]
        lengths = {each.name: each.shape[0] if each.shape else 0 for each in varying}
        if min(lengths.values()) < 1:
            alone = min(lengths, key=lambda name: lengths[name])
            raise SourceError(
                f"dataset {self.name!r}: a model with state is given sequences, and samples of {alone!r} have no steps",
                hint="give arrays of shape (samples, steps, ...): of each sample what the model takes at each step",
            )
        if len(set(lengths.values())) > 1:
            counted = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise SourceError(
                f"dataset {self.name!r}: the arrays have sequences of different numbers of steps: {counted}",
                hint="give each sample as many steps in every array",
            )
        for each in varying:
            if set(each.ragged) - {0}:
                raise SourceError(
                    f"dataset {self.name!r}: the steps of {each.name!r} have different sizes; sequences may differ in their"
                    " number of steps alone",
                    hint="give steps of one size",
                )
        if is_ragged(varying):
            for split, samples in self.inputs.items():
                self._check_lengths(split, samples, varying)

    def _check_lengths(self, split: str, samples: Samples, varying: Sequence[NamedInput]) -> None:
        """Raise SourceError where a sample has more steps in one array than in another."""
        first, *others = (replace(samples, inputs=(replace(each, stepped=True),)).lengths() for each in varying)
        for each, lengths in zip(varying[1:], others, strict=True):
            if (first != lengths).any():
                sample = int((first != lengths).argmax())
                raise SourceError(
                    f"dataset {self.name!r}: {split} sample {sample} has {first[sample]} steps in {varying[0].name!r} and"
                    f" {lengths[sample]} in {each.name!r}",
                    hint="give each sample as many steps in every array",
                )

    def arrays(self) -> tuple[NamedInput, ...]:
        """The arrays of inputs, and where each stands in a row."""
        samples = self.inputs["evaluation"]
        return samples.inputs or in_a_row({INPUT: load_array(samples.path, mapped=True)})

    @property
    def labelled(self) -> bool:
        """Whether the evaluation samples have targets."""
        return "evaluation_y" in self.sha256

    def check_labelled(self, metric: str) -> None:
        """Raise SourceError where there are no targets, which ``metric`` needs."""
        if self.labelled:
            return
        if self.kind in FILE_KINDS:
            lacking, where = ": its evaluation samples have no labels", _NO_LABELS
        else:
            lacking, where = " lacks 'evaluation_y'", "add the array evaluation_y"
        if self.kind == "csv":
            lacking, where = ": its rows have no targets", "name their column under 'target'"
        raise SourceError(
            f"dataset {self.name!r}{lacking}, which the metric {metric} needs",
            hint=f"{where}; or judge the model without targets, by 'metric: fidelity'",
        )

    def targets(self) -> NDArray[Any]:
        """The evaluation targets as the dataset gives them, (N, ...); of different sizes in the frame of the largest of them.

        Without targets -1 (N,) where the dataset has classes, else (N, 0).
        """
        if not self.labelled:
            return np.full(self.count, -1, np.int64) if self.classes else np.zeros((self.count, 0), np.float32)
        targets: NDArray[Any] = load_array(self.array("evaluation_y"))
        sizes = self.target_sizes()  # what is stored may be as large as one that is not among the chosen
        return targets if sizes is None else targets[(slice(None), *map(slice, sizes.max(axis=0)))]

    def target_sizes(self) -> NDArray[np.int64] | None:
        """The shape of each evaluation target, (N, axes), where they differ; they are then followed by zeros."""
        return load_array(self.array("evaluation_y_sizes")) if "evaluation_y_sizes" in self.sha256 else None

    def labels(self) -> NDArray[Any]:
        """The evaluation targets in rows: class numbers int64 (N,), or (N, values)."""
        targets = self.targets()
        return targets if targets.ndim == 1 and targets.dtype == np.int64 else targets.reshape(len(targets), -1)

    def check_calibration(self) -> None:
        """Raise SourceError where calibration inputs have another range than evaluation inputs."""
        if self.mismatch:
            raise SourceError(
                f"dataset {self.name!r}: {self.mismatch}",
                hint="preprocess both in the same way, and shuffle before splitting; if it must be so, set"
                " 'expect_weak_reference: true' in the model's entry",
            )

    def target_channels(self) -> int:
        """The last dimension of targets that are images, (N, ..., channels); 0 for others."""
        if not self.labelled or self.kind in ANNOTATED_KINDS:
            return 0
        targets = load_array(self.array("evaluation_y"), mapped=True)
        return targets.shape[-1] if targets.ndim > 2 else 0

    @property
    def checksum(self) -> str:
        """One checksum for the evaluation samples, as a model is given them, and their targets."""
        return digest([self.sha256[name] for name in arrays.EVALUATION if name in self.sha256])


def prepare(
    store: Store,
    name: str,
    dataset: Dataset,
    base: Path,
    progress: Progress = lambda text: None,
    exclusive: Exclusive = nullcontext,
) -> PreparedDataset:
    """The dataset as files in the store, made on first use. Raises SourceError naming the dataset.

    ``exclusive`` is held while images are decoded, so that nothing is timed on this machine at the same time.
    """
    with _naming(name):
        if dataset.kind in FILE_KINDS:
            report: Progress = lambda text: progress(f"{name}: {text}")  # noqa: E731
            folder, inputs, notes, class_names = from_files(store, dataset, base, report, exclusive)
            for note in notes:
                report(note)
        else:
            (folder, inputs), notes, class_names = from_arrays(store, dataset, base), [], ()
        facts = read_json(folder / "dataset.json")
        count, *shape = facts["shapes"]["evaluation"]
        named = _named(dataset, facts)
        steps = () if named else _steps(dataset, facts)
        sha256 = {array: _as_given(array, sha, steps, named) for array, sha in facts["sha256"].items()}
        checksum = f"checksum {sha256['evaluation_x'][:12]}"
        counted = _counted(dataset.preprocessing, facts)
        return PreparedDataset(
            name=name,
            kind=dataset.kind,
            folder=folder,
            inputs={split: Samples(path, steps, named, timed=facts.get("timed", 0)) for split, path in inputs.items()},
            sha256=sha256,
            input_shape=tuple(shape),
            count=count,
            classes=facts["classes"],
            mismatch=facts["mismatch"],
            description="; ".join([_description(dataset, facts), *counted, *notes, checksum]),
            class_names=class_names,
        )


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Begin every message with the dataset's name."""
    try:
        yield
    except SourceError as error:
        verb = error.message.startswith(("lacks ", "has an unknown array "))
        raise SourceError(f"dataset {name!r}{'' if verb else ':'} {error.message}", hint=error.hint) from error


def _steps(dataset: Dataset, facts: dict[str, Any]) -> tuple[Step, ...]:
    """What is done to the values of the only input. Raises SourceError where they do not fit it."""
    shape = facts["shapes"]["evaluation"][1:]
    steps = value_steps(dataset.preprocessing, shape[-1] if shape else 1)
    check_values(dataset.preprocessing, *facts["extremes"])
    return steps


def _named(dataset: Dataset, facts: dict[str, Any]) -> tuple[NamedInput, ...]:
    """What stands where in a row, where there are several inputs. Raises SourceError for a preprocessing of them."""
    named = tuple(map(NamedInput.from_json, facts["inputs"]))
    if len(named) > 1 and dataset.preprocessing:
        raise SourceError(
            f"preprocessing is for one input, and there are {len(named)}: {', '.join(each.name for each in named)}",
            hint="remove 'preprocessing', and give the arrays as the model takes them",
        )
    return named


def _as_given(array: str, sha: str, steps: tuple[Step, ...], named: tuple[NamedInput, ...], last: bool = False) -> str:
    """The checksum of an array of inputs with what is done to it, and under which names: the same rows may be other inputs.

    Of sequences of which the ``last`` step counts, outputs are others than of all steps.
    """
    further = [list(steps), [each.to_json() for each in named], *(["last"] if last else [])]
    return digest([sha, *further]) if any(further) and array.endswith(f"_{INPUT}") else sha


def _description(dataset: Dataset, facts: dict[str, Any]) -> str:
    shape = "x".join(map(str, facts["shapes"]["evaluation"][1:])) or "one number"
    if facts["inputs"]:
        shape = " and ".join(f"{named['name']} {_shapes(named, facts)}" for named in facts["inputs"])
    counts = [f"{facts['shapes'][split][0]:,} {split}" for split in arrays.SPLITS if split in facts["shapes"]]
    return f"{', '.join(counts)} samples of {shape}; {described(dataset.preprocessing)}"


def _shapes(named: dict[str, Any], facts: dict[str, Any]) -> str:
    """The shape of an input's samples; of different ones the extremes of each size."""
    found = facts.get("ragged", {}).get(named["name"], [named["shape"]])
    shown = " to ".join("x".join(map(str, shape)) or "1" for shape in found)
    return f"{shown} (one by one, sample {facts['timed']} is timed, of median size)" if len(found) > 1 else shown


def _counted(how: Preprocessing | None, facts: dict[str, Any]) -> list[str]:
    """What was done with EXIF orientations, alpha, boxes and lengths, where there is anything."""
    how = how or Preprocessing()
    oriented = "applied" if how.exif_orientation else "not applied (preprocessing.exif_orientation)"
    alpha = "dropped" if how.alpha == "drop" else f"composited over {how.alpha}"
    counts = [
        ("oriented", f"images with an EXIF orientation, which is {oriented}"),
        ("transparent", f"images with transparent pixels, whose alpha is {alpha} (preprocessing.alpha)"),
        ("dropped", "boxes outside of the crop, which are left out"),
        ("cut", "sounds longer than 'seconds', which are cut at the end"),
        ("truncated", "texts of more tokens than 'length', of which the rest is left out"),
        ("padded", "sounds shorter than 'seconds', which are followed by zeros"),
    ]
    return [f"{facts[name]:,} {text}" for name, text in counts if facts.get(name)]
