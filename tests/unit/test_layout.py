"""Images are turned for a model of another layout, and only they."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeworthy.datasets.samples import as_stored, in_layout
from edgeworthy.errors import SourceError
from edgeworthy.tensors import NamedInput
from edgeworthy.variants.models.model_inputs import ModelInput
from edgeworthy.variants.models.source_files import layouts_of_inputs


@pytest.mark.parametrize("shape", [(2,), (2, 5), (2, 5, 3), (2, 5, 4, 3), (2, 5, 4, 3, 6)])
def test_only_images_are_turned_and_turned_back(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape)).reshape(shape)
    turned = in_layout(values, "nchw")
    assert turned.shape == ((2, 3, 5, 4) if len(shape) == 4 else shape)
    np.testing.assert_array_equal(as_stored(turned, "nchw"), values)
    assert in_layout(values, "nhwc") is values


IMAGE, CUBE, VECTOR = ("image", (8, 6, 3)), ("cube", (4, 4, 4)), ("vector", (5,))


@pytest.mark.parametrize(
    ("found", "given", "layouts"),
    [
        ([(None, 3, 8, 6), (None, 5)], [IMAGE, VECTOR], ["nchw"]),
        ([(None, 8, 6, 3), (None, 5)], [IMAGE, VECTOR], ["nhwc"]),
        ([(None, 8, 6, 3), (None, 4, 4, 4)], [IMAGE, CUBE], ["nhwc"]),
        ([(None, 3, 8, 6), (None, 4, 4, 4)], [IMAGE, CUBE], ["nchw"]),
        ([(None, None, None, None), (None, 5)], [IMAGE, VECTOR], ["nchw", "nhwc"]),
        ([(None, 5)], [VECTOR], ["nhwc"]),
    ],
)
def test_images_among_several_inputs_have_one_layout(
    found: list[tuple[int | None, ...]], given: list[tuple[str, tuple[int, ...]]], layouts: list[str]
) -> None:
    """What fits both ways follows what does not; where all do, both are possible."""
    assert layouts_of_inputs(entries(found, given), inputs(given), Path("net.onnx")) == layouts


def test_inputs_of_two_layouts_and_of_other_shapes_are_named() -> None:
    mixed = [IMAGE, ("mask", (8, 6, 3))]
    with pytest.raises(SourceError, match="some of the model's inputs of four axes are channels first"):
        layouts_of_inputs(entries([(None, 3, 8, 6), (None, 8, 6, 3)], mixed), inputs(mixed), Path("net.onnx"))
    with pytest.raises(
        SourceError, match=r"the model's input 'vector' is \(7,\), but the dataset's samples are \(5,\)"
    ):
        layouts_of_inputs(entries([(None, 7)], [VECTOR]), inputs([VECTOR]), Path("net.onnx"))


def entries(found: list[tuple[int | None, ...]], given: list[tuple[str, tuple[int, ...]]]) -> list[ModelInput]:
    return [ModelInput(name, shape, np.dtype(np.float32)) for (name, _), shape in zip(given, found, strict=True)]


def inputs(given: list[tuple[str, tuple[int, ...]]]) -> list[NamedInput]:
    return [NamedInput(name, shape) for name, shape in given]
