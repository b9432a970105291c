"""Average precision equals pycocotools' COCOeval, of samples as they are and of any resampling."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
from edgeworthy.tasks.average_precision import HALF, THRESHOLDS, average_precision
from edgeworthy.tasks.boxes import overlaps
from edgeworthy.tasks.matching import Pairing
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

#: A sample: boxes, scores, classes of its detections; boxes, classes, crowd of its objects.
Sample = tuple[NDArray[Any], ...]


def paired(found: Sample, objects: Sample) -> Pairing:
    boxes, scores, classes = found
    return Pairing(scores, classes, overlaps(boxes, objects[0], objects[2]), objects[1], objects[2])


def random_sample(
    rng: np.random.Generator, classes: int, levels: int, most: int = 25, crowds: float = 0.15
) -> tuple[Sample, Sample]:
    """Detections near objects, and strays; ``levels`` of score make ties, 0 none."""
    objects, strays = int(rng.integers(0, 7)), int(rng.integers(0, most))
    first = rng.uniform(0, 80, (objects, 2)).round(1)
    truth = np.hstack([first, first + rng.uniform(5, 40, (objects, 2)).round(1)])
    labels = rng.integers(0, classes, objects)
    near = rng.integers(0, objects, strays) if objects else np.zeros(0, int)
    first = rng.uniform(0, 80, (strays, 2))
    boxes = np.hstack([first, first + rng.uniform(5, 40, (strays, 2))])
    found = rng.integers(0, classes, strays)
    if objects:
        close = rng.random(strays) < 0.7
        boxes[close] = (truth[near] + rng.normal(0, 3, (strays, 4)))[close]
        found[close] = labels[near][close]
    scores = (
        rng.integers(1, levels + 1, strays) / levels if levels else rng.permutation(strays) / 1000 + rng.random() / 2000
    )
    order = np.argsort(-scores, kind="stable")
    boxes = np.hstack([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])]).astype(
        np.float32
    )
    crowd = rng.random(objects) < crowds
    return (boxes[order], scores[order].astype(np.float32), found[order]), (truth.astype(np.float32), labels, crowd)


def coco_stats(samples: list[tuple[Sample, Sample]], classes: int) -> tuple[float, float]:
    """COCOeval's mean average precision and that at IoU 0.5, percent."""
    truth, found = [], []
    for image, (detections, objects) in enumerate(samples):
        for box, label, crowd in zip(*objects, strict=True):
            truth.append(entry(image, label, box, len(truth) + 1) | {"iscrowd": int(crowd)})
        for box, score, label in zip(*detections, strict=True):
            found.append(entry(image, label, box, len(found) + 1) | {"score": float(score), "iscrowd": 0})
    names = [{"id": label} for label in range(classes)]
    images = [{"id": image} for image in range(len(samples))]
    with contextlib.redirect_stdout(io.StringIO()):
        gt, dt = COCO(), COCO()
        gt.dataset = {"images": images, "annotations": truth, "categories": names}
        dt.dataset = {"images": images, "annotations": found, "categories": names}
        gt.createIndex()
        dt.createIndex()
        evaluation = COCOeval(gt, dt, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * evaluation.stats[0], 100 * evaluation.stats[1]


def entry(image: int, label: int, box: NDArray[Any], number: int) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(value) for value in box)
    width, height = x2 - x1, y2 - y1
    return {
        "id": number, "image_id": image, "category_id": int(label), "bbox": [x1, y1, width, height], "area": width * height,
    }  # fmt: skip


def values(samples: list[tuple[Sample, Sample]], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ours, (resamplings, 2): over all thresholds, and at 0.5."""
    found, objects = zip(*samples, strict=True)
    measures = (average_precision(paired, THRESHOLDS), average_precision(paired, HALF))
    return np.stack([one.value(one.evidence(found, objects), weights) for one in measures], axis=1)


def assert_equal_to_coco(ours: NDArray[np.float64], samples: list[tuple[Sample, Sample]], classes: int) -> None:
    theirs = coco_stats(samples, classes)
    expected = [np.nan if value < 0 else value for value in theirs]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 6), st.sampled_from([0, 2, 10]))
def test_equals_cocoeval(seed: int, count: int, classes: int, levels: int) -> None:
    """With crowds, ties, images without objects or detections, and classes that nothing has."""
    rng = np.random.default_rng(seed)
    samples = [random_sample(rng, classes, levels) for _ in range(count)]
    assert_equal_to_coco(values(samples, np.ones((1, count), np.int64))[0], samples, classes)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 4))
def test_a_resampling_equals_cocoeval_of_repeated_images(seed: int, count: int, classes: int) -> None:
    """Each resampling has its own value; an image that is left out counts nowhere. Scores tie between images."""
    rng = np.random.default_rng(seed)
    samples = [random_sample(rng, classes, levels=0) for _ in range(count)]
    weights = rng.integers(0, 4, (3, count))
    weights[0, 0] = 1
    for ours, row in zip(values(samples, weights), weights, strict=True):
        if row.any():
            assert_equal_to_coco(
                ours, [one for one, times in zip(samples, row, strict=True) for _ in range(times)], classes
            )


def test_the_best_hundred_of_a_class_count() -> None:
    rng = np.random.default_rng(3)
    samples = [random_sample(rng, classes=2, levels=levels, most=600) for levels in (0, 50, 0)]
    assert max(len(found[1]) for found, _ in samples) > 200
    assert_equal_to_coco(values(samples, np.ones((1, 3), np.int64))[0], samples, 2)


@pytest.mark.parametrize("second", [(0, 0, 10, 10), (4, 0, 14, 10)])
def test_of_equally_similar_objects_the_last_is_taken(second: tuple[int, ...]) -> None:
    """The first detection overlaps both objects alike; which one it takes decides whether the second finds its own."""
    truth = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], np.float32)
    boxes = np.array([[2, 0, 12, 10], second], np.float32)
    label = np.zeros(2, np.int64)
    samples = [((boxes, np.array([0.9, 0.8], np.float32), label), (truth, label, label > 0))]
    assert_equal_to_coco(values(samples, np.ones((1, 1), np.int64))[0], samples, 1)


def test_recall_at_a_hundredth_is_compared_as_cocoeval_compares_it() -> None:
    """With 100 objects every recall is a hundredth; some are below what linspace makes of them."""
    rng = np.random.default_rng(0)
    corner = np.array([[20.0 * (place % 10), 20.0 * (place // 10)] for place in range(100)], np.float32)
    truth = np.hstack([corner, corner + 10])
    scores = np.sort(rng.random(100).astype(np.float32))[::-1]
    boxes = truth + np.where(rng.random((100, 1)) < 0.7, 0, 200).astype(np.float32)
    label = np.zeros(100, np.int64)
    samples = [((boxes, scores, label), (truth, label, np.zeros(100, bool)))]
    assert_equal_to_coco(values(samples, np.ones((1, 1), np.int64))[0], samples, 1)


def test_without_objects_the_value_is_undefined() -> None:
    rng = np.random.default_rng(1)
    samples = [random_sample(rng, 3, 0, crowds=1.0), random_sample(rng, 3, 0, crowds=0.0)]
    assert len(samples[1][1][0])
    assert np.isnan(values(samples, np.array([[5, 0], [0, 0]]))).all()
    assert np.isfinite(values(samples, np.array([[1, 1]]))).all()


def test_the_mean_is_over_the_classes_that_a_resampling_has() -> None:
    """A class whose only image is left out does not pull the mean down."""
    box, label, sure = np.array([[0, 0, 9, 9]], np.float32), np.zeros(1, np.int64), np.ones(1, np.float32)
    found, missed = (box, sure, label), (box[:0], sure[:0], label[:0])
    samples = [(found, (box, label, label > 0)), (missed, (box, label + 1, label > 0))]
    np.testing.assert_allclose(values(samples, np.array([[1, 1], [2, 0], [0, 1]]))[:, 0], [50, 100, 0])


@pytest.mark.parametrize("classes", [1, 20])
def test_many_resamplings_need_little_memory(classes: int) -> None:
    rng = np.random.default_rng(2)
    samples = [random_sample(rng, classes, 0) for _ in range(300)]
    measure = average_precision(paired)
    evidence = measure.evidence(*zip(*samples, strict=True))
    weights = rng.multinomial(300, np.full(300, 1 / 300), 2000)
    tracemalloc.start()
    measure.value(evidence, weights)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
