"""Fine-tune a copy of a source's model under a constraint on its kernels: one loop for Keras and PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import RecipeRefused, VariantError
from edgeworthy.tensors import is_ragged
from edgeworthy.variants.conversion.converter_errors import refusing
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.models.same_model import Infer
from edgeworthy.variants.models.source_inference import own_inference
from edgeworthy.variants.training.weight_constraints import Constraint, Keeping, Kernel

BATCH = 32
EPOCHS = 10
LEARNING_RATE = 3e-4
SEED = 0
TIME_LIMIT_S = 600.0
#: How much softer than its probabilities the source's outputs are learned: then more than the best class says something.
TEMPERATURE = 4.0

Labels = NDArray[np.int64]
MakeConstraint = Callable[["Trainable"], Constraint]


class LoopOptions(TypedDict, total=False):
    """The options of everything that trains."""

    epochs: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    time_limit_s: Annotated[float, Field(gt=0)]


class TrainingOptions(LoopOptions, total=False):
    """The options of everything that fine-tunes."""

    distillation: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Training:
    """What a recipe that trains is given: the training and validation splits, and a callback for progress."""

    train: Samples
    train_labels: Labels
    validation: Samples
    validation_labels: Labels
    progress: Callable[[str], None]

    @property
    def batches(self) -> int:
        """How many batches an epoch has; batch normalization needs full ones, so that an incomplete last one is dropped."""
        return max(len(self.train_labels) // BATCH, 1)

    def shuffled(self, random: np.random.Generator) -> Iterator[NDArray[np.intp]]:
        """The batches of one epoch: the indices of their samples."""
        order = random.permutation(len(self.train_labels))
        yield from np.array_split(order[: self.batches * BATCH], self.batches)


class Clock:
    """Ends a training, called ``what``, after ``limit_s``: a shorter one would be another artifact."""

    def __init__(self, what: str, limit_s: float, epochs: int) -> None:
        self._what, self._limit_s, self._epochs = what, limit_s, epochs
        self._started = time.monotonic()

    def check(self, epoch: int) -> None:
        """Raise VariantError where the time is over in that epoch."""
        if time.monotonic() - self._started > self._limit_s:
            raise VariantError(
                f"{self._what} was not done after time_limit_s = {self._limit_s:g}: epoch {epoch} of {self._epochs}",
                hint="raise the option time_limit_s, or lower epochs",
            )


class Distillation(NamedTuple):
    """How much of the loss is the cross-entropy with the source's own probabilities, at a ``temperature``.

    Hinton, Vinyals and Dean 2015, https://arxiv.org/abs/1503.02531, with their factor: the square of the temperature.
    """

    share: float
    temperature: float = TEMPERATURE

    @property
    def factor(self) -> float:
        """What the soft cross-entropy is multiplied by."""
        return self.share * self.temperature**2

    def soft(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probabilities (N, classes) that are learned."""
        powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / self.temperature)
        soft: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        return soft


class Trainable(Protocol):
    """A model of some framework in training; images are (N, H, W, C), kernels and weights plain arrays."""

    view: str

    @property
    def model(self) -> Any:
        """The trained copy, in the form that the source's view ``view`` has."""

    def compile(self, learning_rate: float, probabilities: bool, distillation: Distillation | None) -> None:
        """Prepare for training; ``probabilities`` says that the model ends in a softmax."""

    def channel_axes(self) -> tuple[tuple[int, ...], ...]:
        """The axes of the output channels of each kernel."""

    def kernels(self) -> list[Kernel]:
        """The weights of convolutions and dense layers."""

    def set_kernels(self, values: list[Kernel]) -> None:
        """Write what ``kernels`` read."""

    def weights(self) -> list[NDArray[Any]]:
        """Everything that a trained model consists of."""

    def set_weights(self, values: list[NDArray[Any]]) -> None:
        """Write what ``weights`` read."""

    def train_batch(self, images: NDArray[np.float32], labels: Labels, soft: NDArray[np.float32] | None) -> None:
        """One step; ``soft`` are the source's probabilities (N, classes) where there is a distillation."""

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs (N, classes), float32."""


class Best(NamedTuple):
    """The epoch with the least loss, and the weights that it left."""

    epoch: int
    loss: float
    weights: list[NDArray[Any]]


def fine_tuned(
    source: OpenedSource,
    training: Training,
    options: TrainingOptions,
    constrain: MakeConstraint,
    rounds_inputs: bool = False,
) -> OpenedSource:
    """The source with a fine-tuned copy of its model, the epoch with the least loss on the validation split.

    Raises RecipeRefused where the source cannot be trained, and VariantError where the time limit is too short.
    """
    with refusing("fine-tuning"):
        model = _trainable(source, options.get("seed", SEED), rounds_inputs)
        constraint = Keeping(constrain(model), model.kernels(), source.kept)
        _Loop(model, training, options, constraint, own_inference(source)).run()
        return source.with_model(model.view, model.model, constraint.keeps)


def _trainable(source: OpenedSource, seed: int, rounds_inputs: bool) -> Trainable:
    """A copy of the source's model, ready to be trained in its own framework."""
    if source.kind in ("keras", "torch") and len(names := source.output_names()) > 1:
        raise RecipeRefused(
            f"only a classifier can be fine-tuned: the model has {len(names)} outputs, {', '.join(names)}",
            hint="choose one at the model's source, as 'output: NAME', or drop this variant for this model",
        )
    check_one_input(source, "fine-tuned")
    if source.kind == "keras":
        from edgeworthy.variants.models.keras_2 import check_trainable
        from edgeworthy.variants.training.trainable_keras import TrainableKeras

        check_trainable(source.keras_model())
        return TrainableKeras(source.keras_model(), seed, rounds_inputs)
    if source.kind == "torch" and source.path is None:
        from edgeworthy.variants.training.trainable_torch import TrainableTorch

        return TrainableTorch(source.torch_module(), seed, rounds_inputs)
    raise RecipeRefused(
        f"{source.title} cannot be trained further: it is a finished graph",
        hint="give the Keras model or the PyTorch factory that it was made from",
    )


def check_one_input(source: OpenedSource, done: str) -> None:
    """Raise RecipeRefused where the samples are no single array of one size; ``done`` is what would be done to the model."""
    if is_ragged(source.samples.inputs):
        raise RecipeRefused(
            f"only a model whose samples have one size can be {done}: these are run one by one",
            hint="pad them, with 'ragged: pad' in the model's entry, or drop this variant for this model",
        )
    if source.samples.inputs:
        raise RecipeRefused(
            f"only a model of one input can be {done}: this one takes {', '.join(source.samples.input_names)}",
            hint="drop this variant for this model",
        )


class _Loop:
    def __init__(
        self, model: Trainable, training: Training, options: TrainingOptions, constraint: Constraint, source: Infer
    ) -> None:
        self.model = model
        self.training = training
        self.constraint = constraint
        self.epochs = options.get("epochs", EPOCHS)
        self.clock = Clock("fine-tuning", options.get("time_limit_s", TIME_LIMIT_S), self.epochs)
        self.random = np.random.default_rng(options.get("seed", SEED))
        self.probabilities = are_probabilities(self._check_outputs())
        share = options.get("distillation", 0.0)
        distillation = Distillation(share) if share else None
        self.soft = self._soft(distillation, source) if distillation else None
        self.model.compile(options.get("learning_rate", LEARNING_RATE), self.probabilities, distillation)

    def run(self) -> None:
        """Train; the model is left as it was after its best epoch."""
        best: Best | None = None
        for epoch in range(1, self.epochs + 1):
            self._train_epoch(epoch)
            done = epoch / self.epochs
            learned = self.model.kernels()
            self.model.set_kernels(self.constraint.apply(learned, done))
            loss = self._validate(epoch)
            if self.constraint.is_final(done) and (best is None or loss < best.loss):
                best = Best(epoch, loss, self.model.weights())
            self.model.set_kernels(learned)
        assert best is not None  # every constraint is final after the last epoch
        self.training.progress(f"fine-tuning: epoch {best.epoch} is the best of {self.epochs}")
        self.model.set_weights(best.weights)

    def _train_epoch(self, epoch: int) -> None:
        for batch, chosen in enumerate(self.training.shuffled(self.random)):
            self.clock.check(epoch)
            self._step(chosen, (epoch - 1 + batch / self.training.batches) / self.epochs)

    def _soft(self, distillation: Distillation, source: Infer) -> NDArray[np.float32]:
        """What the source says of every training sample."""
        batches = range(0, len(self.training.train_labels), BATCH)
        outputs = np.concatenate([source(self.training.train.read(start, start + BATCH)) for start in batches])
        return distillation.soft(np.log(np.maximum(outputs, 1e-7)) if self.probabilities else outputs)

    def _step(self, chosen: NDArray[np.intp], done: float) -> None:
        images, labels = self.training.train.take(chosen), self.training.train_labels[chosen]
        learned = self.model.kernels()
        constrained = self.constraint.apply(learned, done)
        self.model.set_kernels(constrained)
        self.model.train_batch(images, labels, None if self.soft is None else self.soft[chosen])
        if self.constraint.straight_through:
            moved = zip(learned, self.model.kernels(), constrained, strict=True)
            self.model.set_kernels([kernel + (now - before) for kernel, now, before in moved])

    def _validate(self, epoch: int) -> float:
        """The mean cross-entropy on the validation split."""
        labels = self.training.validation_labels
        losses, right = [], 0
        for start in range(0, len(labels), BATCH):
            outputs = self.model.predict(self.training.validation.read(start, start + BATCH)).astype(np.float64)
            expected = labels[start : start + BATCH]
            losses.append(_cross_entropy(outputs, expected, self.probabilities))
            right += int((outputs.argmax(axis=1) == expected).sum())
        self.training.progress(
            f"fine-tuning: epoch {epoch}/{self.epochs}, validation top-1 {100 * right / len(labels):.1f} %"
        )
        return float(np.concatenate(losses).mean())

    def _check_outputs(self) -> NDArray[np.float32]:
        outputs = self.model.predict(self.training.validation.read(0, BATCH))
        largest = max(self.training.train_labels.max(), self.training.validation_labels.max())
        if outputs.ndim != 2 or largest.dtype.kind not in "iu" or largest >= outputs.shape[1]:
            raise RecipeRefused(
                f"only a classifier can be fine-tuned: its outputs have shape {outputs.shape[1:]},"
                f" and the largest label is {largest}",
                hint="drop this variant for this model",
            )
        return outputs


def are_probabilities(outputs: NDArray[np.float32]) -> bool:
    """Whether each row is one of probabilities: the model ends in a softmax."""
    return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3))


def _cross_entropy(outputs: NDArray[np.float64], labels: Labels, probabilities: bool) -> NDArray[np.float64]:
    chosen = outputs[np.arange(len(labels)), labels]
    if probabilities:
        return -np.log(np.maximum(chosen, 1e-7))
    largest = outputs.max(axis=1)
    losses: NDArray[np.float64] = largest + np.log(np.exp(outputs - largest[:, None]).sum(axis=1)) - chosen
    return losses
