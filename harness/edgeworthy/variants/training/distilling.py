"""A student learns from a teacher's outputs: one loop for Keras and PyTorch, for classes and for any other outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.datasets.samples import Samples, in_layout
from edgeworthy.errors import RecipeRefused, SourceError
from edgeworthy.records import Layout
from edgeworthy.variants.conversion.converter_errors import refusing
from edgeworthy.variants.models.kinds import TITLES
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.models.source_inference import own_inference
from edgeworthy.variants.training.fine_tuning import (
    BATCH,
    SEED,
    TEMPERATURE,
    TIME_LIMIT_S,
    Best,
    Clock,
    Distillation,
    Labels,
    LoopOptions,
    Training,
    are_probabilities,
    check_one_input,
)

#: Of a student that begins with random weights; the rate falls to 0 along half a cosine.
EPOCHS = 30
LEARNING_RATE = 1e-3

Arrays = list[NDArray[np.float32]]


class DistillingOptions(LoopOptions, total=False):
    """What a student learns: ``features`` are layers of the teacher and the student's that learn their outputs."""

    temperature: Annotated[float, Field(gt=0)]
    hard_labels: Annotated[float, Field(ge=0, le=1)]
    features: dict[str, str]


class Lesson(NamedTuple):
    """What a batch teaches: outputs (n, ...), of classes their probabilities; labels; features (n, ..., channels)."""

    outputs: Arrays
    labels: NDArray[Any]
    features: Arrays


@dataclass(frozen=True)
class Subject:
    """How a student's outputs are compared with a lesson's.

    Of ``classes`` by cross-entropy with probabilities at ``temperature``; ``probabilities`` says that the student ends in a
    softmax. Other outputs by the squared error over the square of the teacher's spread, of each output in ``spreads``, so that
    outputs count alike whatever their units are. The share ``hard_labels`` of the loss is the labels'. ``feature_spreads`` are
    those of the layers that are learned too (Romero et al. 2015, https://arxiv.org/abs/1412.6550).
    """

    classes: bool
    temperature: float
    hard_labels: float
    probabilities: bool
    spreads: tuple[float, ...]
    feature_spreads: tuple[float, ...]

    @property
    def distillation(self) -> Distillation:
        """The share of the loss that is the teacher's."""
        return Distillation(1 - self.hard_labels, self.temperature)

    def distance(self, outputs: Arrays, wanted: Arrays) -> NDArray[np.float64]:
        """How far each sample's outputs are from the teacher's (n,), without labels and features."""
        if self.classes:
            logits = _logits(outputs[0], self.probabilities).astype(np.float64) / self.temperature
            logarithms = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
            distances: NDArray[np.float64] = -(wanted[0] * (logarithms - logits.max(1, keepdims=True))).sum(1)
            return distances
        errors = [
            np.square((given - target) / spread).reshape(len(given), -1).mean(1)
            for given, target, spread in zip(outputs, wanted, self.spreads, strict=True)
        ]
        return np.asarray(np.mean(errors, axis=0), np.float64)


class Student(Protocol):
    """A model of some framework that learns; images are (N, H, W, C), outputs in the framework's ``layout``."""

    view: str
    layout: Layout

    @property
    def model(self) -> Any:
        """The trained copy, in the form that the source's view ``view`` has."""

    def compile(self, subject: Subject, learning_rate: float, steps: int, channels: Sequence[int]) -> None:
        """Prepare for ``steps`` steps; ``channels`` are those of the teacher's features."""

    def learn(self, images: NDArray[np.float32], lesson: Lesson) -> None:
        """One step."""

    def outputs(self, images: NDArray[np.float32]) -> Arrays:
        """Each output (N, ...), float32."""

    def features(self, images: NDArray[np.float32]) -> Arrays:
        """What its feature layers give (N, ..., channels), float32."""

    def weights(self) -> list[NDArray[Any]]:
        """Everything that a trained model consists of."""

    def set_weights(self, values: list[NDArray[Any]]) -> None:
        """Write what ``weights`` read."""


def distilled(
    teacher: OpenedSource, student: OpenedSource, training: Training, options: DistillingOptions
) -> OpenedSource:
    """The student's source with a model that learned from ``teacher``: the epoch that came nearest on the validation split.

    Raises SourceError where the student does not fit the teacher, RecipeRefused where it cannot be trained, and VariantError
    where the time limit is too short.
    """
    check_one_input(teacher, "distilled")
    with refusing("distilling"):
        _check_ends(teacher, student)
        layers = options.get("features", {})
        learner = _learner(student, list(layers.values()), options.get("seed", SEED))
        shown = _learner(teacher, list(layers), SEED) if layers else None
        _Distilling(teacher, shown, learner, training, options, student.title).run()
        return student.with_model(learner.view, learner.model)


def _check_ends(teacher: OpenedSource, student: OpenedSource) -> None:
    """Raise SourceError where the student's outputs are others than the teacher's."""
    sample = teacher.images[:1]
    found, wanted = (own_inference(source).shapes(sample) for source in (student, teacher))
    if found != wanted:
        raise SourceError(
            f"{student.title}: the student's outputs have the shapes {_listed(found)}, and the teacher's {_listed(wanted)}",
            hint="give the student the teacher's outputs, in the same order",
        )
    names, expected = student.output_names(), teacher.output_names()
    if len(names) > 1 and set(names) != set(expected):
        raise SourceError(
            f"{student.title}: the student's outputs are {', '.join(names)}, and the teacher's {', '.join(expected)}",
            hint="call the student's outputs as the teacher's",
        )


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes))


def _learner(source: OpenedSource, layers: list[str], seed: int) -> Student:
    """The source's model with the outputs of some of its layers."""
    if source.kind == "keras":
        from edgeworthy.variants.models.keras_2 import check_trainable
        from edgeworthy.variants.training.student_keras import StudentKeras

        check_trainable(source.keras_model())
        return StudentKeras(source.keras_model(), source.title, layers, seed)
    if source.kind == "torch" and source.path is None:
        from edgeworthy.variants.training.student_torch import StudentTorch

        return StudentTorch(source.torch_module(), source.title, layers, seed)
    raise RecipeRefused(
        f"{source.title} is {TITLES[source.kind]}, a finished graph, whose layers cannot be learned from",
        hint="leave out the option features",
    )


class _Distilling:
    def __init__(
        self,
        teacher: OpenedSource,
        shown: Student | None,
        student: Student,
        training: Training,
        options: DistillingOptions,
        title: str,
    ) -> None:
        self.infer, self.shown, self.student, self.training = own_inference(teacher), shown, student, training
        self.epochs = options.get("epochs", EPOCHS)
        self.clock = Clock("distilling", options.get("time_limit_s", TIME_LIMIT_S), self.epochs)
        self.random = np.random.default_rng(options.get("seed", SEED))
        self.train = self._taught(training.train)
        self.validation = self._taught(training.validation)
        images = training.train.read(0, BATCH)
        features = shown.features(images) if shown else []
        _check_features(student.features(images), features, options.get("features", {}))
        self.subject = self._subject(options, features, student.outputs(images)[0], title)
        if self.subject.classes:
            probabilities = are_probabilities(self.train[0])
            self.train, self.validation = (
                [self.subject.distillation.soft(_logits(taught[0], probabilities))]
                for taught in (self.train, self.validation)
            )
        channels = [each.shape[-1] for each in features]
        rate = options.get("learning_rate", LEARNING_RATE)
        student.compile(self.subject, rate, self.epochs * training.batches, channels)

    def run(self) -> None:
        """Train; the student is left as it was after its best epoch."""
        best: Best | None = None
        for epoch in range(1, self.epochs + 1):
            for chosen in self.training.shuffled(self.random):
                self.clock.check(epoch)
                images = self.training.train.take(chosen)
                features = self.shown.features(images) if self.shown else []
                lesson = Lesson([each[chosen] for each in self.train], self.training.train_labels[chosen], features)
                self.student.learn(images, lesson)
            loss = self._validate(epoch)
            if best is None or loss < best.loss:
                best = Best(epoch, loss, self.student.weights())
        assert best is not None
        self.training.progress(f"distilling: epoch {best.epoch} is the best of {self.epochs}")
        self.student.set_weights(best.weights)

    def _taught(self, samples: Samples) -> Arrays:
        """The teacher's outputs for all samples, in the student's layout."""
        batches = [self.infer.each(samples.read(start, start + BATCH)) for start in range(0, len(samples), BATCH)]
        return [in_layout(np.concatenate(each), self.student.layout) for each in zip(*batches, strict=True)]

    def _subject(
        self, options: DistillingOptions, features: Arrays, outputs: NDArray[np.float32], title: str
    ) -> Subject:
        classes = _are_classes(self.train, self.training.train_labels, self.training.validation_labels)
        hard = options.get("hard_labels", 0.0)
        if hard and not classes and self.training.train_labels.shape != self.train[0].shape:
            raise SourceError(
                f"{title}: hard_labels is {hard:g}, and the labels {self.training.train_labels.shape[1:]} are not what the model"
                f" gives, {_listed([each.shape[1:] for each in self.train])}",
                hint="leave out hard_labels: the student then learns from the teacher alone",
            )
        return Subject(
            classes=classes,
            temperature=options.get("temperature", TEMPERATURE),
            hard_labels=hard,
            probabilities=classes and are_probabilities(outputs),
            spreads=tuple(map(_spread, self.train)),
            feature_spreads=tuple(map(_spread, features)),
        )

    def _validate(self, epoch: int) -> float:
        """The mean distance from the teacher on the validation split."""
        distances, right, alike = [], 0, 0
        labels = self.training.validation_labels
        for start in range(0, len(labels), BATCH):
            outputs = self.student.outputs(self.training.validation.read(start, start + BATCH))
            wanted = [each[start : start + BATCH] for each in self.validation]
            distances.append(self.subject.distance(outputs, wanted))
            if self.subject.classes:
                predicted = outputs[0].argmax(1)
                right += int((predicted == labels[start : start + BATCH]).sum())
                alike += int((predicted == wanted[0].argmax(1)).sum())
        mean = float(np.nan_to_num(np.concatenate(distances).mean(), nan=np.inf))
        seen = f"error {100 * mean**0.5:.1f} % of the teacher's spread"
        if self.subject.classes:
            seen = f"top-1 {100 * right / len(labels):.1f} %, agreement {100 * alike / len(labels):.1f} %"
        self.training.progress(f"distilling: epoch {epoch}/{self.epochs}, validation {seen}")
        return mean


def _check_features(found: Arrays, wanted: Arrays, layers: dict[str, str]) -> None:
    """Raise SourceError where features differ in more than their channels."""
    for (teacher, student), given, target in zip(layers.items(), found, wanted, strict=True):
        if given.shape[:-1] != target.shape[:-1]:
            raise SourceError(
                f"features: {student!r} of the student gives {given.shape[1:]}, {teacher!r} of the teacher"
                f" {target.shape[1:]}: they may differ in their channels alone",
                hint="choose layers of one resolution",
            )


def _are_classes(outputs: Arrays, *labels: Labels) -> bool:
    """Whether there is one output of a score for each class, and labels that are classes."""
    if len(outputs) > 1 or outputs[0].ndim != 2 or outputs[0].shape[1] < 2:
        return False
    return all(each.ndim == 1 and each.dtype.kind in "iu" and each.max() < outputs[0].shape[1] for each in labels)


def _logits(outputs: NDArray[np.float32], probabilities: bool) -> NDArray[np.float32]:
    return np.log(np.maximum(outputs, 1e-7)) if probabilities else outputs


def _spread(values: NDArray[np.float32]) -> float:
    return float(values.std()) or 1.0
