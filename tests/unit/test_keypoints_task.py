"""Keypoints are judged as COCOeval judges them, landmarks by the normalized mean error; what does not fit is refused."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.tasks.keypoints import Keypoints
from edgeworthy.tasks.landmarks import Landmarks
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pydantic import ValidationError

IMAGE = (64, 48, 3)


def keypoints(**options: Any) -> Keypoints:
    return Keypoints.model_validate({"decoder": {"kind": "coordinates"}, **options})


def landmarks(**options: Any) -> Landmarks:
    return Landmarks.model_validate(options)


def random_poses(rng: np.random.Generator, samples: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Poses and their targets; some people have few labelled keypoints, the last of several none."""
    truth = np.concatenate([rng.uniform(5, 40, (samples, count, 2)), rng.integers(0, 3, (samples, count, 1))], axis=2)
    truth[:, :2, 2] = 2
    if samples > 1:
        truth[-1, :, 2] = 0
    error = rng.normal(0, 1, (samples, count, 2)) * rng.uniform(0, 6, (samples, 1, 1))
    return np.concatenate([truth[..., :2] + error, rng.random((samples, count, 1))], axis=2), truth


def coco_ap(poses: NDArray[Any], truth: NDArray[Any], areas: NDArray[Any], sigmas: NDArray[Any]) -> float:
    """COCOeval's average precision of keypoints, percent; the box of a person is the whole image."""
    common = {"category_id": 1, "bbox": [0, 0, 48, 64], "iscrowd": 0}
    objects = [
        {**common, "id": one + 1, "image_id": one, "area": areas[one], "keypoints": truth[one].ravel().tolist(),
         "num_keypoints": int((truth[one, :, 2] > 0).sum())}
        for one in range(len(truth))
    ]  # fmt: skip
    found = [
        {
            **common,
            "id": one + 1,
            "image_id": one,
            "area": 3000.0,
            "keypoints": pose.ravel().tolist(),
            "score": pose[:, 2].mean(),
        }
        for one, pose in enumerate(poses)
    ]
    rest = {"images": [{"id": one} for one in range(len(truth))], "categories": [{"id": 1}]}
    with contextlib.redirect_stdout(io.StringIO()):
        gt, dt = COCO(), COCO()
        gt.dataset, dt.dataset = {**rest, "annotations": objects}, {**rest, "annotations": found}
        gt.createIndex()
        dt.createIndex()
        evaluation = COCOeval(gt, dt, "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]
    return 100 * float(precision[precision > -1].mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([17, 5]), st.booleans())
def test_equals_cocoeval(seed: int, samples: int, count: int, fixed_area: bool) -> None:
    """As they are, and with samples that count several times or not at all."""
    rng = np.random.default_rng(seed)
    poses, truth = random_poses(rng, samples, count)
    options: dict[str, Any] = {"area": 900.0} if fixed_area else {}
    task = keypoints(**options, sigmas=None if count == 17 else [0.05] * count).fitted({"": (count, 3)}, truth, IMAGE)
    weights = rng.integers(0, 3, (2, samples))
    weights[0], weights[1, 0] = 1, 2
    measure = task.measure("oks_ap")
    ours = measure.value(measure.evidence(task.decode({"": poses}), truth), weights)
    for value, row in zip(ours, weights, strict=True):
        which = np.repeat(np.arange(samples), row)
        areas = np.array([900.0 if fixed_area else area_of(truth[one]) for one in which])
        assert value == pytest.approx(coco_ap(poses[which], truth[which], areas, np.array(task.sigmas)), abs=1e-9)


def area_of(person: NDArray[Any]) -> float:
    """Of the box around the labelled keypoints."""
    visible = person[person[:, 2] > 0, :2]
    return float(np.prod(np.ptp(visible, axis=0))) if len(visible) else 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_what_is_not_finite_never_helps(value: float, column: int) -> None:
    """Neither a coordinate nor a score; and two models that both give it do not agree."""
    _, truth = random_poses(np.random.default_rng(5), 1, 17)
    task = keypoints().fitted({"": (17, 3)}, truth, IMAGE)
    perfect = truth.copy()
    perfect[..., 2] = 0.9
    broken = perfect.copy()
    broken[0, :, column] = value
    measure = task.measure("oks_ap")
    once = np.ones((1, 1), np.int64)
    assert measure.value(measure.evidence(perfect, truth), once) == pytest.approx(100)
    assert measure.value(measure.evidence(broken, truth), once) == pytest.approx(0)
    assert not task.agree(broken, broken).any()


def test_movenet_is_normalized_and_y_first() -> None:
    _, truth = random_poses(np.random.default_rng(6), 3, 17)
    task = keypoints(decoder={"kind": "coordinates", "order": "yx", "normalized": True})
    task = task.fitted({"out": (1, 17, 3)}, truth, IMAGE)
    rows = np.stack([truth[..., 1] / 64, truth[..., 0] / 48, np.full((3, 17), 0.5)], axis=2)
    np.testing.assert_allclose(task.decode({"out": rows[:, None]}), np.dstack([truth[..., :2], np.full((3, 17), 0.5)]))


def reference_heatmaps(maps: NDArray[Any]) -> NDArray[np.float64]:
    """The loops of Simple Baselines, for maps (samples, K, h, w) and an image four times as large."""
    samples, count, height, width = maps.shape
    poses = np.zeros((samples, count, 3))
    for sample in range(samples):
        for joint in range(count):
            map_ = maps[sample, joint]
            y, x = divmod(int(map_.argmax()), width)
            dx = dy = 0.0
            if 1 < x < width - 1 and 1 < y < height - 1:
                dx = 0.25 * np.sign(map_[y, x + 1] - map_[y, x - 1])
                dy = 0.25 * np.sign(map_[y + 1, x] - map_[y - 1, x])
            poses[sample, joint] = 4 * (x + dx), 4 * (y + dy), map_[y, x]
    return poses


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_heatmaps_are_read_as_simple_baselines_reads_them(seed: int, last: bool) -> None:
    maps = np.random.default_rng(seed).random((3, 17, 16, 12)).astype(np.float32)
    _, truth = random_poses(np.random.default_rng(0), 3, 17)
    given_maps = np.moveaxis(maps, 1, -1) if last else maps
    task = keypoints(decoder={"kind": "heatmaps"}).fitted({"": given_maps.shape[1:]}, truth, IMAGE)
    np.testing.assert_allclose(task.decode({"": given_maps}), reference_heatmaps(maps), rtol=1e-6)


def test_poses_agree_where_the_sure_keypoints_are_near() -> None:
    _, truth = random_poses(np.random.default_rng(7), 4, 17)
    task = keypoints().fitted({"": (17, 3)}, truth, IMAGE)
    first = truth.copy()
    first[..., 2] = 0.9
    first[:, 3, 2] = 0.1
    other = first.copy()
    other[0, :, :2] += 0.1  # all of them a little
    other[1, 3, :2] += 30  # neither is sure of it
    other[2, 3] += [30, 0, 0.8]  # the other is sure of it
    other[3, 5:9, :2] += 10
    assert task.agree(first, other).tolist() == [True, True, False, False]


def some_truth(**changes: float) -> NDArray[np.float64]:
    """Three people of 17 keypoints, of which one keypoint of the last is changed."""
    _, truth = random_poses(np.random.default_rng(8), 3, 17)
    truth[..., 2] = 2
    for name, value in changes.items():
        truth[2, 4, "xyv".index(name)] = value
    return truth


def without_area() -> NDArray[np.float64]:
    truth = some_truth()
    truth[1, 1:, 2] = 0
    return truth


@pytest.mark.parametrize(
    ("options", "shape", "targets", "message"),
    [
        ({}, (17, 2), some_truth(), "'coordinates' expects x, y and score of 17 keypoints"),
        ({}, (2, 17, 3), some_truth(), "'coordinates' expects"),
        ({"decoder": {"kind": "heatmaps"}}, (16, 12, 16), some_truth(), r"'heatmaps' expects maps \(17, h, w\)"),
        ({"decoder": {"kind": "heatmaps"}}, (17, 12, 17), some_truth(), r"'heatmaps' expects maps \(17, h, w\)"),
        ({}, (5, 3), some_truth()[:, :5], "5 keypoints, but there are 17 sigmas"),
        ({"sigmas": [0.1]}, (17, 3), some_truth(), "17 keypoints, but there are 1 sigmas"),
        ({}, (17, 3), some_truth()[..., :2], r"not float64 \(3, 17, 2\)"),
        ({}, (17, 3), some_truth(x=np.nan), "targets of 1 samples contain NaN or infinity; the first is sample 2"),
        ({}, (17, 3), some_truth(v=0.5), "visibility other than 0, 1 and 2"),
        ({}, (17, 3), some_truth() * [1, 1, 0], "no sample has a labelled keypoint"),
        ({}, (17, 3), without_area(), "no area encloses; the first is sample 1"),
    ],
)
def test_keypoints_that_do_not_fit_are_refused(
    options: dict[str, Any], shape: tuple[int, ...], targets: NDArray[Any], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        keypoints(**options).fitted({"": shape}, targets, IMAGE)
    if "area" in message:
        keypoints(area=100, **options).fitted({"": shape}, targets, IMAGE)


def test_keypoints_are_not_read_before_they_are_fitted() -> None:
    with pytest.raises(SourceError, match="no `sigmas`"):
        keypoints().decode({"": np.zeros((1, 17, 3))})


FACES = np.random.default_rng(9).uniform(5, 40, (3, 6, 2))


@pytest.mark.parametrize("shape", [(12,), (1, 1, 12), (6, 2), (1, 6, 2)])
def test_landmarks_are_read_from_every_shape(shape: tuple[int, ...]) -> None:
    task = landmarks().fitted({"": shape}, FACES, IMAGE)
    np.testing.assert_array_equal(task.decode({"": FACES.reshape(3, *shape)}), FACES)


def reference_error(found: NDArray[Any], truth: NDArray[Any], normalize: Any) -> float:
    total = sum(float(np.sqrt(((one - other) ** 2).sum())) for one, other in zip(found, truth, strict=True))
    if normalize == "box":
        by = float(np.sqrt((truth[:, 0].max() - truth[:, 0].min()) * (truth[:, 1].max() - truth[:, 1].min())))
    elif normalize == "image":
        by = float(np.sqrt(64**2 + 48**2))
    else:
        by = float(np.sqrt(((truth[normalize[0]] - truth[normalize[1]]) ** 2).sum()))
    return 100 * total / len(truth) / by


@pytest.mark.parametrize("normalize", ["box", "image", [0, 4]])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("normalized", [False, True])
def test_normalized_mean_error(normalize: Any, dimensions: int, normalized: bool) -> None:
    """In pixels; z is a fraction of the width, and not counted where the targets have none."""
    rng = np.random.default_rng(10)
    truth = rng.uniform(5, 40, (4, 6, dimensions))
    found = np.concatenate([truth + rng.normal(0, 1, truth.shape), rng.random((4, 6, 3 - dimensions))], axis=2)
    scale = np.array([48, 64, 48]) if normalized else np.ones(3)
    targets = truth / scale[:dimensions]
    task = landmarks(normalize=normalize, normalized=normalized, dimensions=3)
    task = task.fitted({"": (1, 1, 18)}, targets, IMAGE)
    predictions = task.decode({"": (found / scale).reshape(4, 1, 1, 18)})
    measure = task.measure("nme")
    expected = [reference_error(one[:, :dimensions], other, normalize) for one, other in zip(found, truth, strict=True)]
    weights = np.array([[1, 1, 1, 1], [0, 3, 1, 0]])
    value = measure.value(measure.evidence(predictions, targets), weights)
    np.testing.assert_allclose(value, weights @ expected / 4, rtol=1e-12)


def test_landmarks_agree_below_one_percent_and_nan_never() -> None:
    task = landmarks().fitted({"": (12,)}, FACES, IMAGE)
    other = FACES.copy()
    other[0] += 0.1
    other[1] += 1
    other[2, 0, 0] = np.nan
    assert task.agree(FACES, other).tolist() == [True, False, False]
    assert not task.agree(FACES * 0, FACES * 0).any()
    measure = task.measure("nme")
    assert np.isnan(measure.value(measure.evidence(other, FACES), np.ones((1, 3), np.int64))).all()


@pytest.mark.parametrize(
    ("options", "shape", "targets", "message"),
    [
        ({}, (13,), FACES, r"12 numbers or \(6, 2\), but the output is \(13,\)"),
        ({}, (2, 6), FACES, r"but the output is \(2, 6\)"),
        ({"dimensions": 3}, (12,), FACES, "18 numbers"),
        ({"dimensions": 2}, (12,), np.zeros((3, 6, 3)), "3 dimensions, but `dimensions` is 2"),
        ({}, (12,), FACES[0], r"not float64 \(6, 2\)"),
        ({}, (12,), FACES * [np.nan, 1], "contain NaN"),
        ({}, (12,), FACES * [1, 0], "distance is 0 in 3 samples; the first is sample 0"),
        ({"normalize": [0, 6]}, (12,), FACES, r"`normalize` is \[0, 6\], but there are 6"),
        ({"output": "mesh"}, (12,), FACES, "has no output 'mesh'"),
    ],
)
def test_landmarks_that_do_not_fit_are_refused(
    options: dict[str, Any], shape: tuple[int, ...], targets: NDArray[Any], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        landmarks(**options).fitted({"": shape}, targets, IMAGE)


@pytest.mark.parametrize("normalize", [[1, 1], [-1, 2], [1], "eyes"])
def test_the_normalizing_distance_is_of_two_landmarks(normalize: Any) -> None:
    with pytest.raises(ValidationError):
        landmarks(normalize=normalize)


def test_landmarks_are_not_read_before_they_are_fitted() -> None:
    with pytest.raises(SourceError, match="no `dimensions`"):
        landmarks().decode({"": np.zeros((1, 12))})
