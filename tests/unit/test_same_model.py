"""The comparison of a converted model with its source names what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.errors import NotTheSameModel
from harness.variants.same_model import check_same_answers, difference, tolerance

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
def test_classic_mistakes_are_named(mistake: str) -> None:
    """What a converter did to the inputs is found by undoing it."""
    wrong, words = MISTAKES[mistake]
    assert difference(model(IMAGES), lambda images: model(wrong(images)), IMAGES) == words


def test_the_same_model_in_other_arithmetic_is_the_same() -> None:
    """Rounding is no difference: float64 against float32, and answers that hardly differ from one another."""
    assert difference(model(IMAGES), lambda images: model(images.astype(np.float64)), IMAGES) is None
    level = 1e3 + 1e-4 * model(IMAGES)
    assert difference(level, lambda images: level + 1e-3, IMAGES) is None


def test_small_answers_are_held_to_a_small_tolerance() -> None:
    """A thousand probabilities near 0.001 are compared on their own scale, not on that of 1."""
    small = 1e-3 * model(IMAGES)
    assert tolerance(small) < 1e-5
    assert difference(small, lambda images: small[::-1], IMAGES) is not None


def test_other_differences_are_told_with_their_size() -> None:
    """NaN, another shape, a softmax lost or added, and answers that are just others."""
    logits = model(IMAGES)
    raised = np.exp(logits)
    softened = raised / raised.sum(axis=1, keepdims=True)
    expected = {
        "NaN: ": logits * np.nan,
        "shape: 8 samples become (8, 3), by the source (8, 4)": logits[:, :3],
        "softmax: ": softened,
        "answers differ by 0.5 on 8 real samples, 0.0": logits + 0.5,
    }
    for words, given in expected.items():
        said = difference(logits, lambda images, given=given: given, IMAGES)
        assert said is not None
        assert said.startswith(words)
    assert str(difference(softened, lambda images: logits, IMAGES)).startswith("softmax")


def test_the_error_says_what_was_converted_and_what_to_do() -> None:
    """One sentence that begins with the conversion, and a next step."""
    with pytest.raises(NotTheSameModel) as raised:
        check_same_answers("the conversion to ONNX", model(IMAGES), lambda images: -model(images), IMAGES)
    assert raised.value.message.startswith(
        "the conversion to ONNX: converted, but not the same model: answers differ by"
    )
    assert raised.value.next_step
