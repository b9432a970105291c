"""A dataset's samples in the sizes in which a model takes them: as its ``shapes`` and ``ragged`` in models.yaml say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.prepared import PreparedDataset
from edgeworthy.datasets.ragged import sizes_in
from edgeworthy.datasets.samples import IMAGE_RANK, Samples
from edgeworthy.errors import SourceError
from edgeworthy.storage import Store, digest
from edgeworthy.suggestions import did_you_mean
from edgeworthy.tensors import NamedInput

if TYPE_CHECKING:
    from edgeworthy.model_schema import Model, Padding

#: What follows the name of an array: how long each sample is, and where its own values are.
LENGTH, MASK = ".length", ".mask"
Wanted = Sequence[int | None]
#: Samples that are padded at a time.
ROWS = 64


class Block(NamedTuple):
    """An input in a row, and what it is for some rows of the dataset's: values (n, ...), and sizes along its ragged axes."""

    named: NamedInput
    values: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    sizes: Callable[[NDArray[np.float32]], NDArray[np.int64]]


@dataclass(frozen=True)
class Padded:
    """An array of inputs as it is padded: its samples go into ``frame``, along ``ragged`` up to a multiple of ``multiple``."""

    given: NamedInput
    frame: tuple[int, ...]
    ragged: tuple[int, ...]
    multiple: int
    value: float

    def sizes(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """The shape of each sample, padded, (n, axes)."""
        sizes = np.tile(np.array(self.frame, np.int64), (len(rows), 1))
        own = sizes_in(rows, self.given)
        for axis in self.ragged:
            sizes[:, axis] = -(-own[:, axis] // self.multiple) * self.multiple
        return sizes

    def values(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Each sample's own values, then ``value`` as far as it is padded, then zeros, (n, *frame); of texts their numbers."""
        if self.given.width:
            return self.given.numbers(rows)
        return self._framed(rows, [self.given.of(row[np.newaxis])[0] for row in rows], self.value)

    def mask(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """1 where the values are a sample's own, 0 where they are padding, over the axes along which samples are padded."""
        axes = self.masked
        owns = [np.ones([self.given.shape_in(row)[axis] for axis in axes], np.float32) for row in rows]
        return self._framed(rows, owns, 0.0, axes)

    @property
    def masked(self) -> tuple[int, ...]:
        """The axes that a mask has: those along which samples have sizes of their own, or are padded."""
        axes = zip(self.given.open_shape, self.frame, strict=True)
        return tuple(axis for axis, (size, padded) in enumerate(axes) if size != padded)

    def lengths(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """How long each sample is along the one axis along which samples are padded, (n,)."""
        return sizes_in(rows, self.given)[:, self.masked[0]].astype(np.float32)

    def blocks(self, further: Collection[str]) -> Iterator[Block]:
        """What is kept of the array in a row: its values, and of its mask and length those whose names are in ``further``."""
        name = self.given.name
        yield Block(replace(self.given, shape=self.frame, ragged=self.ragged), self.values, self._sizes_of(self.ragged))
        if name + MASK in further and self.masked:
            shape = tuple(self.frame[axis] for axis in self.masked)
            ragged = tuple(place for place, axis in enumerate(self.masked) if axis in self.ragged)
            yield Block(NamedInput(name + MASK, shape, "int64", ragged=ragged), self.mask, self._sizes_of(self.ragged))
        if name + LENGTH in further and len(self.masked) == 1:
            yield Block(NamedInput(name + LENGTH, (), "int64"), self.lengths, self._sizes_of(()))

    def _sizes_of(self, axes: tuple[int, ...]) -> Callable[[NDArray[Any]], NDArray[np.int64]]:
        return lambda rows: self.sizes(rows)[:, list(axes)]

    def _framed(
        self, rows: NDArray[np.float32], owns: Iterable[NDArray[Any]], value: float, axes: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        kept = list(range(len(self.frame)) if axes is None else axes)
        sizes = self.sizes(rows)[:, kept]
        whole = np.zeros((len(rows), *(self.frame[axis] for axis in kept)), np.float32)
        for place, size, own in zip(whole, sizes, owns, strict=True):
            place[tuple(map(slice, size))] = value
            place[tuple(map(slice, own.shape))] = own
        return whole


def in_model_sizes(store: Store, dataset: PreparedDataset, model: Model) -> PreparedDataset:
    """The dataset with its samples in the sizes that the model takes. Raises SourceError where they do not fit ``shapes``.

    Padded ones are kept in the store. ``NAME.length`` and ``NAME.mask`` of an array whose samples differ are arrays too where
    the model's ``inputs`` name them.
    """
    arrays = {each.name: each for each in dataset.arrays()}
    fixed = {name: _in_axes(dataset, of, arrays[name], model.shapes[of]) for name, of in _fixed(model, arrays)}
    further = [each for each in model.inputs.values() if isinstance(each, str) and each.endswith((LENGTH, MASK))]
    if model.ragged == "one_by_one":
        for name, of in _fixed(model, arrays):
            _check_size(dataset, of, arrays[name], fixed[name])
        padded = [Padded(each, each.shape, each.ragged, 1, 0.0) for each in arrays.values()]
    else:
        padded = [_padded(dataset, each, fixed.get(each.name), model.ragged) for each in arrays.values()]
        _check_values(dataset, padded, model.ragged.pad)
    blocks = [block for each in padded for block in each.blocks(further)]
    if [block.named for block in blocks] != list(arrays.values()) or any(each.multiple > 1 for each in padded):
        only = blocks[0].named
        unnamed = len(blocks) == 1 and not (only.ragged or only.width or model.inputs or model.state)
        dataset = _rewritten(store, dataset, padded, blocks, unnamed)
    return dataset


def _fixed(model: Model, arrays: Mapping[str, NamedInput]) -> list[tuple[str, str]]:
    """The arrays whose shape is fixed, and the input that each is given to."""
    found = []
    for name in model.shapes:
        array = (
            model.inputs.get(name, name) if model.inputs or name in arrays or len(arrays) > 1 else next(iter(arrays))
        )
        if isinstance(array, str) and array in arrays and name not in model.state:
            found.append((array, name))
    return found


def _in_axes(dataset: PreparedDataset, name: str, given: NamedInput, shape: Wanted) -> Wanted:
    """The sizes of a sample that the shape of the input ``name`` means, images as (height, width, channels).

    Raises SourceError for another number of axes, and for a batch of several samples.
    """
    batch, *sizes = shape or [None]
    if batch not in (None, 1):
        raise SourceError(
            f"'shapes' fixes the input {name!r} to {shown(shape)}: a batch of {batch}, and samples are run one by one",
            hint="give 1 or null as the first size in models.yaml",
        )
    if len(sizes) != len(given.shape):
        raise SourceError(
            f"'shapes' fixes the input {name!r} to {shown(shape)}, {len(shape)} axes, and a batch of samples of dataset"
            f" {dataset.name!r}, {described(given)}, has {1 + len(given.shape)}",
            hint="give the batch, 1 or null, and then a size for each axis of a sample",
        )
    if len(shape) != IMAGE_RANK or sizes[-1] == given.shape[-1] or (sizes[-1] is None and sizes[0] != given.shape[-1]):
        return sizes
    return [*sizes[1:], sizes[0]]  # of a model with channels first


def _check_size(dataset: PreparedDataset, name: str, given: NamedInput, sizes: Wanted) -> None:
    """Raise SourceError unless all samples have the sizes that are fixed."""
    if any(size not in (None, own) for size, own in zip(sizes, given.open_shape, strict=True)):
        raise SourceError(
            f"dataset {dataset.name!r} has samples of {described(given)}, and 'shapes' fixes the input {name!r} to"
            f" {shown(sizes)} a sample",
            hint="give samples of that size (preprocessing resizes images), let smaller ones be padded by 'ragged: pad', or"
            " leave the size open by null",
        )


def described(given: NamedInput) -> str:
    """The shape of samples, ? along the axes in which they differ; the largest in parentheses."""
    largest = f" (the largest {shown(given.shape)})" if given.ragged else ""
    return f"{shown(given.open_shape)}{largest}"


def shown(shape: Wanted) -> str:
    """A shape as messages show it."""
    return "x".join("?" if size is None else str(size) for size in shape) or "one number"


def _padded(dataset: PreparedDataset, given: NamedInput, shape: Wanted | None, how: Padding) -> Padded:
    """How samples of an array are padded. Raises SourceError where they are larger than what is fixed."""
    wanted = shape or [None] * len(given.shape)
    several = how.multiple_of or 1
    ragged = given.ragged if how.multiple_of else ()
    ragged = tuple(axis for axis in ragged if wanted[axis] is None)
    frame = tuple(
        size or -(-own // several) * several if axis in ragged else size or own
        for axis, (size, own) in enumerate(zip(wanted, given.shape, strict=True))
    )
    if any(size < own for size, own in zip(frame, given.shape, strict=True)):
        raise SourceError(
            f"dataset {dataset.name!r} has samples of {described(given)}, which cannot be padded to the {shown(wanted)}"
            " that 'shapes' fixes",
            hint="fix a larger shape, or give smaller samples (preprocessing resizes images)",
        )
    if given.width and (frame != given.shape or given.ragged):
        raise SourceError(
            f"dataset {dataset.name!r}: {given.name} holds texts, which have no value to be padded with",
            hint="give as many texts for each sample, or run the samples one by one: 'ragged: one_by_one'",
        )
    value = how.pad.get(given.name, 0.0) if isinstance(how.pad, dict) else how.pad
    return Padded(given, frame, ragged, several if ragged else 1, value)


def _check_values(dataset: PreparedDataset, padded: Sequence[Padded], pad: float | Mapping[str, float]) -> None:
    """Raise SourceError for a value of an array that there is not, and for one number where several arrays are padded."""
    names = [each.given.name for each in padded]
    unknown = [name for name in pad if name not in names] if isinstance(pad, Mapping) else []
    if unknown:
        raise SourceError(
            f"dataset {dataset.name!r} has no array {unknown[0]!r} to be padded; {did_you_mean(unknown[0], names)}",
            hint="correct 'pad' under 'ragged' of the model in models.yaml",
        )
    several = [each.given.name for each in padded if each.masked]
    if len(several) > 1 and not isinstance(pad, Mapping) and pad:
        raise SourceError(
            f"dataset {dataset.name!r}: {' and '.join(several)} are padded, and 'pad' gives {pad:g} for all of them",
            hint=f"say which of them it is for, 0 of the others: ragged: {{pad: {{{several[0]}: {pad:g}}}}}",
        )


def _rewritten(
    store: Store, dataset: PreparedDataset, padded: Sequence[Padded], blocks: Sequence[Block], unnamed: bool
) -> PreparedDataset:
    """The dataset with rows of these blocks, which the store keeps; where it is ``unnamed``, one array (n, ...) as any other."""
    inputs: list[NamedInput] = []
    for block in blocks:
        start = inputs[-1].end if inputs else 0
        inputs.append(replace(block.named, start=start, sizes=start + block.named.size if block.named.ragged else 0))
    plan = [[each.given.to_json(), each.frame, each.ragged, each.multiple, each.value] for each in padded]
    key = digest(["padded 1", dataset.sha256, plan, [each.name for each in inputs], unnamed])
    shape = inputs[0].shape if unnamed else (inputs[-1].end,)
    if store.find("padded", key) is None:
        with store.create("padded", key) as made:
            for split, samples in dataset.inputs.items():
                _write(made / f"{split}.npy", samples, blocks, inputs, shape)
    folder = store.root / "padded" / key
    made_of = {
        split: replace(each, path=folder / f"{split}.npy", steps=(), inputs=() if unnamed else tuple(inputs))
        for split, each in dataset.inputs.items()
    }
    sha256 = {name: digest([key, sha]) if name.endswith("_x") else sha for name, sha in dataset.sha256.items()}
    return replace(dataset, inputs=made_of, sha256=sha256, input_shape=shape)


def _write(
    path: Path, samples: Samples, blocks: Sequence[Block], inputs: Sequence[NamedInput], shape: tuple[int, ...]
) -> None:
    written = np.lib.format.open_memmap(path, "w+", np.float32, (len(samples), *shape))
    for start in range(0, len(samples), ROWS):
        rows = samples.read(start, start + ROWS)
        rows = rows.reshape(len(rows), -1)
        made = written[start : start + len(rows)].reshape(len(rows), -1)
        for block, each in zip(blocks, inputs, strict=True):
            made[:, each.start : each.start + each.size] = block.values(rows).reshape(len(rows), -1)
            made[:, each.sizes : each.sizes + len(each.ragged)] = block.sizes(rows)
    written.flush()
