"""Labels of tokens against seqeval and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import seqeval.metrics
from edgeworthy.errors import SourceError
from edgeworthy.tasks.tokens import NOT_JUDGED, Tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from tests.task_values import check_against, check_nan, fitted, value

UNHURRIED = settings(deadline=None, max_examples=30)
SEEDS = st.integers(0, 2**32 - 1)
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-DATE"]


def tagged(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Any labels in any order, also those that begin a span with I-; a fifth is not judged."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 6, (12, 9))
    outputs = rng.normal(0, 1, (12, 9, 6)) + 2 * np.eye(6)[targets]
    targets[rng.random(targets.shape) < 0.2] = NOT_JUDGED
    targets[:, 0], targets[0] = 1, NOT_JUDGED  # a whole sample without a judged token
    return outputs.astype(np.float32), targets


def names(outputs: np.ndarray, targets: np.ndarray) -> tuple[list[list[str]], list[list[str]]]:
    judged = targets != NOT_JUDGED
    rows = list(zip(targets, outputs.argmax(axis=-1), judged, strict=True))
    return [[LABELS[each] for each in row[own]] for row, _, own in rows], [
        [LABELS[each] for each in row[own]] for _, row, own in rows
    ]


def macro_f1(outputs: np.ndarray, targets: np.ndarray) -> float:
    judged = targets != NOT_JUDGED
    return 100 * float(f1_score(targets[judged], outputs.argmax(axis=-1)[judged], average="macro", zero_division=0))


@UNHURRIED
@given(SEEDS)
def test_span_f1_is_seqevals_and_macro_f1_scikit_learns(seed: int) -> None:
    outputs, targets = tagged(seed)
    task = fitted(Tokens(labels=LABELS), outputs, targets)
    check_against(lambda *each: 100 * seqeval.metrics.f1_score(*names(*each)), task, "span_f1", outputs, targets, seed)
    check_against(macro_f1, task, "macro_f1", outputs, targets, seed)


@UNHURRIED
@given(SEEDS)
def test_nan_never_helps_labels(seed: int) -> None:
    outputs, targets = tagged(seed)
    check_nan(fitted(Tokens(labels=LABELS), outputs, targets), outputs, targets, seed)


def test_macro_f1_needs_no_labels() -> None:
    outputs, targets = tagged(0)
    task = fitted(Tokens(), outputs, targets)
    assert value(task, "macro_f1", outputs, targets) == pytest.approx(macro_f1(outputs, targets))
    with pytest.raises(SourceError, match="span F1 needs labels such as O, B-PER and I-PER; given: 0"):
        task.measure("span_f1")


def test_span_f1_is_unknown_without_spans() -> None:
    outputs = np.zeros((1, 3, 2), np.float32)
    task = Tokens(labels=["O", "B-PER"])
    assert np.isnan(value(task, "span_f1", outputs, np.zeros((1, 3), np.int64)))


def test_tokens_that_do_not_fit_are_refused() -> None:
    outputs, targets = tagged(0)
    with pytest.raises(SourceError, match="the model gives 6 labels, the task's option 'labels' has 2"):
        fitted(Tokens(labels=["O", "B-PER"]), outputs, targets)
    with pytest.raises(SourceError, match="the model labels 9 tokens, the targets have 8"):
        fitted(Tokens(), outputs, targets[:, :8])
    with pytest.raises(SourceError, match="range from -1 to 5"):
        fitted(Tokens(), outputs, np.where(targets == 2, -1, targets))
    with pytest.raises(SourceError, match="no target counts"):
        fitted(Tokens(), outputs, np.full_like(targets, NOT_JUDGED))
    with pytest.raises(SourceError, match=r"choose an output \(tokens, labels\)|output has shape"):
        fitted(Tokens(), outputs[..., 0], targets)
    with pytest.raises(SourceError, match="given: PER"):
        Tokens(labels=["O", "PER"]).measure("span_f1")
