"""Samples of different sizes: where they stand in rows, which values are their own, and what a task is given of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from edgeworthy.datasets.ragged import framed, ragged_facts, zero_beyond
from edgeworthy.errors import SourceError
from edgeworthy.measurements.tasks import Judged
from edgeworthy.tasks.detection import Detection
from edgeworthy.tasks.embeddings import Embeddings
from edgeworthy.tasks.images import Images
from edgeworthy.tasks.regression import Regression
from edgeworthy.tasks.segmentation import Segmentation
from edgeworthy.tasks.task import Task
from edgeworthy.tasks.tokens import NOT_JUDGED, Tokens
from edgeworthy.tensors import NamedInput, in_a_row, largest
from edgeworthy.truth import Truth
from edgeworthy.verdicts import fidelity, scoring
from skimage.metrics import structural_similarity

ROWS = np.array([[1, 2, 3, 4, 0, 0, 2, 7], [1, 2, 3, 4, 5, 6, 3, 7]], np.float32)


def named() -> tuple[NamedInput, ...]:
    """An input of up to three pairs, and one number after it."""
    return in_a_row({"pairs": np.zeros((1, 3, 2)), "one": np.zeros(1)}, {"pairs": (0,)})


def test_a_row_has_its_samples_sizes() -> None:
    """Each sample is as large as it is; the next input begins after the sizes. Several of different sizes are no one array."""
    pairs, one = named()
    assert (pairs.open_shape, pairs.end, one.start) == ((None, 2), 7, 7)
    assert pairs.of(ROWS[:1]).tolist() == [[[1, 2], [3, 4]]]
    assert pairs.of(ROWS[1:]).shape == (1, 3, 2)
    assert one.of(ROWS).tolist() == [7, 7]
    assert NamedInput.from_json(pairs.to_json()) == pairs
    with pytest.raises(ValueError, match="2 samples of 'pairs', which have different sizes"):
        pairs.of(ROWS)
    assert pairs.of(largest([pairs])).shape == (1, 3, 2)


@pytest.mark.parametrize(("factor", "size"), [(1 + 1e-6, 2), (1 / 255, 1), (255, 3)])
def test_a_row_that_was_scaled_still_has_a_size(factor: float, size: int) -> None:
    """What looks for a mistake changes all values of a row a little, or by a scale."""
    assert named()[0].of(ROWS[:1] * np.float32(factor)).shape == (1, size, 2)


def test_splits_have_one_frame() -> None:
    """Samples of both splits go into the largest; those of one size need no sizes; another number of axes is refused."""
    arrays, sizes = framed({"evaluation_x": [np.ones((2, 3)), np.ones((1, 4))], "calibration_x": [np.ones((5, 1))]})
    assert {name: each.shape for name, each in arrays.items()} == {
        "evaluation_x": (2, 5, 4),
        "calibration_x": (1, 5, 4),
    }
    assert sizes["calibration_x"].tolist() == [[5, 1]]
    assert arrays["evaluation_x"].sum() == 10
    arrays, sizes = framed({"evaluation_x": [np.ones(3), np.zeros(3)], "evaluation_y": np.array([0, 1])})
    assert (arrays["evaluation_x"].shape, sizes) == ((2, 3), {})
    with pytest.raises(SourceError, match=r"calibration_x: sample 0 of shape \(3,\) has 1 axes, and others 2"):
        framed({"evaluation_x": [np.ones((2, 3))], "calibration_x": [np.ones(3)]})
    assert zero_beyond(np.ones((1, 3)), np.array([[2]])).tolist() == [[1, 1, 0]]


def test_the_first_sample_of_median_size_is_timed() -> None:
    """Not the smallest, whose inferences are the quickest."""
    rows = np.array([[0, 0, 0, size] for size in (1, 3, 2, 2, 3)], np.float32)
    facts = ragged_facts(rows, in_a_row({"x": np.zeros((1, 3))}, {"x": (0,)}))
    assert facts == {"ragged": {"x": [[1], [3]]}, "timed": 2}


def of_sizes(sizes: list[list[int]], frame: tuple[int, ...], **more: object) -> Truth:
    """A truth whose samples have outputs of these sizes, with random values and zeros after them."""
    reference = np.random.default_rng(0).normal(100, 1, (len(sizes), *frame)).astype(np.float32)
    reference = zero_beyond(reference, np.array(sizes)).reshape(len(sizes), -1)
    outputs = {"": frame}
    truth = Truth(np.zeros((len(sizes), 0)), reference, "fidelity", "", outputs=outputs, sizes=np.array(sizes))
    return truth.__class__(**{**truth.__dict__, **more})


def test_errors_are_those_of_a_samples_own_values() -> None:
    """The zeros after a smaller sample make no spread, in which every difference would look small, and no column more."""
    truth = of_sizes([[2], [4], [4], [4]], (4,))
    own = truth.own_values()
    assert own is not None
    assert own.sum(axis=1).tolist() == [2, 4, 4, 4]
    wrong = (truth.reference + own).astype(np.float32)  # by as much as the values' own spread
    assert scoring.normalized_errors(wrong, truth.reference, own).mean() > 0.5
    assert scoring.normalized_errors(wrong, truth.reference).mean() < 0.01
    assert fidelity.alike(truth.reference, wrong, own=own).value == 0
    assert scoring.squared_errors(wrong, truth.reference, own) == pytest.approx([1, 1, 1, 1], rel=1e-4)


def test_a_task_is_given_samples_of_one_size_at_a_time() -> None:
    """Maps in their own size against masks of theirs, in any order; a mask of another size than its map is named."""
    random, sizes = np.random.default_rng(0), [[4, 6], [5, 3], [4, 6]]
    maps = np.zeros((3, 5, 6, 2), np.float32)
    masks = np.zeros((3, 5, 6), np.int64)
    for place, (height, width) in enumerate(sizes):
        masks[place, :height, :width] = random.integers(0, 2, (height, width))
        maps[place, :height, :width, 1] = masks[place, :height, :width] * 2 - 1
    maps[1, 0, 0, 1] *= -1  # one pixel of 63 is wrong
    truth = Truth(
        masks,
        maps.reshape(3, -1),
        "pixel_accuracy",
        "",
        outputs={"": (5, 6, 2)},
        task=Segmentation(layout="hwc", classes=2).model_dump(),
        sizes=np.array([[*size, 2] for size in sizes]),
        label_sizes=np.array(sizes),
    )
    task = Judged(truth)
    assert task.reference.value == pytest.approx(100 * 62 / 63)
    assert [task.decode(truth.reference)[sample].shape for sample in range(3)] == [tuple(size) for size in sizes]
    flat = maps.copy()
    flat[2] = 0
    assert task.same(task.decode(truth.reference), task.decode(flat.reshape(3, -1))).tolist() == [True, True, False]
    unlike = Judged(truth.__class__(**{**truth.__dict__, "label_sizes": np.array([[4, 6], [5, 4], [4, 6]])}))
    with pytest.raises(
        SourceError, match="sample 1 has outputs of 5x3x2 and a target of 5x4, which do not fit each other"
    ):
        _ = unlike.reference


def judged_with(
    metric: str, task: Task, judged: np.ndarray, labels: np.ndarray, sizes: list[int] | None = None
) -> Judged:
    """A truth whose output ``judged`` (samples, ...) has one size, beside another that has different ``sizes``, if any."""
    outputs: dict[str, tuple[int, ...]] = {"judged": judged.shape[1:]}
    own = None
    values = judged.reshape(len(judged), -1).astype(np.float32)
    if sizes is not None:
        outputs["other"] = (max(sizes),)
        own = np.array([[*judged.shape[1:], size] for size in sizes])
        values = np.concatenate([values, np.zeros((len(values), max(sizes)), np.float32)], axis=1)
    return Judged(Truth(labels, values, metric, "", outputs=outputs, task=task.model_dump(), sizes=own))


@pytest.mark.parametrize("metric", ["eer", "recall_at_1", "r2"])
def test_samples_that_are_compared_are_compared_with_all_others(metric: str) -> None:
    """An output of one size beside one of different sizes is judged as it is alone: not among samples of its size."""
    random = np.random.default_rng(0)
    people = np.arange(12) // 3
    faces = random.normal(size=(4, 6))[people] + random.normal(size=(12, 6))
    task: Task = Embeddings(output="judged")
    labels: np.ndarray = people
    if metric == "r2":
        task, labels = Regression(output="judged"), (faces + 0.3 * random.normal(size=faces.shape)).astype(np.float32)
    alone, beside = (judged_with(metric, task, faces, labels, sizes) for sizes in (None, [1, 2, 3, 4] * 3))
    assert beside.reference.value == alone.reference.value
    np.testing.assert_array_equal(beside.reference.drawn, alone.reference.drawn)


def test_images_have_the_range_of_all_of_them() -> None:
    """A dark image of its own size is one of 255 levels, as the bright ones are."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 256, (3, 16, 16, 1)).astype(np.float32)
    targets[1, :, 12:] = 0
    targets[1, :, :12] /= 255
    images = targets + random.normal(size=targets.shape).astype(np.float32)
    images[1, :, 12:] = 0
    sizes = np.array([[16, 16, 1], [16, 12, 1], [16, 16, 1]])
    outputs = {"": targets.shape[1:]}
    task = Images(layout="hwc").model_dump()
    rows = images.reshape(3, -1)
    found = Judged(
        Truth(targets, rows, "ssim", "", outputs=outputs, task=task, sizes=sizes, label_sizes=sizes)
    ).reference
    own = [structural_similarity(
        target[tuple(map(slice, size))], image[tuple(map(slice, size))], data_range=255, channel_axis=-1,
        gaussian_weights=True, use_sample_covariance=False,
    ) for target, image, size in zip(targets.astype(float), images.astype(float), sizes, strict=True)]  # fmt: skip
    assert found.value == pytest.approx(np.mean(own))


def detections(boxes: np.ndarray, sizes: np.ndarray | None, **more: object) -> Judged:
    """Boxes (samples, 2, 4) of images of these ``sizes``, as shares of each; in pixels where there are no sizes."""
    random = np.random.default_rng(1)
    share = boxes if sizes is None else boxes / np.tile(sizes[:, np.newaxis, 1::-1], 2)
    scores = random.uniform(0.3, 0.9, (len(boxes), 2, 1))
    missed = share * (1 + random.choice([0.0, 0.2], (len(boxes), 2, 1)))
    values = np.concatenate([missed, scores, np.ones_like(scores)], axis=2)
    decoder = {"kind": "boxes", "normalized": sizes is not None}
    size = (64, 64) if sizes is None else None
    task = Detection.model_validate({"decoder": decoder, "image_size": size, "classes": 2})
    labels = np.concatenate([boxes, np.ones_like(scores)], axis=2)
    rows, outputs = values.reshape(len(boxes), -1).astype(np.float32), {"": (2, 6)}
    truth = Truth(labels, rows, "map", "", outputs=outputs, task=task.model_dump(), image_sizes=sizes)
    return Judged(replace(truth, **more))


def test_boxes_are_those_of_each_samples_own_image() -> None:
    """Shares of images of different sizes are as good as the same boxes in pixels; a box beyond its own image is refused."""
    random = np.random.default_rng(0)
    sizes = np.concatenate([random.integers(40, 64, (9, 2)), np.full((9, 1), 3)], axis=1)
    starts = random.uniform(0, 10, (9, 2, 2))
    boxes = np.concatenate([starts, starts + random.uniform(10, 20, (9, 2, 2))], axis=2)
    wanted, found = detections(boxes, None), detections(boxes, sizes)
    assert 0 < wanted.reference.value < 100
    assert found.reference.value == pytest.approx(wanted.reference.value)
    assert found.fitted(())["image_size"] is None
    assert found.same(found.decode(found._truth.reference), found.decode(found._truth.reference)).all()
    empty = found._truth.labels.copy()
    empty[1:, :, 4] = -1  # one sample with objects is enough
    detections(boxes, sizes, labels=empty).fitted(())
    empty[0, :, 4] = -1
    with pytest.raises(SourceError, match="no sample has an object"):
        detections(boxes, sizes, labels=empty).fitted(())
    beyond = found._truth.labels.copy()
    beyond[3, 1, 2] = sizes[3, 1] + 1
    with pytest.raises(SourceError, match=rf"lie outside the image, {sizes[3, 1]} pixels wide .* like sample 3"):
        detections(boxes, sizes, labels=beyond).fitted(())


def test_targets_of_padded_samples_are_padded_with_what_does_not_count() -> None:
    """Masks with their class to ignore, in the layout of the map; labels of tokens; where no layout can be seen, it is asked."""
    targets, sizes = np.ones((1, 3, 3), np.int64), np.array([[3, 3]])
    wanted = np.full((1, 4, 5), 255)
    wanted[0, :3, :3] = 1
    for shape in ((4, 5, 2), (2, 4, 5), (4, 5)):
        np.testing.assert_array_equal(Segmentation().padded(targets, sizes, {"": shape}), wanted)
    with pytest.raises(SourceError, match="whether the channels are first or last cannot be seen"):
        Segmentation().padded(targets, sizes, {"": (4, 5, 4)})
    detection = Detection.model_validate({"decoder": {"kind": "boxes"}})
    rows = detection.padded(np.zeros((2, 2, 5)), np.array([[2, 5], [1, 5]]), {})
    assert rows[..., 0].tolist() == [[0, 0], [0, -1]]
    tokens = Tokens().padded(np.ones((1, 2), np.int64), np.array([[2]]), {"": (4, 3)})
    assert tokens.tolist() == [[1, 1, NOT_JUDGED, NOT_JUDGED]]
    with pytest.raises(
        SourceError, match=r"the largest targets are \[5\], and the outputs of padded samples are for \[4\]"
    ):
        Tokens().padded(np.ones((1, 5), np.int64), np.array([[5]]), {"": (4, 3)})
