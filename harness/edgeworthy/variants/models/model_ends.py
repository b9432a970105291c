"""Which outputs of a model are kept, the chosen one or all, and whether its inputs are those that the dataset gives."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeworthy.datasets.arrays import INPUT
from edgeworthy.errors import SourceError
from edgeworthy.suggestions import did_you_mean
from edgeworthy.tensors import NamedInput


def check_inputs(title: object, names: Sequence[str], inputs: Sequence[NamedInput]) -> None:
    """Raise SourceError unless the model's ``names`` are those of ``inputs``, in any order, or one where there are none.

    A dataset's only array is what a model with one input takes, whatever its name.
    """
    given = [each.name for each in inputs]
    if given == [INPUT] and len(names) == 1:
        return
    if not given and len(names) != 1:
        raise SourceError(
            f"{title}: the model has {_listed('input', names)}, and the dataset one array",
            hint="give the dataset an array for each input, called evaluation_INPUT, or name them in the model's 'inputs'",
        )
    if not given:
        return
    missing = [name for name in names if name not in given]
    if missing:
        raise SourceError(
            f"{title}: the model's input {missing[0]!r} is given nothing; {did_you_mean(missing[0], given)}",
            hint="give the dataset an array for each input, called evaluation_INPUT, or name them in the model's 'inputs'",
        )
    unknown = [name for name in given if name not in names]
    if unknown:
        raise SourceError(
            f"{title}: the model has no input {unknown[0]!r}; {did_you_mean(unknown[0], list(names))}",
            hint="name the arrays of the dataset as the model's inputs, or set the model's 'inputs' in models.yaml",
        )


def chosen_outputs(title: object, names: Sequence[str], wanted: str | None) -> list[int]:
    """The places of the outputs to keep: of the wanted one, or of all. Raises SourceError where there is no such output."""
    if wanted is None:
        return list(range(len(names)))
    if wanted not in names:
        raise SourceError(
            f"{title}: the model has no output {wanted!r}; {did_you_mean(wanted, list(names))}",
            hint="correct 'output' at the model's source in models.yaml",
        )
    return [list(names).index(wanted)]


def keras_outputs(model: Any) -> list[str]:
    """The names of the model's outputs, in their order."""
    # A Sequential model has no output_names.
    return list(getattr(model, "output_names", None) or [tensor.name for tensor in model.outputs])


def keras_inputs(model: Any) -> list[str]:
    """The names of the model's inputs, in their order."""
    return [tensor.name.partition(":")[0] for tensor in model.inputs]


def keras_with_output(model: Any, path: Path, wanted: str | None, inputs: Sequence[NamedInput] = ()) -> Any:
    """The keras.Model, or tf_keras.Model, with the chosen output alone, or all of them, its inputs checked."""
    check_inputs(path, keras_inputs(model), inputs)
    kept = chosen_outputs(path, keras_outputs(model), wanted)
    if len(kept) == len(model.outputs):
        return model
    library = importlib.import_module(type(model).__module__.partition(".")[0])
    return library.Model(model.inputs if inputs else model.inputs[0], model.outputs[kept[0]], name=model.name)


def onnx_with_output(path: Path, title: object, wanted: str | None, given: Sequence[NamedInput] = ()) -> None:
    """Write the ONNX file ``path`` again with the chosen output alone, and what it does not need left out; or keep all."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [entry.name for entry in graph.input if entry.name not in constants]
    outputs = [entry.name for entry in graph.output]
    check_inputs(title, inputs, given)
    kept = chosen_outputs(title, outputs, wanted)
    for index in kept:
        _check_judged(title, graph.output[index], onnx.TensorProto, alone=len(kept) == 1)
    _check_texts(title, [entry for entry in graph.input if entry.name in inputs], given, onnx.TensorProto)
    if len(kept) < len(outputs):
        onnx.utils.extract_model(path, path, inputs, [outputs[kept[0]]])


def _check_texts(title: object, entries: Sequence[Any], given: Sequence[NamedInput], types: Any) -> None:
    """Raise SourceError where an ONNX model's input takes texts and is given numbers, or the other way round."""
    by_name = {each.name: each for each in given}
    alone = given[0] if len(given) == len(entries) == 1 else None
    for entry in entries:
        named = alone or by_name.get(entry.name)
        takes, gets = entry.type.tensor_type.elem_type == types.STRING, bool(named and named.width)
        if takes != gets:
            words = ("texts", "numbers") if takes else ("numbers", "texts")
            raise SourceError(
                f"{title}: the model's input {entry.name!r} takes {words[0]}, and the dataset gives it {words[1]}",
                hint="give texts as an array of dtype '<U', numbers as an array of numbers",
            )


def _check_judged(title: object, output: Any, types: Any, *, alone: bool) -> None:
    """Raise SourceError where an ONNX model's output is a list of maps (ZipMap), or, if it is ``alone``, class numbers."""
    kinds = {types.INT64: "class numbers", types.INT32: "class numbers"} if alone else {}
    held = kinds.get(output.type.tensor_type.elem_type) if output.type.HasField("tensor_type") else "a list of maps"
    if held:
        raise SourceError(
            f"{title}: the output {output.name!r} is {held}, not scores or numbers to judge",
            hint="choose another one at the model's source, as 'output: NAME'; export a model of scikit-learn with"
            " options={'zipmap': False}",
        )


def opened_tflite(content: bytes) -> Any:
    """An Interpreter that says what the file says of itself, also where LiteRT has not all of its ops."""
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=content)


def named_inputs(model: Any) -> dict[str, Any]:
    """The details of an Interpreter's inputs by name: as its only signature calls them, else as their tensors."""
    inputs = {entry["name"]: entry for entry in model.get_input_details()}
    signatures = model.get_signature_list()
    if len(signatures) != 1:
        return inputs
    if len(inputs) == 1:  # a signature cannot be asked for more where LiteRT lacks an op
        return dict(zip(next(iter(signatures.values()))["inputs"], inputs.values(), strict=True))
    return dict(model.get_signature_runner(next(iter(signatures))).get_input_details())


def named_outputs(model: Any) -> dict[str, Any]:
    """The details of an Interpreter's outputs by name: as its only signature calls them, else as their tensors."""
    outputs = {entry["name"]: entry for entry in model.get_output_details()}
    signatures = model.get_signature_list()
    if len(signatures) != 1:
        return outputs
    if len(outputs) == 1:  # as of inputs
        return dict(zip(next(iter(signatures.values()))["outputs"], outputs.values(), strict=True))
    return dict(model.get_signature_runner(next(iter(signatures))).get_output_details())


def tflite_outputs(path: Path) -> list[str]:
    """The names of the outputs of a .tflite."""
    return list(named_outputs(opened_tflite(path.read_bytes())))


def tflite_with_output(content: bytes, title: object, wanted: str | None, inputs: Sequence[NamedInput] = ()) -> bytes:
    """The .tflite with the chosen output alone, or all of them, its inputs checked."""
    from ai_edge_litert import schema_py_generated as schema

    from edgeworthy.variants.conversion.tflite_packing import packed

    model = opened_tflite(content)
    check_inputs(title, list(named_inputs(model)), inputs)
    outputs = {name: int(details["index"]) for name, details in named_outputs(model).items()}
    kept = chosen_outputs(title, list(outputs), wanted)
    if len(kept) == len(outputs):
        return content
    tensor = list(outputs.values())[kept[0]]

    def keep_one(tree: Any) -> None:
        tree.subgraphs[0].outputs = [tensor]
        for signature in tree.signatureDefs or ():
            signature.outputs = [each for each in signature.outputs if each.tensorIndex == tensor]
        _leave_out_unused(tree)

    return packed(content, schema, keep_one)


def _leave_out_unused(tree: Any) -> None:
    """Remove the ops and tensors that no output needs: quantizers calibrate every one that they find."""
    graph = tree.subgraphs[0]
    needed, kept = set(graph.outputs), []
    for op in reversed(graph.operators):
        if not len(op.outputs) or needed.intersection(op.outputs):
            kept.append(op)
            needed.update(op.inputs, op.outputs, op.intermediates or ())
    graph.operators = kept[::-1]
    numbers = {old: new for new, old in enumerate(sorted(needed.union(graph.inputs) - {-1}))}
    graph.tensors = [graph.tensors[old] for old in numbers]
    for each in (graph, *graph.operators):
        each.inputs, each.outputs = ([numbers.get(old, -1) for old in ends] for ends in (each.inputs, each.outputs))
    for op in graph.operators:
        op.intermediates = [numbers[old] for old in op.intermediates or ()]
    for end in (end for signature in tree.signatureDefs or () for end in (*signature.inputs, *signature.outputs)):
        end.tensorIndex = numbers[end.tensorIndex]


def torch_with_output(
    module: Any, title: object, given: Any, wanted: str | None, inputs: Sequence[str] = ("images",)
) -> Any:
    """The torch.nn.Module that returns the chosen output alone, or a tuple of all; ``given`` is what it returned for an example.

    Outputs are called by their keys in a dict, and "0", "1", ... in a tuple: ``output_names`` of the module.
    """
    import torch

    if isinstance(given, torch.Tensor):
        return module
    keys = list(given) if isinstance(given, dict) else list(range(len(given)))
    names = [str(each) for each in keys]
    kept = chosen_outputs(title, names, wanted)

    class Chosen(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            self.output_names = tuple(names[index] for index in kept)

        def choose(self, given: Any) -> Any:
            chosen = tuple(given[keys[index]] for index in kept)
            return chosen if len(chosen) > 1 else chosen[0]

    Chosen.forward = _forward(inputs)
    return Chosen()


def _forward(inputs: Sequence[str]) -> Any:
    """A module's forward with these arguments: what traces and exports modules takes no ``*arguments``."""
    given = ", ".join(name for name in inputs if name.isidentifier())
    found: dict[str, Any] = {}
    exec(f"def forward(self, {given}):\n    return self.choose(self.module({given}))", found)  # noqa: S102 - names alone
    return found["forward"]


def _listed(noun: str, names: Sequence[str]) -> str:
    return f"no {noun}" if not names else f"{len(names)} {noun}s: {', '.join(names)}"
