"""The comparison of a converted model with its source names what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import NotTheSameModel, SourceError
from edgeworthy.variants.models.model_outputs import Inference
from edgeworthy.variants.models.same_model import check_same_outputs, difference, output_axes, output_places, tolerance
from edgeworthy.variants.models.source_outputs import SourceOutputs, compute, stratified

Array = np.ndarray[Any, np.dtype[Any]]

IMAGES = np.random.default_rng(0).random((8, 6, 6, 3), dtype=np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(6 * 6 * 3, 4)).astype(np.float32)


def model(images: Array) -> Array:
    """A model that looks at every number of an image, and where it stands."""
    return np.tanh(images.reshape(len(images), -1) @ WEIGHTS)


#: What a bad converter put before the model, and how that is named.
MISTAKES: dict[str, tuple[Callable[[Array], Array], str]] = {
    "height for width": (lambda x: x.transpose(0, 2, 1, 3), "layout: it takes height for width"),
    "NCHW as NHWC": (lambda x: x.reshape(8, 3, 6, 6).transpose(0, 2, 3, 1), "layout: it reads NCHW data as NHWC"),
    "NHWC as NCHW": (lambda x: x.transpose(0, 3, 1, 2).reshape(x.shape), "layout: it reads NHWC data as NCHW"),
    "BGR": (lambda x: x[..., ::-1], "channel order: it takes RGB for BGR, or BGR for RGB"),
    "scaled twice": (lambda x: x / 255, "preprocessing: it scales by 1/255 once more"),
    "not scaled": (lambda x: x * 255, "preprocessing: it lacks the scale factor 1/255"),
    "mapped twice": (lambda x: x * 2 - 1, "preprocessing: it maps [0, 1] to [-1, 1] once more"),
    "not mapped": (lambda x: (x + 1) / 2, "preprocessing: it lacks the map of [0, 1] to [-1, 1]"),
    "bytes mapped twice": (lambda x: x / 127.5 - 1, "preprocessing: it maps [0, 255] to [-1, 1] once more"),
    "bytes not mapped": (lambda x: (x + 1) * 127.5, "preprocessing: it lacks the map of [0, 255] to [-1, 1]"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_typical_conversion_errors_are_named(mistake: str) -> None:
    """What a converter did to the inputs is found by undoing it."""
    wrong, words = MISTAKES[mistake]
    assert difference(model(IMAGES), lambda images: model(wrong(images)), IMAGES) == words


def test_rounding_differences_are_accepted() -> None:
    """Rounding is no difference: float64 against float32, and answers that hardly differ from one another."""
    assert difference(model(IMAGES), lambda images: model(images.astype(np.float64)), IMAGES) is None
    level = 1e3 + 1e-4 * model(IMAGES)
    assert difference(level, lambda images: level + 1e-3, IMAGES) is None


def test_tolerance_scales_with_the_outputs() -> None:
    """A thousand probabilities near 0.001 are compared on their own scale, not on that of 1."""
    small = 1e-3 * model(IMAGES)
    assert tolerance(small).max() < 1e-5
    assert difference(small, lambda images: small[::-1], IMAGES) is not None


def test_other_differences_are_reported_with_their_size() -> None:
    """NaN, another shape, a softmax lost or added, and answers that are just others."""
    logits = model(IMAGES)
    raised = np.exp(logits)
    softened = raised / raised.sum(axis=1, keepdims=True)
    expected = {
        "NaN: ": logits * np.nan,
        "shape: 8 samples become (8, 3), by the source (8, 4)": logits[:, :3],
        "softmax: ": softened,
        "outputs differ by 0.5 on 8 real samples, ": logits + 0.5,
    }
    for words, given in expected.items():
        said = difference(logits, lambda images, given=given: given, IMAGES)
        assert said is not None
        assert said.startswith(words)
    assert str(difference(softened, lambda images: logits, IMAGES)).startswith("softmax")


def test_the_error_says_what_was_converted_and_what_to_do(tmp_path: Path) -> None:
    """One sentence that begins with the conversion, and a next step."""
    source = source_outputs_of(model, IMAGES, tmp_path)
    with pytest.raises(NotTheSameModel) as raised:
        check_same_outputs("the conversion to ONNX", source, lambda images: -model(images))
    assert raised.value.message.startswith(
        "the conversion to ONNX: converted, but not the same model: outputs differ by"
    )
    assert raised.value.hint


def source_outputs_of(infer: Callable[[Array], Array], images: Array, folder: Path) -> SourceOutputs:
    """What ``infer`` gives for ``images``, in files as the converting process has them."""
    np.save(folder / "images.npy", images)
    return compute(infer, Samples(folder / "images.npy"), folder / "outputs.npy")


def test_a_fault_in_one_sample_of_500_is_found_and_named(tmp_path: Path) -> None:
    """Every sample is compared, so that a branch which one image takes does not get lost behind a few that agree."""
    images = np.random.default_rng(2).random((500, 6, 6, 3), dtype=np.float32)
    images[317] += 1

    def other_branch(given: Array) -> Array:
        return np.where(given.mean(axis=(1, 2, 3), keepdims=True)[:, 0, 0] > 1, -model(given), model(given))

    source = source_outputs_of(model, images, tmp_path)
    check_same_outputs("the conversion to ONNX", source, model)
    with pytest.raises(NotTheSameModel, match=r"1 of all 500 evaluation samples differ, the first is sample 317"):
        check_same_outputs("the conversion to ONNX", source, other_branch)


def test_a_score_beside_boxes_in_pixels_is_held_to_its_own_spread(tmp_path: Path) -> None:
    """An error of 0.1 in a score of [0, 1] is nothing beside 640 pixels, and is found."""

    def boxes(given: Array) -> Array:
        values = model(given)
        return np.concatenate([320 + 320 * values[:, :3], 0.5 + 0.5 * values[:, 3:]], axis=1)

    def another_score(given: Array) -> Array:
        return boxes(given) + np.array([0, 0, 0, 0.1], np.float32)

    with pytest.raises(NotTheSameModel, match=r"outputs differ by 0\.1 .* \(column 3\)"):
        check_same_outputs("the conversion to ONNX", source_outputs_of(boxes, IMAGES, tmp_path), another_score)


def test_a_jump_within_rounding_is_no_difference(tmp_path: Path) -> None:
    """A mask of pixels above one half turns with the last bit of a sum; the model jumps there, the conversion is right."""

    def masked(given: Array, threshold: float = 0.5) -> Array:
        return model(given * (given > np.float32(threshold)))

    def rounded_otherwise(given: Array) -> Array:
        return masked(given, float(np.nextafter(np.float32(0.5), np.float32(1))))

    images = np.random.default_rng(3).random((400, 6, 6, 3), dtype=np.float32)
    images[::40, 0, 0] = np.nextafter(np.float32(0.5), np.float32(1))
    source = source_outputs_of(masked, images, tmp_path)
    assert np.abs(masked(images) - rounded_otherwise(images)).max() > 0.1
    check_same_outputs("the conversion to ONNX", source, rounded_otherwise)


def test_the_rounding_of_other_kernels_is_allowed_several_times_and_no_more(tmp_path: Path) -> None:
    """Large terms that cancel make outputs of which the framework itself is not sure; nothing far from them passes."""
    np.save(tmp_path / "images.npy", IMAGES)
    samples, spread = Samples(tmp_path / "images.npy"), np.ptp(model(IMAGES), axis=0)

    def off(share: float) -> Callable[[Array], Array]:
        return lambda given: model(given) + (share * spread).astype(np.float32)

    exact = compute(model, samples, tmp_path / "outputs.npy", model)
    unsure = compute(model, samples, tmp_path / "outputs.npy", off(0.001))
    another = compute(model, samples, tmp_path / "outputs.npy", off(0.5))
    check_same_outputs("the conversion to ONNX", unsure, off(0.002))
    check_same_outputs("the conversion to ONNX", exact, off(0.0001))
    for source, share in ((exact, 0.002), (unsure, 0.02), (another, 0.05)):
        with pytest.raises(NotTheSameModel, match="outputs differ by"):
            check_same_outputs("the conversion to ONNX", source, off(share))


def test_a_source_that_differs_from_itself_is_named(tmp_path: Path) -> None:
    """A dropout that is active at inference is the source's own fault, and is told before anything is compared."""
    random = np.random.default_rng(4)
    with pytest.raises(SourceError, match="the source differs from itself"):
        source_outputs_of(lambda given: model(given) + random.normal(size=(len(given), 4)), IMAGES, tmp_path)


def test_a_source_that_looks_at_its_batch_is_run_one_sample_at_a_time(tmp_path: Path) -> None:
    """What a device computes is one sample alone; a mean over a batch of several is not part of it."""

    def centred(given: Array) -> Array:
        return model(given - given.mean())

    source = source_outputs_of(centred, IMAGES, tmp_path)
    np.testing.assert_allclose(source.values, np.concatenate([centred(image[None]) for image in IMAGES]), rtol=1e-6)


def test_a_batch_that_changes_outputs_by_nearly_what_is_allowed_is_avoided(tmp_path: Path) -> None:
    """Of the few that are looked at none is beyond the tolerance; others may be, which the conversion would be blamed for."""

    def by_batch(given: Array) -> Array:
        return model(given) + (np.float32(5e-4) * np.ptp(model(IMAGES), axis=0) if len(given) > 1 else 0)

    source = source_outputs_of(by_batch, IMAGES, tmp_path)
    np.testing.assert_array_equal(source.values, np.concatenate([model(image[None]) for image in IMAGES]))


def test_a_stratified_selection_reaches_everywhere_and_states_its_bound() -> None:
    """One sample of each block of the dataset; 300 of 60,000 without a difference show less than 1 %."""
    rows = stratified(60_000, 300)
    assert (rows // 200 == np.arange(300)).all()
    source = SourceOutputs(cast(Samples, range(60_000)), rows, np.zeros((300, 4)), np.zeros(4))
    assert source.extent == (
        "a stratified selection of 300 of 60,000 evaluation samples (at 95 %, at most 1 % of all differ)"
    )


def test_outputs_in_another_order_of_axes_are_recognized(tmp_path: Path) -> None:
    """An image that a converter gives as (channels, height, width) is the same image."""

    def image(given: Array) -> Array:
        return given[:, :4] * 2

    source = source_outputs_of(image, IMAGES, tmp_path)
    assert output_axes(source, image) is None
    assert output_axes(source, lambda given: image(given).transpose(0, 3, 1, 2)) == (0, 2, 3, 1)


def test_each_of_several_outputs_is_held_to_its_own_columns(tmp_path: Path) -> None:
    """Values that hardly vary in one place belong to a column that does; one output of another size does not hide a small one."""

    def places(images: Array) -> list[Array]:
        means = images.mean(axis=(1, 2, 3))
        return [np.stack([means, 1e-6 * means], axis=1)[..., None], 1000 * images.reshape(len(images), -1)]

    model = Inference(places)
    np.save(tmp_path / "samples.npy", IMAGES)
    path, samples = tmp_path / "out.npy", Samples(tmp_path / "samples.npy")
    source = compute(model, samples, path, None, model.shapes(IMAGES[:1]))
    assert source.values.shape == (len(IMAGES), 2 + IMAGES[0].size)
    assert source.allowed[0] == source.allowed[1]
    swapped = Inference(lambda images: places(images)[::-1])
    assert output_places(source, swapped.each) == [1, 0]
    assert output_places(source, lambda images: [places(images)[1], 2 * places(images)[0]]) is None
    with pytest.raises(NotTheSameModel):
        check_same_outputs("it", source, swapped)
