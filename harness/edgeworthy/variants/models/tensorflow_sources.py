"""TensorFlow graphs as the user gives them, a SavedModel or a TF1 frozen graph, as one frozen function of a batch.

TF1 SavedModels are read too. Frozen, both are a function without variables: (batch, ...) -> [outputs].
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgeworthy.errors import SourceError
from edgeworthy.suggestions import did_you_mean
from edgeworthy.tensors import NamedInput
from edgeworthy.variants.conversion.converter_errors import refusing
from edgeworthy.variants.models.model_ends import check_inputs, chosen_outputs
from edgeworthy.variants.models.model_inputs import ModelInput
from edgeworthy.variants.models.output_names import plain_names
from edgeworthy.variants.models.source_files import Shape, check_shapes, checked_file, reading

DEFAULT_SIGNATURE = "serving_default"
#: Keras exports one function under both.
KERAS_SIGNATURES = {DEFAULT_SIGNATURE, "serve"}


def load_saved_model(
    folder: Path, signature: str | None, output: str | None, sample: Shape, inputs: Sequence[NamedInput] = ()
) -> Any:
    """The function of a SavedModel's signature to the chosen output, or to all, its inputs checked. Raises SourceError."""
    function = open_saved_model(folder, signature)
    title, names = f"{folder}, signature {signature or DEFAULT_SIGNATURE!r}", function.output_names
    found = inputs_of(function)
    check_inputs(title, [each.name for each in found], inputs)
    kept = chosen_outputs(title, names, output)
    if len(kept) < len(function.outputs):
        function = function.prune(function.inputs, [function.outputs[index] for index in kept])
    function.input_names = [each.name for each in found]
    function.output_names = tuple(names[index] for index in kept)
    return _checked(function, title, folder, inputs, sample)


def open_saved_model(folder: Path, signature: str | None = DEFAULT_SIGNATURE) -> Any:
    """The frozen function of a SavedModel's signature; None is the default of one that has no other. Raises SourceError.

    ``input_names`` and ``output_names`` of the function are the names of its ends, in its order.
    """
    with refusing("TensorFlow"):
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    with reading(folder, "a SavedModel"):
        loaded = tf.saved_model.load(str(folder))
    name, known = signature or DEFAULT_SIGNATURE, sorted(loaded.signatures)
    if signature is None and name in known and not {*known} <= KERAS_SIGNATURES:
        raise SourceError(
            f"{folder}: the SavedModel has {len(known)} signatures: {', '.join(known)}, and none is chosen",
            hint="choose one at the model's source, as 'signature: NAME'",
        )
    if name not in known:
        has = did_you_mean(name, known) if known else "it has none"
        raise SourceError(
            f"{folder}: the SavedModel has no signature {name!r}; {has}",
            hint="correct the source's signature" if known else "save it with signatures={'serving_default': ...}",
        )
    with refusing("TensorFlow"):
        serve = loaded.signatures[name]
        frozen = convert_variables_to_constants_v2(serve, lower_control_flow=False)
    frozen.input_names = sorted(serve.structured_input_signature[1])
    frozen.output_names = tuple(sorted(serve.structured_outputs))
    return frozen


def inputs_of(function: Any) -> list[ModelInput]:
    """The inputs of a function, in its order."""
    names = function.input_names
    return [
        ModelInput(
            name, tuple(tensor.shape) if tensor.shape.rank is not None else (), np.dtype(tensor.dtype.as_numpy_dtype)
        )
        for name, tensor in zip(names, function.inputs, strict=True)
    ]


def load_frozen_graph(path: Path, entry: str, out: str, sample: Shape, inputs: Sequence[NamedInput] = ()) -> Any:
    """The function of a TF1 GraphDef from the array ``entry`` to the array ``out``. Raises SourceError."""
    checked_file(path)
    with refusing("TensorFlow"):
        import tensorflow as tf
    with reading(path, "a frozen graph"):
        graph_def = tf.compat.v1.GraphDef.FromString(path.read_bytes())
        wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph_def, name=""), [])
    ends = [_array(wrapped.graph, name, path) for name in (entry, out)]
    with reading(path, "a frozen graph"):
        function = wrapped.prune(ends[0], [ends[1]])
    function.input_names = [entry.partition(":")[0]]
    return _checked(function, str(path), path, inputs, sample)


class Kept(NamedTuple):
    """An output of a function: its place, and the order in which its axes are wanted, if not in their own."""

    place: int
    axes: tuple[int, ...] | None = None


def save_function(
    function: Any, inputs: Sequence[ModelInput], folder: Path, names: Sequence[str], kept: Sequence[Kept] | None = None
) -> Path:
    """Write ``folder``, a SavedModel with ``function`` as its only signature, serving_default, of these ``inputs``.

    ``names`` are those of its outputs, of which all are ``kept`` as they are unless it says otherwise.
    """
    with refusing("TensorFlow"):
        import tensorflow as tf

        def outputs(*values: Any) -> Any:
            given = outputs_of(function, values)
            wanted = kept or [Kept(place) for place in range(len(given))]
            moved = [given[place] if axes is None else tf.transpose(given[place], axes) for place, axes in wanted]
            return dict(zip(plain_names(names) if len(moved) > 1 else ["output"], moved, strict=True))

        serve = tf.function(outputs, input_signature=specs(inputs))
        module = tf.Module()
        module.serve = serve
        tf.saved_model.save(module, str(folder), signatures={DEFAULT_SIGNATURE: serve})
    return folder


def specs(inputs: Sequence[ModelInput]) -> list[Any]:
    """The inputs as TensorFlow describes them."""
    import tensorflow as tf

    return [tf.TensorSpec(each.shape, each.dtype, name=each.name) for each in inputs]


def outputs_of(function: Any, values: Sequence[Any]) -> list[Any]:
    """The outputs of a function for a batch, as tensors."""
    import tensorflow as tf

    return list(tf.nest.flatten(function(*values)))


def _array(graph: Any, name: str, path: Path) -> Any:
    try:
        return graph.as_graph_element(name if ":" in name else f"{name}:0", allow_operation=False)
    except (KeyError, ValueError, TypeError) as error:
        known = [operation.outputs[0].name for operation in graph.get_operations() if operation.outputs]
        raise SourceError(
            f"{path}: the graph has no array {name!r}; {did_you_mean(name, known)}",
            hint="correct the source's input and output",
        ) from error


def _checked(function: Any, title: str, path: Path, inputs: Sequence[NamedInput], sample: Shape) -> Any:
    for tensor in function.inputs:
        if not (tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool):
            raise SourceError(
                f"{title}: its input is {tensor.dtype.name}, no numbers",
                hint="export the model with an input of numbers",
            )
        if tensor.shape.rank is None:
            raise SourceError(
                f"{title}: its input has no shape",
                hint="export it with an input of known rank, of images (None, height, width, channels)",
            )
    check_shapes(path, inputs_of(function), inputs, sample)
    return function
