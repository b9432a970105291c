"""What a model's kernels may look like after fine-tuning: pruned, clustered, rounded. Plain arrays, no framework.

A constraint is applied before every batch, so that the batch is computed with the kernels that the artifact will have.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Kernel = NDArray[np.float32]
Schedule = Literal["polynomial", "constant"]

#: The share of the training in which a polynomial schedule reaches its sparsity; the rest repairs what that cost.
RAMP = 0.5
INT8_MAX = 127


class Constraint(Protocol):
    """``straight_through`` kernels keep what constraining them takes away, and learn from the constrained ones' gradients;
    the others learn as they are constrained. ``rounds_inputs``: so are the inputs of layers with kernels. ``keeps`` is what a
    later training must keep of the kernels: "zeros", "equals".
    """

    straight_through: bool
    rounds_inputs: bool
    keeps: frozenset[str]

    def apply(self, kernels: list[Kernel], done: float) -> list[Kernel]:
        """The constrained kernels when the share ``done`` of the training, 0 to 1, is over."""

    def is_final(self, done: float) -> bool:
        """Whether kernels constrained now are what was asked for."""


@dataclass(frozen=True)
class Pruning:
    """The share ``sparsity`` of all kernels' weights, those with the smallest magnitude anywhere, is zero.

    The polynomial schedule is that of Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878, from sparsity 0.
    """

    sparsity: float
    schedule: Schedule
    straight_through = False
    rounds_inputs = False
    keeps = frozenset({"zeros"})

    def apply(self, kernels: list[Kernel], done: float) -> list[Kernel]:
        """The kernels with exactly ``round(sparsity * weights)`` zeros more than none, rising by the schedule."""
        magnitudes = np.concatenate([np.abs(kernel).ravel() for kernel in kernels])
        zeros = round(self._sparsity(done) * magnitudes.size)
        keep = np.ones(magnitudes.size, bool)
        keep[np.argpartition(magnitudes, zeros - 1)[:zeros] if zeros else []] = False
        ends = np.cumsum([kernel.size for kernel in kernels])[:-1]
        return [kernel * mask.reshape(kernel.shape) for kernel, mask in zip(kernels, np.split(keep, ends), strict=True)]

    def is_final(self, done: float) -> bool:
        """Whether the schedule has reached ``sparsity``."""
        return self._sparsity(done) == self.sparsity

    def _sparsity(self, done: float) -> float:
        if self.schedule == "constant":
            return self.sparsity
        left: float = (1 - min(done / RAMP, 1)) ** 3
        return self.sparsity * (1 - left)


@dataclass(frozen=True)
class Clustering:
    """Each kernel has at most ``clusters`` distinct weights: Han et al. 2016, https://arxiv.org/abs/1510.00149.

    Which weights share a value is decided once, by k-means with centroids that begin evenly spread; the values learn. Weights
    that are zero, as pruning makes them, are a cluster of their own.
    """

    clusters: int
    straight_through = False
    rounds_inputs = False
    keeps = frozenset({"equals"})
    _shared: list[NDArray[np.int32]] = field(default_factory=list, compare=False, repr=False)

    def apply(self, kernels: list[Kernel], done: float) -> list[Kernel]:
        """Every weight becomes the mean of those that share its value."""
        if not self._shared:
            self._shared.extend(self._assigned(kernel) for kernel in kernels)
        return [_means(kernel, labels) for kernel, labels in zip(kernels, self._shared, strict=True)]

    def is_final(self, done: float) -> bool:
        """From the first batch on."""
        return True

    def _assigned(self, kernel: Kernel) -> NDArray[np.int32]:
        from scipy.cluster.vq import kmeans2

        weights = kernel.ravel().astype(np.float64)
        labels, others = np.zeros(weights.size, np.int32), weights != 0
        if not others.any():
            return labels
        zeros = int(not others.all())
        of_others = weights[others]
        first = np.linspace(of_others.min(), of_others.max(), self.clusters - zeros)[:, np.newaxis]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a cluster may stay empty
            labels[others] = kmeans2(of_others[:, np.newaxis], first, minit="matrix")[1] + zeros
        return labels


@dataclass(frozen=True)
class Rounding:
    """Kernels as int8 will store them: symmetric, a scale for each output channel.

    Batch normalization is folded into kernels by a factor for each output channel: what is on the grid stays on it.
    Training through the rounding: Jacob et al. 2018, https://arxiv.org/abs/1712.05877; its gradient is taken straight
    through: Bengio et al. 2013, https://arxiv.org/abs/1308.3432. ``axes`` are the output channels' of each kernel.
    """

    axes: tuple[tuple[int, ...], ...]
    straight_through = True
    rounds_inputs = True
    keeps = frozenset[str]()

    def apply(self, kernels: list[Kernel], done: float) -> list[Kernel]:
        """The kernels on the grid of int8."""
        return [_rounded(kernel, axes) for kernel, axes in zip(kernels, self.axes, strict=True)]

    def is_final(self, done: float) -> bool:
        """From the first batch on."""
        return True


class Keeping:
    """A constraint on kernels of which earlier trainings made weights zero or equal: these stay so.

    ``kernels`` are those that the earlier trainings left, ``kept`` what of them stays.
    """

    def __init__(self, own: Constraint, kernels: list[Kernel], kept: frozenset[str]) -> None:
        self.own = own
        self.straight_through = own.straight_through
        self.rounds_inputs = own.rounds_inputs
        self.keeps = own.keeps
        self._nonzero = [kernel != 0 for kernel in kernels] if "zeros" in kept else []
        self._shared = [np.unique(kernel, return_inverse=True)[1].ravel() for kernel in kernels if "equals" in kept]

    def apply(self, kernels: list[Kernel], done: float) -> list[Kernel]:
        """The kernels with what is kept, then constrained."""
        if self._shared:
            kernels = [_means(kernel, labels) for kernel, labels in zip(kernels, self._shared, strict=True)]
        if self._nonzero:
            kernels = [kernel * there for kernel, there in zip(kernels, self._nonzero, strict=True)]
        return self.own.apply(kernels, done)

    def is_final(self, done: float) -> bool:
        """As the constraint itself."""
        return self.own.is_final(done)


def _means(kernel: Kernel, labels: NDArray[np.integer[Any]]) -> Kernel:
    counts = np.maximum(np.bincount(labels), 1)
    means = (np.bincount(labels, kernel.ravel()) / counts).astype(np.float32)
    shared: Kernel = means[labels].reshape(kernel.shape)
    return shared


def _rounded(kernel: Kernel, channel_axes: tuple[int, ...]) -> Kernel:
    others = tuple(axis for axis in range(kernel.ndim) if axis not in channel_axes)
    largest = np.abs(kernel).max(axis=others, keepdims=True)
    scale = np.where(largest > 0, largest, 1) / np.float32(INT8_MAX)
    rounded: Kernel = (np.round(kernel / scale) * scale).astype(np.float32)
    return rounded
