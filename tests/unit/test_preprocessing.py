"""Preprocessing does to pixels and values what the field's libraries do, and samples are split fairly."""

from __future__ import annotations

import numpy as np
import pytest
from edgeworthy.dataset_schema import Dataset, Preprocessing
from edgeworthy.datasets.geometry import Geometry
from edgeworthy.datasets.labels import shifted
from edgeworthy.datasets.pixels import pixels
from edgeworthy.datasets.preprocessing import described, geometry, value_steps
from edgeworthy.datasets.splits import Pool, Request, assign, shares
from edgeworthy.errors import SourceError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pydantic import ValidationError

UNHURRIED = settings(deadline=None)

IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)))
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def stepped(values: np.ndarray, how: Preprocessing) -> np.ndarray:
    """What a model is given of stored values."""
    values = values.astype(np.float32)
    for operation, operand in value_steps(how, values.shape[-1]):
        values = getattr(np, operation)(values, np.array(operand, np.float32))
    return values


@UNHURRIED
@given(IMAGES, st.integers(1, 30), st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]))
def test_shorter_side_as_torchvision_resizes(image: np.ndarray, side: int, interpolation: str) -> None:
    """torchvision.transforms.Resize(int): the shorter side exact, the longer int(size * long / short), by Pillow."""
    height, width = image.shape[:2]
    size = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    wanted = Image.fromarray(image).resize(size, Image.Resampling[interpolation.upper()])
    found = pixels(Image.fromarray(image), Geometry(resize=side, interpolation=interpolation))
    np.testing.assert_array_equal(found, np.asarray(wanted))


@UNHURRIED
@given(IMAGES, st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
def test_exact_size_and_centre_crop(image: np.ndarray, height: int, width: int, top: int, left: int) -> None:
    """[height, width] resizes exactly; the crop begins at round(rest / 2), as torchvision.transforms.CenterCrop does."""
    how = Preprocessing(resize=(height, width), center_crop=(min(top, height), min(left, width)))
    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    crop = min(top, height), min(left, width)
    y, x = round((height - crop[0]) / 2.0), round((width - crop[1]) / 2.0)
    np.testing.assert_array_equal(
        pixels(Image.fromarray(image), geometry(how)), resized[y : y + crop[0], x : x + crop[1]]
    )


def test_crop_larger_than_the_image_is_refused() -> None:
    """No padding is made up."""
    with pytest.raises(SourceError, match="is 3x9, which is smaller than the crop of 4x4"):
        pixels(Image.new("RGB", (9, 3)), Geometry(center_crop=4))


@UNHURRIED
@given(IMAGES, st.integers(1, 30), st.integers(1, 30), st.integers(0, 255), st.booleans())
def test_letterbox_as_ultralytics_places_images(
    image: np.ndarray, height: int, width: int, color: int, centered: bool
) -> None:
    """The whole image, its shape kept, and the rest of one colour; the formulas of ultralytics.data.augment.LetterBox."""
    given_height, given_width = image.shape[:2]
    ratio = min(height / given_height, width / given_width)
    inner = max(1, round(given_width * ratio)), max(1, round(given_height * ratio))
    rest = (width - inner[0]) / 2, (height - inner[1]) / 2
    left, top = (round(rest[0] - 0.1), round(rest[1] - 0.1)) if centered else (0, 0)
    wanted = np.full((height, width, 3), color, np.uint8)
    resized = np.asarray(Image.fromarray(image).resize(inner, Image.Resampling.BILINEAR))
    wanted[top : top + inner[1], left : left + inner[0]] = resized
    align = "center" if centered else "top_left"
    how = Preprocessing.model_validate({"letterbox": {"size": [height, width], "color": color, "align": align}})
    np.testing.assert_array_equal(pixels(Image.fromarray(image), geometry(how)), wanted)


def test_letterbox_replaces_a_presets_size_and_excludes_others() -> None:
    """The padding is one value in every channel, also of gray images; a letterbox beside a resize is a contradiction."""
    how = Preprocessing.model_validate({"preset": "torchvision", "letterbox": {"size": [4, 8]}, "channels": "gray"})
    assert (how.resize, how.center_crop, how.scale) == (None, None, 1 / 255)
    assert pixels(Image.new("RGB", (2, 2)), geometry(how))[..., 0].tolist() == [[114, 114, 0, 0, 0, 0, 114, 114]] * 4
    assert described(how).startswith("preset torchvision: letterbox 4x8 bilinear, padded with 114, gray, scale 0.0039")
    with pytest.raises(ValidationError, match="letterbox gives the image its size: remove resize and center_crop"):
        Preprocessing.model_validate({"resize": 8, "letterbox": {"size": [4, 8]}})


def test_a_geometry_without_letterbox_has_the_identity_that_it_had() -> None:
    """Checksums of datasets that were accepted into baselines hold."""
    assert list(Geometry().identity()) == [
        "resize", "interpolation", "center_crop", "channels", "alpha", "exif_orientation",
    ]  # fmt: skip
    assert geometry(Preprocessing.model_validate({"letterbox": {"size": [4, 8]}})).identity()["letterbox"]


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B", "F"])
def test_more_than_8_bits_are_refused(mode: str) -> None:
    """Pillow would clip the values to 0 and 255, so that most images become white."""
    with pytest.raises(SourceError, match=rf"mode {mode}\), which would be clipped to 0 to 255: save it with 8 bits"):
        pixels(Image.new(mode, (4, 4)), Geometry(channels="gray"))


@UNHURRIED
@given(hnp.arrays(np.uint8, (6, 5, 3)))
def test_channels(image: np.ndarray) -> None:
    """bgr reverses the channels; gray is one channel, by Pillow's luma; palettes and alpha become rgb."""
    np.testing.assert_array_equal(pixels(Image.fromarray(image), Geometry(channels="bgr")), image[..., ::-1])
    gray = pixels(Image.fromarray(image), Geometry(channels="gray"))
    np.testing.assert_array_equal(gray[..., 0], np.asarray(Image.fromarray(image).convert("L")))
    assert pixels(Image.fromarray(image).convert("RGBA"), Geometry()).shape == (6, 5, 3)


#: All 256 levels in each channel, (256, 1, 3).
LEVELS = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)


def normalized(values: np.ndarray) -> np.ndarray:
    """``values`` less ImageNet's mean, divided by its standard deviation, in float32 as torchvision.transforms.Normalize."""
    mean, std = (np.array(each, np.float32) for each in (MEAN, STD))
    return (values - mean) / std


@pytest.mark.parametrize("preset", ["torchvision", "keras_tf", "keras_caffe", "keras_torch"])
def test_presets_compute_the_bits_of_their_libraries(preset: str) -> None:
    """On all 256 levels: torchvision's ToTensor and Normalize; preprocess_input of keras.applications in three modes.

    The libraries' own statements, in float32: ``x /= 127.5; x -= 1.`` and ``x /= 255.; x[..., i] -= mean[i];
    x[..., i] /= std[i]`` (keras.src.applications.imagenet_utils), ``div(255)`` and ``sub_(mean).div_(std)`` (torchvision).
    """
    x = LEVELS.astype(np.float32)
    formulas = {
        "torchvision": normalized(x / np.float32(255)),
        "keras_tf": x / np.float32(127.5) - np.float32(1),
        "keras_torch": normalized(x / np.float32(255)),
        "keras_caffe": x[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32),
    }
    how = Preprocessing.model_validate({"preset": preset, "resize": None, "center_crop": None})
    found = stepped(pixels(Image.fromarray(LEVELS), geometry(how)), how)
    np.testing.assert_array_equal(found.view(np.int32), formulas[preset].view(np.int32))


def test_a_preset_resizes_as_its_library_and_its_keys_can_be_overridden() -> None:
    """torchvision is Resize(256), CenterCrop(224); another size is one key; a preset's name alone is a mapping."""
    preset = Preprocessing.model_validate("torchvision")
    assert pixels(Image.new("RGB", (300, 400)), geometry(preset)).shape == (224, 224, 3)
    larger = Preprocessing.model_validate({"preset": "torchvision", "resize": 342, "center_crop": 299})
    assert (larger.center_crop, larger.mean) == (299, preset.mean)
    assert described(preset).startswith(
        "preset torchvision: resize 256 bilinear, center_crop 224, rgb, scale 0.00392157,"
    )
    assert described(None) == "values as they are"


def test_fractions_and_single_numbers() -> None:
    """scale may be a fraction; one mean stands for all channels; nothing to do is no step."""
    how = Preprocessing.model_validate({"scale": "1/127.5", "mean": [1]})
    assert how.scale == pytest.approx(1 / 127.5)
    assert value_steps(how, 3) == (("divide", (127.5,) * 3), ("subtract", (1.0,) * 3))
    assert value_steps(Preprocessing(scale=0.017), 1) == (("multiply", (0.017,)),)
    assert value_steps(Preprocessing(resize=8), 3) == ()
    for wrong in ({"scale": "1/0"}, {"scale": -1}, {"std": [0]}, {"resize": 0}, {"preset": "pytorch"}, {"resize": [1]}):
        with pytest.raises(ValidationError):
            Preprocessing.model_validate(wrong)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "images"}, "kind images takes path"),
        ({"kind": "images", "path": "x", "columns": {}}, "kind images takes path"),
        ({"kind": "npz", "path": "x", "labels": "y"}, "kind npz takes path"),
        ({"kind": "digits", "path": "x"}, "neither path nor function"),
        ({"kind": "npz", "path": "x", "calibration": {"path": "y"}}, "calibration.path does not apply to kind npz"),
        ({"kind": "images", "path": "x", "train": {"split": "y"}}, "train.split does not apply to kind images"),
        ({"kind": "images", "path": "x", "train": {"labels": "y"}}, "train.labels needs train.path"),
    ],
)
def test_keys_of_another_kind_are_refused(keys: dict[str, object], message: str) -> None:
    """Each kind of dataset has its keys; others are a mistake."""
    with pytest.raises(ValidationError, match=message):
        Dataset.model_validate(keys)


# -- splits ------------------------------------------------------------------------------------------------------

COUNTS = st.one_of(st.none(), st.integers(1, 12))


@UNHURRIED
@given(hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 4)), COUNTS, COUNTS, st.integers(0, 9))
def test_splits_are_disjoint_and_deterministic(
    classes: np.ndarray, evaluation: int | None, calibration: int | None, seed: int
) -> None:
    """Every split has what it asks for, of samples that no other split has; in proportion to the classes."""
    pools = {"all": Pool([f"{index}.png" for index in range(len(classes))], classes)}
    requests = {"evaluation": Request("all", evaluation, seed), "calibration": Request("all", calibration, seed)}
    if (evaluation or 1) + (calibration or 1) > len(classes) or (evaluation is None and calibration is None):
        with pytest.raises(SourceError, match="are left"):
            assign(pools, requests)
        return
    assigned = assign(pools, requests)
    assert {name: split.tolist() for name, split in assign(pools, requests).items()} == {
        name: split.tolist() for name, split in assigned.items()
    }
    assert not set(assigned["evaluation"]) & set(assigned["calibration"])
    if evaluation is not None:
        assert len(assigned["evaluation"]) == evaluation
        counts = np.bincount(classes[assigned["evaluation"]], minlength=5)
        exact = np.bincount(classes, minlength=5) * evaluation / len(classes)
        assert (np.abs(counts - exact) < 1).all()


@UNHURRIED
@given(hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 6)), st.data())
def test_shares_add_up(classes: np.ndarray, data: st.DataObject) -> None:
    """The classes' shares are the count, and no class gives more than it has."""
    count = data.draw(st.integers(1, len(classes)))
    given_shares = shares(classes, count)
    assert sum(given_shares.values()) == count
    assert all(size <= (classes == label).sum() for label, size in given_shares.items())


def test_a_new_sample_moves_few_others() -> None:
    """One more sample in the pool changes at most one of the chosen."""
    names = [f"{index}.png" for index in range(100)]
    before = assign({"all": Pool(names)}, {"evaluation": Request("all", 20, 0)})["evaluation"]
    after = assign({"all": Pool([*names, "new.png"])}, {"evaluation": Request("all", 20, 0)})["evaluation"]
    assert len(set(before) - set(after)) <= 1


# -- labels that are off ------------------------------------------------------------------------------------------


@UNHURRIED
@given(st.integers(0, 1000), st.sampled_from([-1, 1]))
def test_labels_off_by_one_show_in_predictions(seed: int, shift: int) -> None:
    """A model that is right once labels are shifted says so; a good one, a bad one and a few samples say nothing."""
    random = np.random.default_rng(seed)
    labels = random.integers(1, 9, 200)
    predictions = np.where(random.random(200) < 0.8, labels, random.integers(0, 10, 200))
    assert shifted(predictions - shift, labels) == shift
    assert shifted(predictions, labels) is None
    assert shifted(random.integers(0, 10, 200), labels) is None
    assert shifted((predictions - shift)[:20], labels[:20]) is None
