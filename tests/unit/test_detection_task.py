"""Outputs of detectors become boxes as their makers' code makes them, and what does not fit is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.tasks.decoders.ssd_anchors import BLAZEFACE, SsdAnchors
from edgeworthy.tasks.detection import Detection
from edgeworthy.tasks.detections import Detections
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

IMAGE = (96, 128, 3)
SSD = {"kind": "ssd", "boxes": "b", "scores": "s", "anchors": {"strides": [32]}}
ONE_BOX = np.array([[[10, 20, 50, 60, 0]]], np.float32)


def detection(decoder: dict[str, Any], **options: Any) -> Detection:
    return Detection.model_validate({"decoder": decoder, **options})


def decoded(task: Detection, outputs: dict[str, NDArray[Any]], targets: NDArray[Any] = ONE_BOX) -> list[Detections]:
    shapes = {name: values.shape[1:] for name, values in outputs.items()}
    return task.fitted(shapes, targets, IMAGE).decode(outputs)


def assert_equal(found: Detections, expected: list[tuple[Any, ...]]) -> None:
    """Equal to rows of x1, y1, x2, y2, score, class, which are sorted here by score."""
    rows = np.array(sorted(expected, key=lambda row: -row[4]), np.float64).reshape(-1, 6)
    np.testing.assert_allclose(found.boxes, rows[:, :4], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found.scores, rows[:, 4], rtol=1e-6)
    np.testing.assert_array_equal(found.classes, rows[:, 5])


def yolo_rows(rng: np.random.Generator, anchors: int, columns: int) -> NDArray[np.float32]:
    centres, sides = rng.uniform(20, 70, (anchors, 2)), rng.uniform(5, 30, (anchors, 2))
    return np.hstack([centres, sides, rng.random((anchors, columns - 4))]).astype(np.float32)


@pytest.mark.parametrize("normalized", [False, True])
def test_yolov5_scores_are_objectness_times_probability(normalized: bool) -> None:
    rows = yolo_rows(np.random.default_rng(0), 15, 5 + 3)
    scale = [1, 1, 1, 1]
    expected = []
    for cx, cy, w, h, objectness, *probabilities in rows.astype(float):
        for label, probability in enumerate(probabilities):
            if objectness * probability >= 0.3:
                expected.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, objectness * probability, label))
    if normalized:
        scale = [128, 96, 128, 96]
    task = detection({"kind": "yolov5", "normalized": normalized}, nms_iou=None, score_threshold=0.3)
    given_rows = np.hstack([rows[:, :4] / np.array(scale, np.float32), rows[:, 4:]])
    assert_equal(decoded(task, {"": given_rows[None]})[0], expected)


@pytest.mark.parametrize("transposed", [False, True])
def test_yolov8_is_read_either_way_round(transposed: bool) -> None:
    rows = yolo_rows(np.random.default_rng(1), 15, 4 + 3)
    expected = []
    for cx, cy, w, h, *probabilities in rows.astype(float):
        for label, probability in enumerate(probabilities):
            if probability >= 0.4:
                expected.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, probability, label))
    task = detection({"kind": "yolov8"}, classes=3, nms_iou=None, score_threshold=0.4)
    assert_equal(decoded(task, {"out": (rows if transposed else rows.T)[None]})[0], expected)


def reference_anchors(
    strides: list[int], low: float, high: float, ratios: list[float], reduced: bool
) -> list[tuple[float, ...]]:
    """MediaPipe's loops, for an image of 300 by 300 and centres in the middle of the cells."""

    def scale(layer: int) -> float:
        return low + (high - low) * layer / (len(strides) - 1)

    anchors, layer = [], 0
    while layer < len(strides):
        sizes, last = [], layer
        while last < len(strides) and strides[last] == strides[layer]:
            if last == 0 and reduced:
                sizes += [(0.1, 1.0), (scale(0), 2.0), (scale(0), 0.5)]
            else:
                following = 1.0 if last == len(strides) - 1 else scale(last + 1)
                sizes += [(scale(last), ratio) for ratio in ratios] + [(math.sqrt(scale(last) * following), 1.0)]
            last += 1
        cells = math.ceil(300 / strides[layer])
        for y in range(cells):
            for x in range(cells):
                for size, ratio in sizes:
                    anchors.append(
                        ((y + 0.5) / cells, (x + 0.5) / cells, size / math.sqrt(ratio), size * math.sqrt(ratio))
                    )  # fmt: skip
        layer = last
    return anchors


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("strides", [[16, 32, 64, 128, 256, 512], [8, 16, 16, 16], [16, 16, 32]])
def test_anchors_are_mediapipes(strides: list[int], reduced: bool) -> None:
    ratios = [1.0, 2.0, 0.5, 3.0, 0.3333]
    anchors = SsdAnchors(strides=tuple(strides), aspect_ratios=tuple(ratios), reduce_boxes_in_lowest_layer=reduced)
    expected = reference_anchors(strides, 0.2, 0.95, ratios, reduced)
    np.testing.assert_allclose(anchors.generated((300, 300)), expected, rtol=1e-12)


def test_published_counts_of_anchors() -> None:
    """TensorFlow's SSD MobileNet has 1917 for 300 pixels; BlazeFace 896: 2 in each of 16 x 16 cells, 6 in each of 8 x 8."""
    ssd = SsdAnchors(
        strides=(16, 32, 64, 128, 256, 512), aspect_ratios=(1, 2, 0.5, 3, 0.3333), reduce_boxes_in_lowest_layer=True
    )
    assert len(ssd.generated((300, 300))) == 1917
    anchors = BLAZEFACE.generated((128, 128))
    assert anchors.shape == (896, 4)
    np.testing.assert_array_equal(anchors[:2], [[1 / 32, 1 / 32, 1, 1]] * 2)
    np.testing.assert_array_equal(anchors[512:518], [[1 / 16, 1 / 16, 1, 1]] * 6)
    np.testing.assert_array_equal(anchors[518, :2], [1 / 16, 3 / 16])


def test_ssd_offsets_are_relative_to_anchors() -> None:
    """TensorFlow's coding: y, x, h, w over 10, 10, 5, 5, exponential sides, a sigmoid, the background first."""
    rng = np.random.default_rng(2)
    anchors = SsdAnchors(strides=(32, 64), aspect_ratios=(1.0, 2.0))
    table = anchors.generated(IMAGE[:2])
    offsets = rng.normal(0, 2, (len(table), 4)).astype(np.float32)
    scores = rng.normal(0, 2, (len(table), 3)).astype(np.float32)
    expected = []
    for (cy, cx, h, w), (dy, dx, dh, dw), row in zip(table, offsets.astype(float), scores.astype(float), strict=True):
        y, x, height, width = dy / 10 * h + cy, dx / 10 * w + cx, math.exp(dh / 5) * h, math.exp(dw / 5) * w
        for label, logit in enumerate(row[1:]):
            box = ((x - width / 2) * 128, (y - height / 2) * 96, (x + width / 2) * 128, (y + height / 2) * 96)
            expected.append((*box, 1 / (1 + math.exp(-logit)), label))
    options = {
        "kind": "ssd",
        "boxes": "b",
        "scores": "s",
        "anchors": {"strides": [32, 64], "aspect_ratios": [1.0, 2.0]},
    }
    task = detection(options, nms_iou=None, score_threshold=0)
    assert_equal(decoded(task, {"b": offsets[None], "s": scores[None]})[0], expected)
    softmax = detection({**options, "activation": "softmax"}, nms_iou=None, score_threshold=0, max_detections=1000)
    (found,) = decoded(softmax, {"b": offsets[None], "s": scores[None]})
    best = max(
        math.exp(row[label]) / sum(math.exp(value) for value in row) for row in scores.astype(float) for label in (1, 2)
    )
    assert found.scores[0] == pytest.approx(best)


@pytest.mark.parametrize(("value", "kept"), [(np.nan, 21), (np.inf, 21), (3e3, 21), (-np.inf, 22), (-3e3, 23)])
def test_offsets_beyond_any_box_are_dropped(value: float, kept: int) -> None:
    """The exponential of an offset overflows float64, or only the float32 of a box."""
    offsets, scores = np.zeros((1, 24, 4), np.float32), np.ones((1, 24, 2), np.float32)
    offsets[0, 3], offsets[0, 5, 2], scores[0, 7, 1] = value, min(value, 500), np.nan
    (found,) = decoded(detection(SSD, nms_iou=None), {"b": offsets, "s": scores})
    assert np.isfinite(found.boxes).all()
    assert len(found) == kept


def test_blazeface_is_a_preset_of_ssd() -> None:
    """x before y, in 128ths of the image, no exponential, logits beyond 100 are clipped."""
    rng = np.random.default_rng(3)
    regressors, logits = rng.normal(0, 9, (1, 896, 16)).astype(np.float32), np.full((1, 896, 1), -150, np.float32)
    logits[0, 513], regressors[0, 513, :4] = 2, [6.4, -12.8, 32, 64]
    task = detection({"kind": "ssd", "preset": "blazeface", "boxes": "r", "scores": "c"}, score_threshold=0.5)
    outputs = {"r": regressors, "c": logits}
    fitted = task.fitted({"r": (896, 16), "c": (896, 1)}, np.array([[[1, 2, 3, 4, 0]]]), (128, 128, 3))
    assert fitted.classes == 1
    assert_equal(
        fitted.decode(outputs)[0],
        [(8 + 6.4 - 16, 8 - 12.8 - 32, 8 + 6.4 + 16, 8 - 12.8 + 32, 1 / (1 + math.exp(-2)), 0)],
    )


@pytest.mark.parametrize(
    ("order", "box"),
    [("xyxy", (10, 20, 50, 60)), ("yxyx", (20, 10, 60, 50)), ("xywh", (10, 20, 40, 40)), ("cxcywh", (30, 40, 40, 40))],
)
def test_finished_boxes_in_every_order(order: str, box: tuple[float, ...]) -> None:
    rows = np.array([[*box, 0.9, 2]], np.float32)
    task = detection({"kind": "boxes", "order": order}, nms_iou=None)
    assert_equal(decoded(task, {"": rows[None]})[0], [(10, 20, 50, 60, 0.9, 2)])


def test_tflite_detection_postprocess() -> None:
    """Fractions, y first, and only as many as the count says; a class below 0 is padding."""
    outputs = {
        "boxes": np.tile(np.array([0.25, 0.5, 0.5, 1.0], np.float32), (1, 4, 1)),
        "classes": np.array([[1, -1, 0, 2]], np.float32),
        "scores": np.array([[0.9, 0.8, 0.7, 0.6]], np.float32),
        "count": np.array([3], np.float32),
    }
    names = {name: name for name in outputs}
    task = detection({"kind": "boxes", "order": "yxyx", "normalized": True, **names}, nms_iou=None)
    assert_equal(decoded(task, outputs)[0], [(64, 24, 128, 48, 0.9, 1), (64, 24, 128, 48, 0.7, 0)])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(7))
def test_what_is_not_finite_is_never_kept(value: float, column: int) -> None:
    rows = yolo_rows(np.random.default_rng(4), 6, 7)
    rows[:, 4:] = 0.9
    rows[2, column] = value
    (found,) = decoded(detection({"kind": "yolov8"}, classes=3, nms_iou=None), {"": rows[None]})
    assert np.isfinite(found.boxes).all()
    assert np.isfinite(found.scores).all()
    assert len(found) == (5 * 3 if column < 4 else 6 * 3 - 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60), st.sampled_from([0.3, 0.6, 1.0]), st.sampled_from([5, 100]))
def test_suppression_is_greedy_and_class_by_class(seed: int, count: int, iou: float, most: int) -> None:
    """Against ONNX Runtime's NonMaxSuppression, class by class."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 50, (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(1, 40, (count, 2))]).astype(np.float32)
    scores, classes = rng.permutation(count).astype(np.float32), rng.integers(0, 3, count)
    found = Detections(boxes, scores, classes).best(count).suppressed(iou, most)
    kept = onnxruntime_nms(boxes, scores, classes, iou)[:most]
    np.testing.assert_array_equal(found.scores, scores[kept])
    np.testing.assert_array_equal(found.boxes, boxes[kept])
    np.testing.assert_array_equal(found.classes, classes[kept])


def onnxruntime_nms(boxes: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any], iou: float) -> NDArray[np.int64]:
    """Indices of what is kept, best first."""
    by_class = np.where(classes == np.arange(3)[:, None], scores, -1).astype(np.float32)
    feeds = {"boxes": boxes[None], "scores": by_class[None], "iou": np.array([iou], np.float32)}
    (rows,) = nms_session().run(None, feeds)
    return rows[np.argsort(-scores[rows[:, 2]]), 2]


_SESSIONS: list[Any] = []


def nms_session() -> Any:
    import onnx
    import onnxruntime

    if not _SESSIONS:
        floats, inputs = onnx.TensorProto.FLOAT, {"boxes": [1, None, 4], "scores": [1, 3, None], "iou": [1]}
        constants = [
            onnx.helper.make_tensor("most", onnx.TensorProto.INT64, [1], [1000]),
            onnx.helper.make_tensor("least", floats, [1], [-0.5]),
        ]
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "least"], ["kept"])],
            "nms",
            [onnx.helper.make_tensor_value_info(name, floats, shape) for name, shape in inputs.items()],
            [onnx.helper.make_tensor_value_info("kept", onnx.TensorProto.INT64, [None, 3])],
            constants,
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        _SESSIONS.append(onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]))
    return _SESSIONS[0]


def test_finished_detections_are_suppressed_only_when_asked() -> None:
    rows = np.array([[[10, 20, 50, 60, 0.9, 0], [10, 20, 50, 61, 0.8, 0]]], np.float32)
    assert len(decoded(detection({"kind": "boxes"}), {"": rows})[0]) == 2
    assert len(decoded(detection({"kind": "boxes"}, nms_iou=0.6), {"": rows})[0]) == 1
    yolo = np.array([[[30, 40, 40, 40, 1, 0.9], [30, 40, 40, 41, 1, 0.8]]], np.float32)
    assert len(decoded(detection({"kind": "yolov5"}), {"": yolo})[0]) == 1


def one_sample(*rows: tuple[float, ...]) -> list[Detections]:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return [Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ([(1, 0, 10, 10, 0.6, 0), (20, 20, 40, 40, 0.9, 1)], True),
        ([(1, 0, 10, 10, 0.6, 0), (20, 20, 40, 40, 0.9, 1), (60, 60, 80, 80, 0.49, 1)], True),
        ([(1, 0, 10, 10, 0.6, 0)], False),
        ([(1, 0, 10, 10, 0.6, 0), (20, 20, 40, 40, 0.9, 2)], False),
        ([(7, 0, 10, 10, 0.6, 0), (20, 20, 40, 40, 0.9, 1)], False),
        ([(1, 0, 10, 10, 0.6, 0), (1, 0, 10, 10, 0.5, 0)], False),
    ],
)
def test_predictions_agree_where_the_sure_ones_match_one_to_one(other: list[tuple[float, ...]], same: bool) -> None:
    task = detection({"kind": "yolov5"})
    first = one_sample((0, 0, 10, 10, 0.8, 0), (21, 20, 40, 40, 0.7, 1), (90, 90, 95, 95, 0.1, 0))
    assert task.agree(first, one_sample(*other)).tolist() == [same]
    assert task.agree(one_sample(*other), first).tolist() == [same]


def test_a_match_that_greed_would_miss_is_found() -> None:
    """The first box overlaps both others, the second only the one that overlaps the first most."""
    task = detection({"kind": "yolov5"})
    first = one_sample((0, 0, 100, 10, 0.9, 0), (25, 0, 125, 10, 0.8, 0))
    other = one_sample((5, 0, 105, 10, 0.9, 0), (-30, 0, 70, 10, 0.8, 0))
    assert task.agree(first, other).tolist() == [True]


def test_no_sure_detection_on_both_sides_is_agreement() -> None:
    assert detection({"kind": "yolov5"}).agree(one_sample(), one_sample((0, 0, 1, 1, 0.2, 0))).tolist() == [True]


def test_map_of_perfect_and_of_lost_detections() -> None:
    """Padding is no object, a crowd need not be found; evidence is arrays that an .npz holds."""
    task = detection({"kind": "yolov5"})
    targets = np.array([[[0, 0, 10, 10, 0, 0], [20, 0, 40, 10, 1, 1], [0, 0, 0, 0, -1, 0]]] * 2, np.float32)
    predictions = one_sample((0, 0, 10, 10, 0.8, 0)) + one_sample((21, 1, 39, 9, 0.8, 1))
    for metric in task.METRICS:
        measure = task.measure(metric)
        evidence = measure.evidence(predictions, targets)
        assert all(isinstance(values, np.ndarray) and values.dtype != object for values in evidence.values())
        weights = np.array([[1, 0], [0, 1], [0, 0]])
        np.testing.assert_allclose(measure.value(evidence, weights), [100, 0, np.nan], atol=1e-9)


def fits(
    task: Detection, shapes: dict[str, tuple[int, ...]], targets: NDArray[Any] = ONE_BOX, inputs: Any = IMAGE
) -> Detection:
    return task.fitted(shapes, targets, inputs)


def test_fitted_fills_in_the_image_and_the_classes() -> None:
    fitted = fits(detection({"kind": "yolov5"}), {"": (300, 9)})
    assert (fitted.image_size, fitted.classes) == ((96, 128), 4)
    assert fits(detection({"kind": "yolov5"}, image_size=[100, 200]), {"": (300, 9)}).image_size == (100, 200)


@pytest.mark.parametrize(
    ("decoder", "classes", "shapes", "message"),
    [
        ({"kind": "yolov5"}, None, {"": (300,)}, r"'yolov5' expects \(anchors, 5 \+ classes\) .* output \(300,\)"),
        ({"kind": "yolov5"}, 3, {"": (300, 9)}, "scores of 4 classes, but `classes` is 3"),
        ({"kind": "yolov5"}, None, {"a": (300, 9), "b": (2,)}, "has 2 outputs: a, b, and the task takes one"),
        ({"kind": "yolov5", "output": "aa"}, None, {"a": (300, 9)}, "has no output 'aa'"),
        ({"kind": "yolov8"}, None, {"": (84, 8400)}, "may have 80 or 8396 classes"),
        ({"kind": "yolov8"}, 5, {"": (84, 8400)}, "9 rows or columns"),
        ({"kind": "yolov8"}, 80, {"": (84, 84)}, "84 rows or columns, not both"),
        (SSD, None, {"b": (24, 4), "s": (23, 3)}, "'ssd' expects offsets"),
        (SSD, None, {"b": (25, 4), "s": (25, 3)}, "boxes of 25 anchors, but `anchors` makes 24"),
        (SSD, 3, {"b": (24, 4), "s": (24, 3)}, "scores of 2 classes, but `classes` is 3"),
        (SSD, None, {"b": (24, 4), "s": (24, 1)}, "'ssd' expects offsets"),
        ({"kind": "boxes"}, None, {"": (10, 5)}, "'boxes' expects"),
        ({"kind": "boxes", "boxes": "b"}, None, {"b": (10, 4), "s": (10,), "c": (10,)}, "has 3 outputs: b, s, c"),
        (
            {"kind": "boxes", "boxes": "b", "scores": "s", "classes": "c"},
            None, {"b": (10, 4), "s": (9,), "c": (10,)}, "'boxes' expects",
        ),
        (
            {"kind": "boxes", "boxes": "b", "scores": "s", "classes": "c", "count": "n"},
            None, {"b": (10, 4), "s": (10,), "c": (10,), "n": (2,)}, "'boxes' expects",
        ),
    ],
)  # fmt: skip
def test_outputs_that_do_not_fit_are_refused(
    decoder: dict[str, Any], classes: int | None, shapes: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        fits(detection(decoder, classes=classes), shapes)


def boxes_with(**changes: Any) -> NDArray[np.float64]:
    """Three samples of two boxes, of which row 1 of sample 2 is changed."""
    targets = np.tile(np.array([10.0, 20, 50, 60, 1, 0]), (3, 2, 1))
    for name, value in changes.items():
        targets[2, 1, ["x1", "y1", "x2", "y2", "label", "crowd"].index(name)] = value
    return targets


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.zeros((3, 2, 4)), r"not float64 \(3, 2, 4\)"),
        (np.zeros((3, 2, 5), np.bool_), "not bool"),
        (boxes_with(x2=10), "1 boxes of the targets have x2 <= x1 or y2 <= y1; the first is row 1 of sample 2"),
        (boxes_with(y2=5), "y2 <= y1"),
        (boxes_with(label=-2), "no whole number from 0 on"),
        (boxes_with(label=0.5), "no whole number from 0 on"),
        (boxes_with(label=4), "class beyond the model's 4"),
        (boxes_with(crowd=2), "crowd flag"),
        (boxes_with(x1=np.nan), "contain NaN"),
        (boxes_with(x1=-1), "lie outside the image, 128 pixels wide and 96 high; the first is row 1 of sample 2"),
        (boxes_with(x2=128.5), "lie outside"),
        (boxes_with(y2=97), "lie outside"),
        (np.full((3, 2, 5), -1.0), "no sample has an object"),
        (np.tile(np.array([10.0, 20, 50, 60, 1, 1]), (3, 2, 1)), "no sample has an object"),
    ],
)
def test_targets_that_are_no_boxes_are_refused(targets: NDArray[Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        fits(detection({"kind": "yolov5"}), {"": (300, 9)}, targets)


def test_a_box_may_touch_the_edge_and_padding_may_be_anything() -> None:
    fits(detection({"kind": "yolov5"}), {"": (300, 9)}, boxes_with(x2=128, y2=96.005))
    fits(detection({"kind": "yolov5"}), {"": (300, 9)}, boxes_with(x1=-9, x2=-9, label=-1))


def test_inputs_that_are_no_image_need_the_size() -> None:
    with pytest.raises(SourceError, match=r"shape \(7,\) is no image"):
        fits(detection({"kind": "yolov5"}), {"": (300, 9)}, inputs=(7,))


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "yolov9"},
        {"kind": "ssd", "boxes": "b", "scores": "s"},
        {"kind": "ssd", "preset": ["blazeface"]},
        {**SSD, "anchors": {"strides": [0]}},
    ],
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        detection(options)
