"""A source as a SavedModel: what TFLiteConverter begins with, by the way that its framework goes there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeworthy.errors import PackageMissing, RecipeRefused
from edgeworthy.tensors import NamedInput
from edgeworthy.variants.conversion import converters
from edgeworthy.variants.conversion.converter_errors import refusing
from edgeworthy.variants.conversion.onnx_to_tensorflow import onnx_to_saved_model
from edgeworthy.variants.models import model_outputs, tensorflow_sources
from edgeworthy.variants.models.kinds import TITLES
from edgeworthy.variants.models.model_inputs import Ends, as_in_source, wanted_shape
from edgeworthy.variants.models.output_names import plain_names
from edgeworthy.variants.models.same_model import check_same_outputs, output_axes, output_places
from edgeworthy.variants.models.source_files import onnx_texts

if TYPE_CHECKING:
    from edgeworthy.variants.models.opened_source import OpenedSource


def make(source: OpenedSource, batch: int | None) -> Path:
    """The folder of a SavedModel of ``source`` for that batch, None for any, with the signature serving_default; images are NHWC.

    Raises RecipeRefused, or NotTheSameModel where its outputs are not those of the source.
    """
    folder = source.scratch / f"saved_model_{batch or 'dynamic'}"
    if source.kind == "tflite":
        raise RecipeRefused(
            f"{TITLES[source.kind]} cannot become a SavedModel", hint="drop this variant for this model"
        )
    if source.has_tflite:
        raise RecipeRefused(
            f"{source.title} becomes no SavedModel by route: {source.source.route}",
            hint="drop this variant for this model, or leave out the route at its source",
        )
    if source.kind == "onnx" and (texts := onnx_texts(source.onnx_file())):
        raise RecipeRefused(
            f"{texts[0]} of {source.title} is texts, which LiteRT has not",
            hint="drop this variant for this model, or judge the part of it that comes after the texts",
        )
    source.outputs()
    if source.kind == "keras":
        converters.keras_to_saved_model(source.keras_model(), source.wanted_inputs(batch), folder)
    elif source.kind in ("saved_model", "frozen_graph"):
        tensorflow_sources.save_function(source.function(), source.wanted_inputs(batch), folder, source.output_names())
    else:
        layout, inputs = source.onnx_layout(), source.ends().inputs
        only = NamedInput("", source.input_shape)
        shapes = [wanted_shape(each, batch, layout) for each in inputs or (only,)]
        _refuse_ragged(inputs)
        with _naming_route(source):
            onnx_to_saved_model(source.onnx_for(batch), layout, shapes, folder)
    with refusing("TensorFlow"):
        # One by one: some of onnx2tf's take no other batch, which costs speed and changes no output.
        infer = _infer(source, folder)
        if kept := _kept(source, folder, infer):
            folder = _in_our_layout(source, folder, kept)
            infer = _infer(source, folder)
        check_same_outputs("the conversion to a SavedModel", source.outputs(), infer)
    return folder


def _refuse_ragged(inputs: Sequence[NamedInput]) -> None:
    """Raise RecipeRefused where samples have different sizes, which onnx2tf's graphs do not take."""
    for each in inputs:
        if each.ragged:
            raise RecipeRefused(
                f"onnx2tf makes a graph of one input size, and the samples of {each.name!r} have different ones",
                hint="pad the samples, with 'ragged: pad' in the model's entry, or use the ort_* recipes for this model",
            )


@contextlib.contextmanager
def _naming_route(source: OpenedSource) -> Iterator[None]:
    """Where onnx2tf refuses a PyTorch model, the hint names the other way to LiteRT."""
    try:
        yield
    except PackageMissing:
        raise
    except RecipeRefused as error:
        if source.kind == "torch":
            error.hint = f"set 'route: litert_torch' at the model's source, or {error.hint}"
        raise


def _infer(source: OpenedSource, folder: Path) -> model_outputs.Inference:
    return model_outputs.of_saved_model(folder, source.fixed_batch() or 1, source.ends())


def _kept(source: OpenedSource, folder: Path, infer: model_outputs.Inference) -> list[tensorflow_sources.Kept]:
    """The SavedModel's outputs, and the axes of a single one, in the order of the source's; none where they are so."""
    if len(source.output_names()) > 1:
        return _found_outputs(source, folder)
    axes = output_axes(source.outputs(), infer)
    return [tensorflow_sources.Kept(0, axes)] if axes else []


def _in_our_layout(source: OpenedSource, folder: Path, kept: list[tensorflow_sources.Kept]) -> Path:
    """The SavedModel with its outputs and axes as they are to be ``kept``: onnx2tf changes both."""
    function = tensorflow_sources.open_saved_model(folder)
    inputs = tensorflow_sources.inputs_of(function)
    return tensorflow_sources.save_function(
        function, inputs, folder.with_suffix(".ordered"), source.output_names(), kept
    )


def _found_outputs(source: OpenedSource, folder: Path) -> list[tensorflow_sources.Kept]:
    """Where the source's outputs are among those of the SavedModel, by their values; none where their names say it."""
    function, ends = tensorflow_sources.open_saved_model(folder), source.ends()
    if sorted(function.output_names) == sorted(plain_names(source.output_names())):
        return []
    found = tensorflow_sources.inputs_of(function)
    inputs = as_in_source(found, ends.inputs)
    given = Ends(tuple(ends.inputs[inputs.index(each)] for each in found) if ends.inputs else (), ends.outputs)
    places = output_places(source.outputs(), model_outputs.of_function(function, found, None, given).each)
    return [tensorflow_sources.Kept(place) for place in places or ()]
