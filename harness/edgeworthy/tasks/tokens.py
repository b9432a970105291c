"""Labels of tokens: named entities, parts of speech."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.errors import SourceError
from edgeworthy.tasks.class_counts import class_counts, macro_f1
from edgeworthy.tasks.class_scores import best_class
from edgeworthy.tasks.one_output import OneOutput
from edgeworthy.tasks.target_checks import check_class_numbers
from edgeworthy.tasks.task import Measure, Outputs, Predictions, Shapes, Targets, in_frame, of_sums

#: The target of a token that is not judged, as in Hugging Face's datasets: padding, or the rest of a word.
NOT_JUDGED = -100


class Tokens(OneOutput):
    """Scores (tokens, labels), and targets int (samples, tokens), numbers of labels; NOT_JUDGED where none counts.

    Span F1 is seqeval's ``f1_score`` in its default mode (that of CoNLL's conlleval), over the judged tokens; macro F1 is
    scikit-learn's over labels. There is no micro F1: it would be the share of right tokens, most of which are outside.
    """

    METRICS: ClassVar[tuple[str, ...]] = ("span_f1", "macro_f1")

    kind: Literal["tokens"] = "tokens"
    labels: list[str] | None = Field(
        None, description="the labels in the output's order: O, B-PER, I-PER and so on; needed for span_f1"
    )

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Tokens:
        """The task; numbers where it has no ``labels``. Raises SourceError where output, labels and targets are unlike."""
        shape = self.judged(outputs)
        if len(shape) != 2 or shape[1] < 2:
            raise SourceError(f"the output has shape {shape}", hint="choose an output (tokens, labels)")
        if self.labels is not None and len(self.labels) != shape[1]:
            raise SourceError(
                f"the model gives {shape[1]} labels, the task's option 'labels' has {len(self.labels)}",
                hint="give a name for each, in the output's order",
            )
        check_class_numbers(targets, "samples, tokens", shape[1], NOT_JUDGED)
        if targets.shape[1] != shape[0]:
            raise SourceError(
                f"the model labels {shape[0]} tokens, the targets have {targets.shape[1]}",
                hint=f"pad the targets with {NOT_JUDGED}",
            )
        return self.model_copy(update={"labels": self.labels or [str(number) for number in range(shape[1])]})

    def padded(self, targets: Targets, sizes: NDArray[np.int64], outputs: Shapes) -> Targets:
        """Numbers of labels for as many tokens as the output has, padded with NOT_JUDGED."""
        return in_frame(targets, sizes, self.judged(outputs)[:1], NOT_JUDGED)

    def decode(self, outputs: Outputs) -> NDArray[np.int32]:
        """Numbers of labels (samples, tokens), -1 of a NaN."""
        return best_class(self.judged(outputs))

    def agree(self, first: Predictions, other: Predictions) -> NDArray[np.bool_]:
        """Whether all tokens have the same label, also those that are not judged; no sample with a NaN agrees."""
        return np.asarray(((first == other) & (first >= 0)).all(axis=1))

    def measure(self, metric: str) -> Measure:
        """As the table of metrics says. Raises SourceError for span F1 without labels of that form."""
        labels = self.labels or []
        if metric == "macro_f1":
            return of_sums(
                lambda predicted, targets: _label_counts(predicted, targets, len(labels)),
                lambda sums: macro_f1(sums.reshape(len(sums), 3, -1)),
            )
        wrong = [label for label in labels or ["none"] if not re.fullmatch(r"O|[BI]-.+", label)]
        if wrong:
            raise SourceError(
                f"span F1 needs labels such as O, B-PER and I-PER; given: {wrong[0]}",
                hint="set the task's option 'labels', or judge by macro_f1",
            )
        return of_sums(lambda predicted, targets: _span_counts(predicted, targets, labels), _span_f1)


def _label_counts(predicted: NDArray[np.int32], targets: Targets, labels: int) -> NDArray[np.float64]:
    """Judged tokens of each label that are right, predicted and there: (samples, 3 labels)."""
    rows = _judged(predicted, targets)
    return np.stack([class_counts(target, guess, labels).ravel() for target, guess in rows])


def _judged(predicted: NDArray[np.int32], targets: Targets) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Targets and predictions of each sample's judged tokens."""
    for target, guess in zip(targets, predicted, strict=True):
        judged = target != NOT_JUDGED
        yield target[judged], guess[judged]


def _span_counts(predicted: NDArray[np.int32], targets: Targets, labels: list[str]) -> NDArray[np.int64]:
    """Spans of each sample that are right, predicted and there: (samples, 3)."""
    rows = _judged(predicted, targets)
    return np.array([_spans_of_sample(target, guess, labels) for target, guess in rows], np.int64)


def _spans_of_sample(target: NDArray[Any], guess: NDArray[Any], labels: list[str]) -> tuple[int, int, int]:
    """As above; with a NaN as if each token were a wrong span of its own, so that no NaN is better than an error."""
    actual = _spans([labels[number] for number in target])
    if (guess < 0).any():
        return 0, len(guess), len(actual)
    guessed = _spans([labels[number] for number in guess])
    return len(actual & guessed), len(guessed), len(actual)


def _spans(labels: list[str]) -> set[tuple[str, int, int]]:
    """Type, first token and end of each span; an I- without a beginning of its type begins one."""
    found, start = set(), 0
    for end, (label, following) in enumerate(zip(labels, [*labels, "O"][1:], strict=True), 1):
        kind = label[2:]
        if following[0] == "I" and following[2:] == kind:
            continue
        if kind:
            found.add((kind, start, end))
        start = end
    return found


def _span_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Percent; NaN where there is no span in targets nor predictions."""
    right, guessed, actual = sums.T
    with np.errstate(invalid="ignore"):
        return np.asarray(200 * right / (guessed + actual))
