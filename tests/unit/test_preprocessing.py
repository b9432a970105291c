"""Preprocessing does to pixels and values what the field's libraries do, and samples are dealt fairly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pydantic import ValidationError

from harness.dataset_schema import Dataset, Preprocessing
from harness.errors import SourceError
from harness.sources.labels import shifted
from harness.sources.parts import Pool, Request, deal, shares
from harness.sources.pixels import Geometry, pixels
from harness.sources.preprocessing import described, geometry, value_step

UNHURRIED = settings(deadline=None)

IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)))
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def stepped(values: np.ndarray, how: Preprocessing) -> np.ndarray:
    """What a model is given of stored values."""
    scale, offset = value_step(how, values.shape[-1])
    return values * np.array(scale or 1.0, np.float32) + np.array(offset or 0.0, np.float32)


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
    with pytest.raises(SourceError, match="is 3x9 where 4x4 are to be cut out of it"):
        pixels(Image.new("RGB", (9, 3)), Geometry(center_crop=4))


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


@UNHURRIED
@given(hnp.arrays(np.uint8, (4, 4, 3)))
def test_presets_are_the_libraries_formulas(image: np.ndarray) -> None:
    """torchvision's ToTensor and Normalize; keras.applications.imagenet_utils.preprocess_input in its three modes."""
    x = image.astype(np.float64)
    formulas = {
        "torchvision": (x / 255 - MEAN) / STD,
        "keras_tf": x / 127.5 - 1.0,
        "keras_torch": (x / 255.0 - MEAN) / STD,
        "keras_caffe": x[..., ::-1] - np.array([103.939, 116.779, 123.68]),
    }
    for preset, wanted in formulas.items():
        how = Preprocessing.model_validate({"preset": preset, "resize": None, "center_crop": None})
        np.testing.assert_allclose(stepped(pixels(Image.fromarray(image), geometry(how)), how), wanted, atol=2e-5)


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
    assert value_step(how, 3)[1] == (-1.0,) * 3
    assert value_step(Preprocessing(resize=8), 3) == ((), ())
    for wrong in ({"scale": "1/0"}, {"scale": -1}, {"std": [0]}, {"resize": 0}, {"preset": "pytorch"}, {"resize": [1]}):
        with pytest.raises(ValidationError):
            Preprocessing.model_validate(wrong)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"kind": "images"}, "kind images takes path"),
        ({"kind": "images", "path": "x", "columns": {}}, "kind images takes path"),
        ({"kind": "npz", "path": "x", "labels": "y"}, "kind npz takes path"),
        ({"kind": "digits", "path": "x"}, "neither path nor function"),
        ({"kind": "npz", "path": "x", "calibration": {"path": "y"}}, "calibration.path means nothing for kind npz"),
        ({"kind": "images", "path": "x", "train": {"split": "y"}}, "train.split means nothing for kind images"),
        ({"kind": "images", "path": "x", "train": {"labels": "y"}}, "train.labels needs train.path"),
    ],
)
def test_keys_of_another_kind_are_refused(keys: dict[str, object], said: str) -> None:
    """Each kind of dataset has its keys; others are a mistake."""
    with pytest.raises(ValidationError, match=said):
        Dataset.model_validate(keys)


# -- dealing ------------------------------------------------------------------------------------------------------

COUNTS = st.one_of(st.none(), st.integers(1, 12))


@UNHURRIED
@given(hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 4)), COUNTS, COUNTS, st.integers(0, 9))
def test_parts_share_nothing_and_are_the_same_every_time(
    classes: np.ndarray, evaluation: int | None, calibration: int | None, seed: int
) -> None:
    """Every part has what it asks for, of samples that no other part has; in proportion to the classes."""
    pools = {"all": Pool([f"{index}.png" for index in range(len(classes))], classes)}
    requests = {"evaluation": Request("all", evaluation, seed), "calibration": Request("all", calibration, seed)}
    if (evaluation or 1) + (calibration or 1) > len(classes) or (evaluation is None and calibration is None):
        with pytest.raises(SourceError, match="are left"):
            deal(pools, requests)
        return
    dealt = deal(pools, requests)
    assert {name: part.tolist() for name, part in deal(pools, requests).items()} == {
        name: part.tolist() for name, part in dealt.items()
    }
    assert not set(dealt["evaluation"]) & set(dealt["calibration"])
    if evaluation is not None:
        assert len(dealt["evaluation"]) == evaluation
        counts = np.bincount(classes[dealt["evaluation"]], minlength=5)
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
    before = deal({"all": Pool(names)}, {"evaluation": Request("all", 20, 0)})["evaluation"]
    after = deal({"all": Pool([*names, "new.png"])}, {"evaluation": Request("all", 20, 0)})["evaluation"]
    assert len(set(before) - set(after)) <= 1


# -- labels that are off ------------------------------------------------------------------------------------------


@UNHURRIED
@given(st.integers(0, 1000), st.sampled_from([-1, 1]))
def test_labels_off_by_one_show_in_a_models_answers(seed: int, shift: int) -> None:
    """A model that is right once labels are shifted says so; a good one, a bad one and a few samples say nothing."""
    random = np.random.default_rng(seed)
    labels = random.integers(1, 9, 200)
    answers = np.where(random.random(200) < 0.8, labels, random.integers(0, 10, 200))
    assert shifted(answers - shift, labels) == shift
    assert shifted(answers, labels) is None
    assert shifted(random.integers(0, 10, 200), labels) is None
    assert shifted((answers - shift)[:20], labels[:20]) is None
