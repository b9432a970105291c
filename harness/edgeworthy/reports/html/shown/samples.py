"""The samples of a model's evaluation split, as their kind of dataset has them shown: one small function for each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.prepared import PreparedDataset
from edgeworthy.reports.html.shown.picture import heat_map, picture, spectrogram
from edgeworthy.tensors import NamedInput
from edgeworthy.text import printable

#: A text is cut to so many characters, of other samples so many numbers are shown.
LONGEST, NUMBERS = 300, 6
#: Token numbers -> the text that they are of, where the dataset has a tokenizer.
Tokens = Callable[[list[int]], str]


@dataclass(frozen=True)
class Sample:
    """What a model was given: a ``picture`` (a data URI), a ``text``, or both; ``shape`` is (height, width) of an image."""

    picture: str = ""
    text: str = ""
    shape: tuple[int, int] | None = None


@dataclass(frozen=True)
class Samples:
    """The evaluation samples of ``dataset``, as its files have them; ``text_of`` reads those of a dataset of texts."""

    dataset: PreparedDataset
    text_of: Tokens | None = None

    def __getitem__(self, index: int) -> Sample:
        samples = self.dataset.samples("evaluation")
        values = np.load(samples.path, mmap_mode="r")[index]
        if self.text_of is not None:
            ids = samples.inputs[0].of(values[None]) if samples.inputs else values
            return Sample(text=printable(self.text_of(ids.ravel().astype(int).tolist()), LONGEST))
        if samples.inputs:
            return _several(samples.inputs, values)
        return _SHOWN.get(self.dataset.kind, _array)(values)


def _several(inputs: Sequence[NamedInput], row: NDArray[Any]) -> Sample:
    """Of a model of several inputs, or of texts: each by its name, the first that is an image as a picture."""
    each = {one.name: _array(one.of(row[None])[0]) for one in inputs if one.constant is None}
    image = next((sample for sample in each.values() if sample.picture), Sample())
    texts = [f"{name}: {sample.text}" if len(each) > 1 else sample.text for name, sample in each.items() if sample.text]
    return replace(image, text="\n".join(texts))


def _array(values: NDArray[Any]) -> Sample:
    """Of kinds that hold anything: an image by its shape (height, width, channels), else numbers."""
    if values.ndim == 3 and values.shape[2] in (1, 3, 4) and min(values.shape[:2]) > 1:
        return _image(values)
    if values.dtype.kind == "U":
        return Sample(text=printable(", ".join(values.ravel().tolist()), LONGEST))
    return _numbers(values)


def _image(values: NDArray[Any]) -> Sample:
    return Sample(picture=picture(values), shape=(values.shape[0], values.shape[1]))


def _sound(values: NDArray[Any]) -> Sample:
    return Sample(picture=spectrogram(values) if values.ndim == 1 else heat_map(values))


def _numbers(values: NDArray[Any]) -> Sample:
    flat = values.ravel()
    text = ", ".join(f"{value:.4g}" for value in flat[:NUMBERS].tolist())
    return Sample(text=text + (f", ... ({flat.size:,} numbers)" if flat.size > NUMBERS else ""))


#: Kind of dataset -> how a sample of it is shown; any other kind's by its shape.
_SHOWN: dict[str, Callable[[NDArray[Any]], Sample]] = {
    "images": _image,
    "table": _image,
    "coco": _image,
    "masks": _image,
    "audio": _sound,
}
