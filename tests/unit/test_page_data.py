"""What a page is made of: data that no text ends, what dominates what, which samples differ."""

from __future__ import annotations

import json

import numpy as np
import pytest
from edgeworthy.reports.html.differing import Predicted, confusion, differing
from edgeworthy.reports.html.embedding import embedded
from edgeworthy.reports.html.statuses import MEANINGS, SIGNS
from edgeworthy.reports.rows import STATUSES
from edgeworthy.truth import Truth

LABELS = np.array([0, 1, 2, 0])
REFERENCE = np.eye(3, dtype=np.float32)[[0, 1, 1, 1]]
OTHER = np.eye(3, dtype=np.float32)[[0, 0, 2, 2]]


def predicted(values: np.ndarray, **options: object) -> Predicted:
    given: dict[str, object] = {"labels": LABELS, "metric": "top1", "outputs": {"": (3,)}, **options}
    return Predicted(values, Truth(reference=REFERENCE, dataset="d", **given))  # type: ignore[arg-type]


def test_no_text_ends_the_data() -> None:
    """What is embedded reads back as it was, and holds no sign of markup."""
    value = {"a": "</script><!-- & \u2028 \u2029 \U0001f600 \x00", "b": [1.5, None, True]}
    text = str(embedded(value))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="Out of range"):
        embedded([float("nan")])


def test_lost_gained_and_other_samples() -> None:
    """By class: right before and wrong after, the other way round, and wrong both times but otherwise."""
    found = differing(predicted(REFERENCE), predicted(OTHER))
    assert [list(found.lost), list(found.gained), list(found.changed)] == [[1], [2], [3]]
    mixed = confusion(predicted(REFERENCE), predicted(OTHER), most=9)
    assert {(each.label, each.before, each.after, each.samples) for each in mixed} == {
        (1, 1, 0, 1),
        (2, 1, 2, 1),
        (0, 1, 2, 1),
    }


def test_labels_of_random_weights_say_nothing() -> None:
    """Then no sample is lost or gained; what differs does."""
    before, after = (predicted(values, random_weights=True, labels=np.full(4, -1)) for values in (REFERENCE, OTHER))
    found = differing(before, after)
    assert [list(found.lost), list(found.gained), list(found.changed)] == [[], [], [1, 2, 3]]
    assert confusion(before, after, most=9) == []


def test_the_worst_loss_comes_first() -> None:
    """Of a metric that is a mean of samples, in its direction."""
    targets = np.zeros((4, 1), np.float32)
    before, after = (
        predicted(
            np.array([values], np.float32).T, labels=targets, metric="mse", higher_is_better=False, outputs={"": (1,)}
        )
        for values in ([1, 1, 1, 1], [2, 3, 0, 1])
    )
    found = differing(before, after)
    assert [list(found.lost), list(found.gained), list(found.changed)] == [[1, 0], [2], [3]]


def test_every_status_looks_its_own() -> None:
    assert set(SIGNS) == set(MEANINGS) == set(STATUSES)
