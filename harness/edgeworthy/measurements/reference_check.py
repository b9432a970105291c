"""A float reference that knows nothing of its task: then every comparison with it is meaningless, and passes.

The reference must beat the best constant prediction: the commonest class, or the mean of the targets. Where it does not,
the likely cause is looked for: labels in another order, outputs of another scale or offset, inputs of another scale or
channel order (by running it on changed inputs).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.measurements.tasks import judged
from edgeworthy.truth import Truth

#: Below so many samples only a reference that is surely worse than a constant is an error.
ENOUGH = 30
#: With fewer samples outside the commonest class, predicting that class alone is not held against the reference.
FEWEST_OTHERS = 5
#: One-sided error rate of every comparison here.
ERROR_RATE = 0.001
#: Of larger outputs every n-th sample is looked at, so that memory is bounded.
MOST_VALUES = 5_000_000
#: Samples that changed inputs are tried on.
TRIED = 256
#: A cause is named where it makes the reference right on at least this share (or explain this share of the variance).
LIKELY = 0.5

_MEAN, _STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
Inputs = NDArray[np.float32]
#: How inputs may have been meant, tried one after the other; None where it does not apply.
CHANGES: dict[str, Callable[[Inputs], Inputs | None]] = {
    "divided by 255": lambda x: x / np.float32(255),
    "multiplied by 255": lambda x: x * np.float32(255),
    "scaled from [0, 255] to [-1, 1]": lambda x: x / np.float32(127.5) - np.float32(1),
    "scaled from [-1, 1] to [0, 255]": lambda x: (x + np.float32(1)) * np.float32(127.5),
    "scaled from [0, 1] to [-1, 1]": lambda x: x * np.float32(2) - np.float32(1),
    "scaled from [-1, 1] to [0, 1]": lambda x: (x + np.float32(1)) / np.float32(2),
    "with their channels reversed": lambda x: np.ascontiguousarray(x[..., ::-1]) if x.shape[-1] == 3 else None,
    "normalized by ImageNet's mean and std": lambda x: (x - _MEAN) / _STD if x.shape[-1] == 3 else None,
    "scaled from [0, 255] and normalized by ImageNet's mean and std": lambda x: (
        (x / np.float32(255) - _MEAN) / _STD if x.shape[-1] == 3 else None
    ),
}


@dataclass(frozen=True)
class Trial:
    """The reference's outputs (n, values) for the evaluation samples ``chosen`` (n,), whose inputs were changed."""

    how: str
    chosen: NDArray[np.int64]
    values: NDArray[np.float32]


def check_reference(model: str, truth: Truth, trials: Callable[[], Iterable[Trial]]) -> None:
    """Raise SourceError where the reference is no better than one that knows nothing, with the likely cause.

    That is the best constant prediction, and of a task the outputs for other samples. A function of the user's has none to
    beat, and random weights know nothing. ``trials`` runs the reference on changed inputs; it is called only where it is
    needed.
    """
    found = None if truth.by_fidelity else _judged(truth)
    if found is None or found.acceptable:
        return
    cause = found.own_cause() or _input_cause(truth, trials, found.quality)
    raise SourceError(
        f"model {model!r}: the reference is no better than {found.ignorant}: {found.message()}"
        + (f"; likely cause: {cause}" if cause else ""),
        hint="correct the dataset's preprocessing or labels, or, if the model is meant to be this weak, set "
        "'expect_weak_reference: true' in its entry",
    )


def _judged(truth: Truth) -> _Classes | _Numbers | _Predictions | None:
    if truth.task:
        return _Predictions(truth)
    if truth.classifies and truth.metric in ("top1", "top5"):
        return _Classes(truth)
    if truth.metric in ("mse", "psnr") and truth.labels.shape == truth.reference.shape:
        return _Numbers(truth)
    return None


def _input_cause(truth: Truth, trials: Callable[[], Iterable[Trial]], quality: float) -> str:
    """Which change of the inputs makes the reference work, and better than the ``quality`` that it has."""
    best, cause = max(LIKELY, quality), ""
    for trial in trials():
        if not np.isfinite(trial.values).all():
            continue
        found = _judged(replace(truth, labels=truth.labels[trial.chosen], reference=trial.values))
        if found is not None and found.beats and found.quality > best:
            best, cause = found.quality, f"the inputs' scale or channel order: {trial.how}, {found.shown}"
    return cause


class _Predictions:
    """The predictions of a task against those that belong to other samples."""

    ignorant = "its outputs for other samples"

    def __init__(self, truth: Truth) -> None:
        task = judged(truth)
        self.truth, self.value, self.others = truth, task.reference.value, task.shuffled.value
        sign = 1 if truth.higher_is_better else -1
        self.gain = sign * (self.value - self.others)
        self.noise = _z() * float(np.std(task.reference.drawn - task.shuffled.drawn))

    @property
    def beats(self) -> bool:
        """Whether the reference's own outputs are surely better."""
        return self.gain > self.noise

    @property
    def acceptable(self) -> bool:
        """Whether nothing speaks against the reference."""
        return self.beats or (len(self.truth.reference) < ENOUGH and self.gain > -self.noise)

    @property
    def quality(self) -> float:
        """The metric as a share, of one that is a percentage of what is right; else 0."""
        return self.value / 100 if self.truth.unit == "%" and self.truth.higher_is_better else 0.0

    @property
    def shown(self) -> str:
        """The quality in words."""
        return f"{self.truth.metric} is {self.value:.4g} {self.truth.unit}".rstrip()

    def message(self) -> str:
        """Both values."""
        return f"{self.shown}, for other samples {self.others:.4g} {self.truth.unit}".rstrip()

    def own_cause(self) -> str:
        """None is looked for."""
        return ""


class _Classes:
    """Class predictions against the commonest class (of top-k: the k commonest)."""

    ignorant = "a constant prediction"

    def __init__(self, truth: Truth) -> None:
        self.labels, self.metric = truth.labels, truth.metric
        scores = truth.class_scores(truth.reference)
        self.classes, k = scores.shape[1], 5 if truth.metric == "top5" else 1
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        self.predictions = best[:, 0]
        self.right = (best == self.labels[:, None]).any(axis=1)
        counts = np.bincount(self.labels, minlength=self.classes)
        self.commonest = int(counts.argmax())
        self.constant = np.isin(self.labels, np.argsort(-counts, kind="stable")[:k])
        self.others = int(len(self.labels) - counts.max())

    @property
    def beats(self) -> bool:
        """Whether the reference is surely better than the constant prediction (McNemar's exact test)."""
        return _sign_p(self.right & ~self.constant, self.constant & ~self.right) < ERROR_RATE

    @property
    def acceptable(self) -> bool:
        """Whether nothing speaks against the reference."""
        samples = len(self.labels)
        if not self.others:  # no prediction can beat the constant one: better than chance must do
            chance = 1 / self.classes
            spread = math.sqrt(chance * (1 - chance) / samples)
            return samples < ENOUGH or self.quality > chance + _z() * spread or self.quality == 1
        if self.beats:
            return True
        if samples < ENOUGH or self.others < FEWEST_OTHERS:
            return _sign_p(self.constant & ~self.right, self.right & ~self.constant) >= ERROR_RATE
        return self.quality > float(self.constant.mean()) and self._informed()

    def _informed(self) -> bool:
        """Whether predictions follow the labels: right more often than the same predictions in random order.

        Mean and variance over all orders are exact (W. Hoeffding, A combinatorial central limit theorem, The Annals of
        Mathematical Statistics 22 (1951) 558-566).
        """
        n = len(self.labels)
        given, predicted = (
            np.bincount(side, minlength=self.classes).astype(np.float64) for side in (self.labels, self.predictions)
        )
        pairs = float(given @ predicted)
        rows, columns = float(given @ predicted**2) / n**2, float(predicted @ given**2) / n**2
        variance = (pairs - n * rows - n * columns + (pairs / n) ** 2) / (n - 1)
        right = float((self.predictions == self.labels).sum())
        return variance > 1e-9 * n and right - pairs / n > _z() * math.sqrt(variance)

    @property
    def quality(self) -> float:
        """The share of right predictions."""
        return float(self.right.mean())

    @property
    def shown(self) -> str:
        """The quality in words."""
        return f"it is right on {100 * self.quality:.2f} % of {len(self.labels)} samples"

    def message(self) -> str:
        """Both accuracies."""
        constant = float(self.constant.mean())
        return (
            f"{self.metric} is {100 * self.quality:.2f} % of {len(self.labels)} samples, "
            f"always class {self.commonest} {100 * constant:.2f} %"
            + (", and chance explains the difference" if self.quality > constant else "")
        )

    def own_cause(self) -> str:
        """Labels in another order: the best permutation of one half of the samples must hold on the other half."""
        from scipy.optimize import linear_sum_assignment  # here: slow to import

        half = np.random.default_rng(0).permutation(len(self.labels))
        learn, test = half[: len(half) // 2], half[len(half) // 2 :]
        confusion = np.zeros((self.classes, self.classes), np.int64)
        np.add.at(confusion, (self.predictions[learn], self.labels[learn]), 1)
        order = linear_sum_assignment(confusion, maximize=True)[1]
        right = float((order[self.predictions[test]] == self.labels[test]).mean()) if test.size else 0.0
        if right < LIKELY or right < 1.5 * max(self.quality, float(self.constant.mean())):
            return ""
        used = [index for index in np.unique(self.predictions[learn]).tolist() if order[index] != index]
        shown = ", ".join(f"{index} is labelled {order[index]}" for index in used[:6])
        return (
            f"the order of the labels: predicted class {shown}{', ...' if len(used) > 6 else ''}; "
            f"so reordered it is right on {100 * right:.2f} %"
        )


class _Numbers:
    """Predicted numbers against the mean of the targets, each column in units of its own spread."""

    ignorant = _Classes.ignorant

    def __init__(self, truth: Truth) -> None:
        width = truth.channels or truth.labels.shape[1]
        every = truth.labels.size // MOST_VALUES + 1
        labels, reference = truth.labels[::every], truth.reference[::every]
        self.samples = len(labels)
        targets = labels.reshape(self.samples, -1, width).astype(np.float64)
        values = reference.reshape(self.samples, -1, width).astype(np.float64)
        mean, spread = targets.mean(axis=(0, 1)), targets.std(axis=(0, 1))
        varying = spread > 0
        self.targets = (targets - mean)[..., varying] / spread[varying]
        self.values = (values - mean)[..., varying] / spread[varying]
        self.gains = self._mean(np.square(self.targets)) - self._mean(np.square(self.targets - self.values))

    @staticmethod
    def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = values.mean(axis=(1, 2))
        return means

    @property
    def _t(self) -> float:
        error = float(self.gains.std(ddof=1)) / math.sqrt(self.samples) if self.samples > 1 else 0.0
        mean = float(self.gains.mean())
        return mean / error if error else math.copysign(math.inf, mean) if mean else 0.0

    @property
    def beats(self) -> bool:
        """Whether the reference's errors are surely smaller than the constant prediction's."""
        return self._t > _z()

    @property
    def acceptable(self) -> bool:
        """Whether nothing speaks against the reference."""
        if not self.targets.size or self.beats or self.samples < 3:
            return True
        return self._t > -_z() and (self.samples < ENOUGH or self._correlation() > _z() / math.sqrt(self.samples))

    def _correlation(self) -> float:
        centered = self.values - self.values.mean(axis=(0, 1))
        norm = math.sqrt(float(np.square(centered).sum()) * float(np.square(self.targets).sum()))
        return float((centered * self.targets).sum()) / norm if norm else 0.0

    @property
    def quality(self) -> float:
        """The share of the targets' variance that is explained."""
        return float(self.gains.mean())

    @property
    def shown(self) -> str:
        """The quality in words."""
        return f"it explains {100 * self.quality:.1f} % of the variance of the targets"

    def message(self) -> str:
        """The error in units of the constant prediction's."""
        return (
            f"its squared error over {self.samples} samples is {1 - self.quality:.4g} times "
            "that of the mean of the targets"
        )

    def own_cause(self) -> str:
        """Outputs of another scale or offset: a straight line through them explains the targets."""
        centered = self.values - self.values.mean(axis=(0, 1))
        power = float(np.square(centered).sum())
        if not power or self._correlation() ** 2 < LIKELY:
            return ""
        scale = float((centered * self.targets).sum()) / power
        if abs(scale - 1) > 0.1:
            return f"the outputs' scale: multiplied by about {scale:.4g} they explain the targets"
        return "an offset of the outputs: with their mean corrected they explain the targets"


def _sign_p(wins: NDArray[np.bool_], losses: NDArray[np.bool_]) -> float:
    """One-sided p-value of the sign test that there are more wins than losses."""
    from scipy.special import bdtr  # here: slow to import

    won, lost = int(wins.sum()), int(losses.sum())
    return float(bdtr(lost, won + lost, 0.5)) if won + lost else 1.0


def _z() -> float:
    return NormalDist().inv_cdf(1 - ERROR_RATE)
