"""Semantic segmentation against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.tasks.segmentation import Segmentation
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, jaccard_score

from tests.task_values import check_against, check_nan, fitted, value

UNHURRIED = settings(deadline=None, max_examples=20)
SEEDS = st.integers(0, 2**32 - 1)


def maps(seed: int, classes: int = 5, ignore: int = 255) -> tuple[np.ndarray, np.ndarray]:
    """Scores (samples, height, width, classes), of which one class is in no mask, and masks with ignored pixels."""
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, max(classes - 1, 2), (8, 4, 6))
    scores = rng.normal(0, 1, (8, 4, 6, classes)) + np.eye(classes + 2)[masks][..., :classes]
    masks[rng.random(masks.shape) < 0.1] = ignore
    return scores.astype(np.float32), masks


@UNHURRIED
@given(SEEDS, st.sampled_from(["hwc", "chw"]), st.sampled_from([255, -1, 0]))
def test_miou_and_pixel_accuracy_are_scikit_learns(seed: int, layout: str, ignore: int) -> None:
    """Over the pixels of all samples that are not ignored; channels first and last."""
    scores, masks = maps(seed, ignore=ignore)
    outputs = np.moveaxis(scores, -1, 1) if layout == "chw" else scores

    def pixels(outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        predicted = outputs.argmax(axis=1 if layout == "chw" else -1)
        return targets[targets != ignore], predicted[targets != ignore]

    task = fitted(Segmentation(ignore=ignore), outputs, masks)
    check_against(
        lambda *each: 100 * jaccard_score(*pixels(*each), average="macro"), task, "miou", outputs, masks, seed
    )
    check_against(lambda *each: 100 * accuracy_score(*pixels(*each)), task, "pixel_accuracy", outputs, masks, seed)
    check_nan(task, outputs, masks, seed)


@UNHURRIED
@given(SEEDS, st.sampled_from([(4, 6), (4, 6, 1), (1, 4, 6)]))
def test_one_channel_is_the_foregrounds_score_or_a_class_number(seed: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 2, (8, 4, 6))
    outputs = np.clip(0.7 * rng.random(masks.shape) + 0.3 * masks, 0, 1).reshape(8, *shape).astype(np.float32)

    def iou(outputs: np.ndarray, targets: np.ndarray) -> float:
        return 100 * jaccard_score(targets.ravel(), (outputs > 0.5).ravel().astype(int), average="macro")

    check_against(iou, fitted(Segmentation(), outputs, masks), "miou", outputs, masks, seed)
    numbers = (outputs > 0.5).astype(np.float32)
    task = fitted(Segmentation(holds="classes", classes=2), numbers, masks)
    check_against(iou, task, "miou", numbers, masks, seed)
    check_nan(task, numbers, masks, seed)
    logits = outputs - np.float32(0.5)
    task = fitted(Segmentation(threshold=0), logits, masks)
    check_against(lambda outputs, targets: iou(outputs + 0.5, targets), task, "miou", logits, masks, seed)


def test_what_is_no_class_number_is_wrong() -> None:
    masks = np.array([[[0, 1], [2, 1]]])
    numbers = np.array([[[0, 7], [0.5, -1]]], np.float32)
    task = fitted(Segmentation(holds="classes", classes=3), numbers, masks)
    assert value(task, "pixel_accuracy", numbers, masks) == 25


def test_masks_agree_with_few_unlike_pixels() -> None:
    task, first = Segmentation(), np.zeros((2, 10, 20), np.int32)
    other = first.copy()
    other[0, 0, :2] = 1
    other[1, 0, :3] = 1
    assert task.agree(first, other).tolist() == [True, False]


def test_ignored_samples_count_nothing() -> None:
    scores, masks = maps(0)
    masks[1] = 255
    task = fitted(Segmentation(), scores, masks)
    only = np.zeros((1, 8), np.int64)
    only[0, 1] = 1
    assert np.isnan(value(task, "miou", scores, masks, only)).all()
    assert np.isnan(value(task, "pixel_accuracy", scores, masks, only)).all()


def test_maps_that_do_not_fit_are_refused() -> None:
    scores, masks = maps(0)
    with pytest.raises(SourceError, match=r"\(4, 6, 5\) does not fit targets of 8 x 12") as refused:
        fitted(Segmentation(), scores, np.zeros((8, 8, 12), np.int64))
    assert refused.value.hint == "give targets of the output's size, 4 x 6"
    cube = np.zeros((2, 4, 4, 4), np.float32)
    with pytest.raises(SourceError, match="first or last"):
        fitted(Segmentation(), cube, np.zeros((2, 4, 4), np.int64))
    assert fitted(Segmentation(layout="chw"), cube, np.zeros((2, 4, 4), np.int64)).layout == "chw"  # type: ignore[attr-defined]
    with pytest.raises(SourceError, match="in the layout chw does not fit"):
        fitted(Segmentation(layout="chw"), scores, masks)
    with pytest.raises(SourceError, match="'classes' is 0"):
        fitted(Segmentation(holds="classes"), scores[..., :1], masks % 2)
    with pytest.raises(SourceError, match="5 channels are no class numbers"):
        fitted(Segmentation(holds="classes", classes=5), scores, masks)
    with pytest.raises(SourceError, match="class 255 of the model's 300 is ignored by default"):
        fitted(Segmentation(), np.zeros((8, 4, 6, 300), np.float32), masks)
    with pytest.raises(SourceError, match="no target counts"):
        fitted(Segmentation(), scores, np.full((8, 4, 6), 255))
    with pytest.raises(SourceError, match="range from 0 to 9"):
        fitted(Segmentation(), scores, np.where(masks == 3, 9, masks))
    with pytest.raises(SourceError, match="give int64") as refused:
        fitted(Segmentation(), scores, masks[..., None])
    with pytest.raises(SourceError, match="no probability"):
        fitted(Segmentation(), scores[..., 0], masks % 255 % 2).decode({"": scores[..., 0]})
