"""Boxes go where the pixels of their image go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeworthy.datasets.boxes import boxes_of, moved
from edgeworthy.datasets.coco_file import CocoFile
from edgeworthy.datasets.geometry import Geometry, Letterbox, placement
from edgeworthy.datasets.pixels import pixels
from edgeworthy.errors import SourceError
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

GEOMETRIES = st.sampled_from(
    [
        Geometry(),
        Geometry(resize=40),
        Geometry(resize=(30, 50)),
        Geometry(center_crop=(20, 24)),
        Geometry(resize=50, center_crop=(32, 40)),
        Geometry(letterbox=Letterbox((64, 48), 0, "center")),
        Geometry(letterbox=Letterbox((33, 65), 0, "top_left")),
    ]
)


def coco(**changes: object) -> CocoFile:
    """One image of 10x20 with one box, and two categories."""
    box = {"id": 7, "image_id": 1, "category_id": 90, "bbox": [1, 2, 3, 4]}
    return CocoFile.model_validate(
        {
            "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}],
            "annotations": [{**box, **changes}],
            "categories": [{"id": 90, "name": "brush"}, {"id": 3, "name": "car"}],
        }
    )


@settings(deadline=None)
@given(st.tuples(st.integers(24, 60), st.integers(24, 60)), GEOMETRIES, st.data())
def test_a_box_lies_round_the_pixels_that_it_lay_round(
    size: tuple[int, int], how: Geometry, data: st.DataObject
) -> None:
    """A white rectangle in a black image is, after the geometry, where its box is: to a pixel, for resizing blurs edges."""
    left, right = sorted(data.draw(st.lists(st.integers(0, size[0]), min_size=2, max_size=2, unique=True)))
    top, bottom = sorted(data.draw(st.lists(st.integers(0, size[1]), min_size=2, max_size=2, unique=True)))
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[top:bottom, left:right] = 255
    white = pixels(Image.fromarray(image), how)[..., 0] >= 128
    rows = moved(np.array([[left, top, right, bottom, 5.0, 1.0]]), placement(size, how))
    if not len(rows):
        assert not white.any()
        return
    assert rows[0, 4:].tolist() == [5.0, 1.0]
    x1, y1, x2, y2 = rows[0, :4]
    assert 0 <= x1 < x2 <= white.shape[1]
    assert 0 <= y1 < y2 <= white.shape[0]
    if min(x2 - x1, y2 - y1) >= 2:  # thinner ones may be blurred away
        rows_of, columns_of = np.nonzero(white)
        edges = [columns_of.min(), rows_of.min(), columns_of.max() + 1, rows_of.max() + 1]
        np.testing.assert_allclose([x1, y1, x2, y2], edges, atol=1.0)


def test_classes_are_numbered_from_0_by_ascending_category_id() -> None:
    assert boxes_of(coco(), Path("x.json")).rows[0].tolist() == [[1, 2, 4, 6, 1, 0]]
    assert boxes_of(coco(category_id=3, iscrowd=1), Path("x.json")).rows[0].tolist() == [[1, 2, 4, 6, 0, 1]]


def test_a_box_that_is_over_the_edge_by_rounding_is_cut() -> None:
    rows = boxes_of(coco(bbox=[-0.4, 0, 20.8, 10.9]), Path("x.json")).rows[0]
    assert rows[0, :4].tolist() == [0, 0, 20, 10]


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ([1, 2, 0, 4], "has no area"),
        ([1, 2, 3, -4], "has no area"),
        ([18, 2, 3.5, 4], r"reaches out of 'a\.png' of 20x10"),
        ([-2, 2, 3, 4], "reaches out of"),
        ([20.1, 2, 0.5, 4], "reaches out of"),
    ],
)
def test_boxes_that_are_none_are_refused(box: list[float], problem: str) -> None:
    """By the file and the annotation's id; corners in place of sizes are found by it too."""
    with pytest.raises(SourceError, match=rf"x\.json: the box of annotation 7, \[.*\], {problem}"):
        boxes_of(coco(bbox=box), Path("x.json"))
