"""What a model's outputs are judged by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.metrics import CLASSIFICATION, FIDELITY
from edgeworthy.runners.python_runner.texts import FINGERPRINT, fingerprints


@dataclass(frozen=True)
class Truth:
    """What a model's outputs are judged by: ``labels`` and the reference's outputs, float32 (samples, values).

    Labels are class numbers, int64 (samples,), or numbers that were to be predicted, float32 (samples, values). Without
    targets they are -1 where the outputs are scores of classes, and else have no values. Of a ``task`` (its kind and its
    options, as in models.yaml) they are the dataset's targets as it gives them.
    ``metric`` is what is judged: ``top1``, ``mse``, ``fidelity``, one of a task's, or a function's name. A function is
    found from ``folder``; a run's own copy of it is called ``copy`` there, and ``text`` is the digest of its files.
    ``dataset`` is the checksum of the evaluation samples and their labels.
    ``channels`` is the last dimension of targets that are images, 0 where every value is a column of its own.
    ``threshold`` is set where a binary classifier has one output: class 1 above it (0.5 of a probability, 0 of a logit).
    With ``random_weights`` labels say nothing, and a variant is judged by its fidelity to the reference alone.
    Where classes are ``texts``, in the order of their numbers, the output is a text's fingerprint.
    ``outputs`` are the reference's, name -> the shape of a sample, in the order in which they stand in a row; a single one
    is called "". Where samples have outputs of different ``sizes`` these are frames, as in Outputs; ``label_sizes``
    (samples, axes) are those of labels that differ in size, which are followed by zeros; ``image_sizes`` (samples, 3) those of
    images, where a task depends on them.
    """

    labels: NDArray[Any]
    reference: NDArray[np.float32]
    metric: str
    dataset: str
    higher_is_better: bool = True
    unit: str = "%"
    folder: str = ""
    random_weights: bool = False
    channels: int = 0
    threshold: float | None = None
    copy: str = ""
    text: str = ""
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    sizes: NDArray[np.int64] | None = None
    label_sizes: NDArray[np.int64] | None = None
    image_sizes: NDArray[np.int64] | None = None

    @property
    def several(self) -> bool:
        """Whether there are several outputs."""
        return len(self.outputs) > 1

    def parts(self, values: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.float32], Truth]]:
        """Each output by itself: its name, its ``values`` (samples, values), and what they are judged by."""
        if not self.several:
            yield "", values, self
            return
        start = axis = 0
        for name, shape in self.outputs.items():
            part = slice(start, start + math.prod(shape))
            sizes = None if self.sizes is None else self.sizes[:, axis : axis + len(shape)]
            own = replace(self, reference=self.reference[:, part], outputs={"": shape}, sizes=sizes)
            yield name, values[:, part], own
            start, axis = part.stop, axis + len(shape)

    def own_values(self) -> NDArray[np.bool_] | None:
        """Which values (samples, values) are a sample's own, and not what follows a smaller one; None where all are."""
        if self.sizes is None:
            return None
        if self.several:
            parts = (own.own_values() for _, _, own in self.parts(self.reference))
            return np.concatenate([each for each in parts if each is not None], axis=1)
        (frame,) = self.outputs.values()
        inside = np.ones((len(self.sizes), *frame), np.bool_)
        for axis, size in enumerate(frame):
            places = np.arange(size).reshape(-1, *[1] * (len(frame) - axis - 1))
            inside &= places < self.sizes[:, axis].reshape(-1, *[1] * len(frame))
        return inside.reshape(len(self.sizes), -1)

    def named(self, values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Each output by its name, in its own shape (samples, ...)."""
        parts = ((name or next(iter(self.outputs)), part) for name, part, _ in self.parts(values))
        return {name: part.reshape(len(part), *self.outputs[name]) for name, part in parts}

    def class_scores(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (samples, values) as one score per class: a binary classifier's one output becomes two columns.

        A text becomes 1 for the class that it is, and the last column is that of all other texts.
        """
        if self.texts:
            same = values @ fingerprints(np.array(self.texts)).T == FINGERPRINT
            return np.concatenate([same, ~same.any(axis=1, keepdims=True)], axis=1).astype(np.float32)
        if self.threshold is None:
            return values
        margin = values - np.float32(self.threshold)
        return np.concatenate([-margin, margin], axis=1)

    @property
    def by_fidelity(self) -> bool:
        """Whether the labels say nothing: a variant is then judged by how close it is to the reference alone."""
        return self.random_weights or self.metric == FIDELITY

    @property
    def classifies(self) -> bool:
        """Whether the outputs are scores of classes."""
        classes = self.task.get("kind", CLASSIFICATION) == CLASSIFICATION
        return classes and not self.several and self.labels.ndim == 1 and np.issubdtype(self.labels.dtype, np.integer)
