"""TensorFlow graphs as the user gives them, a SavedModel or a TF1 frozen graph, as one frozen function of a batch.

TF1 SavedModels are read too. Frozen, both are a function without variables: (batch, ...) -> [outputs].
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgeworthy.errors import SourceError
from edgeworthy.suggestions import did_you_mean
from edgeworthy.variants.converter_errors import refusing
from edgeworthy.variants.model_ends import check_one_input, chosen_outputs
from edgeworthy.variants.output_names import plain_names
from edgeworthy.variants.source_files import Shape, check_shape, checked_file, reading

DEFAULT_SIGNATURE = "serving_default"


def load_saved_model(folder: Path, signature: str | None, output: str | None, sample: Shape) -> Any:
    """The function of a SavedModel's signature to the chosen output, or to all, its input checked. Raises SourceError.

    ``output_names`` of the function are the names of its outputs.
    """
    with refusing("TensorFlow"):
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    with reading(folder, "a SavedModel"):
        loaded = tf.saved_model.load(str(folder))
    name, known = signature or DEFAULT_SIGNATURE, sorted(loaded.signatures)
    if name not in known:
        has = did_you_mean(name, known) if known else "it has none"
        raise SourceError(
            f"{folder}: the SavedModel has no signature {name!r}; {has}",
            hint="correct the source's signature" if known else "save it with signatures={'serving_default': ...}",
        )
    with refusing("TensorFlow"):
        serve = loaded.signatures[name]
        frozen = convert_variables_to_constants_v2(serve, lower_control_flow=False)
    title = f"{folder}, signature {name!r}"
    check_one_input(title, sorted(serve.structured_input_signature[1]))
    names = sorted(serve.structured_outputs)
    kept = chosen_outputs(title, names, output)
    if len(kept) < len(frozen.outputs):
        frozen = frozen.prune(frozen.inputs[0], [frozen.outputs[index] for index in kept])
    frozen.output_names = tuple(names[index] for index in kept)
    return _checked(frozen, title, folder, sample)


def load_frozen_graph(path: Path, entry: str, out: str, sample: Shape) -> Any:
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
    return _checked(function, str(path), path, sample)


class Kept(NamedTuple):
    """An output of a function: its place, and the order in which its axes are wanted, if not in their own."""

    place: int
    axes: tuple[int, ...] | None = None


def save_function(
    function: Any, shape: tuple[int | None, ...], folder: Path, names: Sequence[str], kept: Sequence[Kept] | None = None
) -> Path:
    """Write ``folder``, a SavedModel with ``function`` as its only signature, serving_default, input of ``shape`` and its dtype.

    ``names`` are those of its outputs, of which all are ``kept`` as they are unless it says otherwise.
    """
    with refusing("TensorFlow"):
        import tensorflow as tf

        spec = tf.TensorSpec(shape, function.inputs[0].dtype, name="input")

        def outputs(values: Any) -> Any:
            given = outputs_of(function, values)
            wanted = kept or [Kept(place) for place in range(len(given))]
            moved = [given[place] if axes is None else tf.transpose(given[place], axes) for place, axes in wanted]
            return dict(zip(plain_names(names) if len(moved) > 1 else ["output"], moved, strict=True))

        serve = tf.function(outputs, input_signature=[spec])
        module = tf.Module()
        module.serve = serve
        tf.saved_model.save(module, str(folder), signatures={DEFAULT_SIGNATURE: serve})
    return folder


def outputs_of(function: Any, values: Any) -> list[Any]:
    """The outputs of a function for a batch, as tensors."""
    import tensorflow as tf

    return list(tf.nest.flatten(function(values)))


def fixed_batch(function: Any) -> int | None:
    """The only batch size that the function takes, if it takes only one."""
    size: int | None = function.inputs[0].shape[0]
    return size


def _array(graph: Any, name: str, path: Path) -> Any:
    try:
        return graph.as_graph_element(name if ":" in name else f"{name}:0", allow_operation=False)
    except (KeyError, ValueError, TypeError) as error:
        known = [operation.outputs[0].name for operation in graph.get_operations() if operation.outputs]
        raise SourceError(
            f"{path}: the graph has no array {name!r}; {did_you_mean(name, known)}",
            hint="correct the source's input and output",
        ) from error


def _checked(function: Any, title: str, path: Path, sample: Shape) -> Any:
    inputs = function.inputs
    if not (inputs[0].dtype.is_floating or inputs[0].dtype.is_integer):
        raise SourceError(
            f"{title}: its input is {inputs[0].dtype.name}, no numbers",
            hint="export the model with an input of numbers",
        )
    shape = inputs[0].shape
    if shape.rank is None:
        raise SourceError(
            f"{title}: its input has no shape",
            hint="export it with an input of known rank, of images (None, height, width, channels)",
        )
    check_shape(path, tuple(shape[1:]), sample)
    return function
