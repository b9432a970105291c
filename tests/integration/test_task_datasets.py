"""Datasets of images with boxes or masks, prepared from files; every refusal names what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.errors import SourceError
from PIL import Image
from pydantic import ValidationError

from tests.integration.prepared import Prepare, preparing


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    return preparing(tmp_path)


def write_image(path: Path, width: int = 20, height: int = 10, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)


# Boxes


@pytest.fixture
def coco(tmp_path: Path) -> dict[str, Any]:
    """Four images of 20x10 (width x height), the last without a box; ids are out of order, categories have gaps."""
    names = ["b.png", "a.png", "deep/c.png", "d.png"]
    for seed, name in enumerate(names):
        write_image(tmp_path / "val" / name, seed=seed)
    images = [
        {"id": 40 - number, "file_name": name, "width": 20, "height": 10, "license": 1}
        for number, name in enumerate(names)
    ]
    boxes = [
        (40, 3, [0, 0, 4, 10], 0),
        (39, 90, [10, 5, 5, 2.5], 0),
        (39, 3, [1, 1, 2, 2], 1),
        (38, 7, [2, 2, 16, 6], 0),
    ]
    return {
        "info": {"description": "made up"},
        "images": images,
        "annotations": [
            {"id": number, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd, "area": 1.0}
            for number, (image, category, box, crowd) in enumerate(boxes)
        ],
        "categories": [{"id": 90, "name": "brush"}, {"id": 3, "name": "car"}, {"id": 7, "name": "train"}],
    }


KEYS = {"kind": "coco", "path": "val", "annotations": "boxes.json"}


def save(tmp_path: Path, content: object) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps(content))


def test_boxes_are_the_targets_in_pixels_of_the_image_as_stored(
    tmp_path: Path, coco: dict[str, Any], prepared: Prepare
) -> None:
    """Rows x1, y1, x2, y2, class, crowd, padded with class -1; images without boxes stay; the report names the classes."""
    save(tmp_path, coco)
    write_image(tmp_path / "val" / "unlisted.png")
    made = prepared(**KEYS)
    nothing = [0, 0, 0, 0, -1, 0]
    assert made.targets().dtype == np.float32
    assert made.targets().tolist() == [
        [[0, 0, 4, 10, 0, 0], nothing],
        [[10, 5, 15, 7.5, 2, 0], [1, 1, 3, 3, 0, 1]],
        [[2, 2, 18, 8, 1, 0], nothing],
        [nothing, nothing],
    ]
    assert (made.classes, made.count, made.input_shape, made.target_channels()) == (None, 4, (10, 20, 3), 0)
    assert "3 classes: 0 car, 1 train, 2 brush" in made.description
    assert made.class_names == ("car", "train", "brush")
    assert "1 files below val are not in boxes.json and are not read (.png 1)" in made.description
    np.testing.assert_array_equal(
        made.samples("evaluation").read()[1], np.asarray(Image.open(tmp_path / "val" / "a.png"))
    )


def test_boxes_are_moved_as_the_pixels_are(tmp_path: Path, coco: dict[str, Any], prepared: Prepare) -> None:
    """Resized, cropped or letterboxed; what lies outside of the crop is dropped, and counted in the report."""
    save(tmp_path, coco)
    cropped = prepared(**KEYS, preprocessing={"resize": 20, "center_crop": [20, 20]})
    assert cropped.targets()[:, 0].tolist() == [
        [0, 0, 0, 0, -1, 0],
        [10, 10, 20, 15, 2, 0],
        [0, 4, 20, 16, 1, 0],
        [0, 0, 0, 0, -1, 0],
    ]
    assert "2 boxes outside of the crop, which are left out" in cropped.description
    boxed = prepared(**KEYS, preprocessing={"letterbox": {"size": [40, 40]}})
    assert boxed.targets()[1].tolist() == [[20, 20, 30, 25, 2, 0], [2, 12, 6, 16, 0, 1]]
    assert "letterbox 40x40 bilinear, padded with 114" in boxed.description
    assert boxed.checksum != cropped.checksum


def test_splits_of_boxes_share_no_image_and_calibration_needs_no_boxes(
    tmp_path: Path, coco: dict[str, Any], prepared: Prepare
) -> None:
    save(tmp_path, coco)
    made = prepared(**KEYS, count=2, calibration={"count": 1}, train={"count": 1})
    assert [len(made.samples(split)) for split in ("evaluation", "calibration", "train")] == [2, 1, 1]
    assert np.load(made.array("train_y")).shape[::2] == (1, 6)
    write_image(tmp_path / "other" / "x.png", seed=9)
    made = prepared(**KEYS, calibration={"path": "other"})
    assert (made.count, len(made.samples("calibration"))) == (4, 1)
    with pytest.raises(ValidationError, match=r"train\.path does not apply to kind coco"):
        prepared(**KEYS, train={"path": "other"})
    with pytest.raises(ValidationError, match="kind coco takes no 'classes'"):
        prepared(**KEYS, classes=3)


def test_other_boxes_of_the_same_images_are_other_targets(
    tmp_path: Path, coco: dict[str, Any], prepared: Prepare
) -> None:
    save(tmp_path, coco)
    first = prepared(**KEYS)
    coco["annotations"][0]["bbox"][0] = 1
    save(tmp_path, coco)
    second = prepared(**KEYS)
    assert first.checksum != second.checksum
    assert second.targets()[0, 0].tolist() == [1, 0, 5, 10, 0, 0]


def changed(coco: dict[str, Any], where: str, **keys: object) -> dict[str, Any]:
    first, *others = coco[where]
    return {**coco, where: [{**first, **keys}, *others]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda coco: ["no", "COCO"], "not a readable COCO file of instances"),
        (lambda coco: {**coco, "images": []}, "images: List should have at least 1 item"),
        (lambda coco: {**coco, "annotations": []}, "annotations: List should have at least 1 item"),
        (lambda coco: {key: coco[key] for key in ("images", "annotations")}, r"\(categories: Field required\)"),
        (lambda coco: changed(coco, "annotations", bbox=None), r"annotations\.0\.bbox"),
        (lambda coco: changed(coco, "annotations", bbox=[0, 0, float("nan"), 1]), r"annotations\.0\.bbox\.2"),
        (lambda coco: changed(coco, "annotations", image_id=1), "annotation 0 is of image 1, which is not there"),
        (lambda coco: changed(coco, "annotations", category_id=0), "annotation 0 is of category 0, which is not"),
        (lambda coco: changed(coco, "annotations", id=3), "annotation id 3 is there 2 times"),
        (lambda coco: changed(coco, "images", id=39), "image id 39 is there 2 times"),
        (lambda coco: changed(coco, "images", file_name="a.png"), r"file name 'a\.png' is there 2 times"),
        (lambda coco: changed(coco, "categories", id=3), "category id 3 is there 2 times"),
        (lambda coco: changed(coco, "annotations", bbox=[0, 0, 0, 5]), "annotation 0, .* has no area"),
        (lambda coco: changed(coco, "annotations", bbox=[15, 0, 9, 5]), "annotation 0, .* reaches out of 'b"),
        (lambda coco: changed(coco, "images", file_name="e.png"), r"1 of its 4 files cannot be used: .*e\.png: no such"),
        (lambda coco: changed(coco, "images", width=21), r"b\.png is 10x20 pixels, and .*boxes\.json is for 10x21"),
    ],
)  # fmt: skip
def test_annotations_that_do_not_fit_are_refused(
    tmp_path: Path, coco: dict[str, Any], prepared: Prepare, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """Every sentence names the dataset and the file, and the annotation where there is one."""
    save(tmp_path, change(coco))
    with pytest.raises(SourceError, match=rf"dataset 'mine': .*{message}"):
        prepared(**KEYS)


def test_a_turned_image_is_refused_where_its_boxes_are_not_turned(
    tmp_path: Path, coco: dict[str, Any], prepared: Prepare
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (20, 10)).save(tmp_path / "val" / "a.png", exif=exif)
    save(tmp_path, coco)
    assert "1 images with an EXIF orientation, which is not applied" in prepared(**KEYS).description
    with pytest.raises(SourceError, match=r"a\.png has an EXIF orientation, and its annotations"):
        prepared(**KEYS, preprocessing={"exif_orientation": True})


# Masks

MASKED = {"kind": "masks", "path": "val", "masks": "masks"}


def write_mask(path: Path, values: np.ndarray, mode: str = "P") -> None:
    """Class numbers as a palette's indices (the palette's colours are no numbers), or as gray values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(values.astype(np.uint8))
    if mode == "P":
        mask.putpalette(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    mask.save(path)


@pytest.fixture
def masks(tmp_path: Path) -> np.ndarray:
    """Masks (4, 10, 20) of classes 0 to 20 and 255, of four images; palettes and gray values by turns."""
    numbers = np.random.default_rng(0).integers(0, 22, (4, 10, 20))
    numbers[numbers == 21] = 255
    for seed, name in enumerate(["a", "b", "deep/c", "d"]):
        write_image(tmp_path / "val" / f"{name}.png", seed=seed)
        write_mask(tmp_path / "masks" / f"{name}.png", numbers[seed], "P" if seed % 2 else "L")
    return numbers[[0, 1, 3, 2]]  # in the order of paths


def test_masks_are_the_targets(tmp_path: Path, masks: np.ndarray, prepared: Prepare) -> None:
    """Class numbers of all pixels, int64; masks of no image are counted; another mask is another target."""
    write_mask(tmp_path / "masks" / "z.png", masks[0])
    made = prepared(**MASKED)
    order = ["a", "b", "d", "deep/c"]
    assert made.targets().dtype == np.int64
    np.testing.assert_array_equal(made.targets(), masks)
    np.testing.assert_array_equal(
        made.samples("evaluation").read(), [np.asarray(Image.open(tmp_path / "val" / f"{name}.png")) for name in order]
    )
    assert (made.classes, made.count, made.target_channels()) == (None, 4, 0)
    assert "1 files below masks are of no image and are not read (.png 1)" in made.description
    write_mask(tmp_path / "masks" / "a.png", masks[0] * 0)
    assert prepared(**MASKED).checksum != made.checksum


@pytest.mark.parametrize(
    "how",
    [
        {"resize": [20, 40]},
        {"resize": 5, "interpolation": "nearest"},
        {"center_crop": [4, 6]},
        {"letterbox": {"size": [24, 20], "color": 255}, "interpolation": "nearest"},
        {"letterbox": {"size": [24, 20], "color": 255, "align": "top_left"}, "interpolation": "nearest"},
    ],
)
def test_masks_go_where_the_pixels_go(
    tmp_path: Path, masks: np.ndarray, prepared: Prepare, how: dict[str, Any]
) -> None:
    """A gray image that is its own mask stays it, with the padding's colour for the class that is ignored."""
    for name, mask in zip(["a", "b", "d", "deep/c"], masks, strict=True):
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "val" / f"{name}.png")
    made = prepared(**MASKED, preprocessing={"channels": "gray", **how})
    given = made.samples("evaluation").read()[..., 0]
    assert made.targets().shape == given.shape
    if how == {"resize": [20, 40]}:  # images are blurred, classes are not
        np.testing.assert_array_equal(made.targets(), masks.repeat(2, axis=1).repeat(2, axis=2))
    else:
        np.testing.assert_array_equal(made.targets(), given)


def test_splits_of_masks(tmp_path: Path, masks: np.ndarray, prepared: Prepare) -> None:
    write_image(tmp_path / "other" / "x.png", seed=9)
    made = prepared(**MASKED, count=2, train={"count": 2}, calibration={"path": "other"})
    assert [len(made.samples(split)) for split in ("evaluation", "train", "calibration")] == [2, 2, 1]
    kept = np.concatenate([made.targets(), np.load(made.array("train_y"))])
    assert sorted(map(bytes, kept)) == sorted(map(bytes, masks))


MASK_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "size": (
        lambda masks: write_mask(masks / "a.png", np.zeros((20, 10))),
        r"a\.png is 10x20 pixels, and its mask .* 20x10",
    ),
    "colour": (
        lambda masks: write_image(masks / "b.png"),
        r"b\.png: is a mask of Pillow's mode RGB, not of class numbers",
    ),
    "deep": (lambda masks: Image.new("I;16", (20, 10)).save(masks / "d.png"), "mode I;16, not of class numbers"),
    "missing": (lambda masks: (masks / "deep" / "c.png").unlink(), r"1 of 4 images have no mask: .*val/deep/c\.png"),
    "torn": (lambda masks: (masks / "a.png").write_bytes(b"\x89PNG"), r"masks/a\.png: not a readable mask"),
    "twice": (lambda masks: write_image(masks.parent / "val" / "a.bmp"), r"a\.png would be the mask of two images"),
    "folder": (lambda masks: masks.rename(masks.with_name("gone")), "masks: no such folder"),
}


@pytest.mark.parametrize("fault", MASK_FAULTS)
def test_masks_that_do_not_fit_are_refused(tmp_path: Path, masks: np.ndarray, prepared: Prepare, fault: str) -> None:
    damage, message = MASK_FAULTS[fault]
    damage(tmp_path / "masks")
    with pytest.raises(SourceError, match=rf"dataset 'mine': .*{message}"):
        prepared(**MASKED)
