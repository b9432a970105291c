"""ONNX files: their opsets, and what is taken out of them or added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgeworthy.errors import RecipeRefused
from edgeworthy.variants.conversion.converter_errors import refusing

#: Of ONNX files made from TensorFlow, unless the source asks for another.
TENSORFLOW_OPSET = 17
#: DequantizeLinear has an axis from here on.
PER_CHANNEL_OPSET = 13


def save_onnx(model: Any, opset: int | None, out: Path) -> Path:
    """Write the checked onnx.ModelProto. Raises RecipeRefused where it is not of the ``opset`` that was requested."""
    with refusing("onnx.checker"):
        import onnx

        onnx.checker.check_model(model)
        onnx.save(model, out)
    check_opset(out, opset)
    return out


def is_quantizable(onnx_file: Path) -> bool:
    """Whether the file's opset has a DequantizeLinear per channel."""
    return (opset_of(onnx_file) or PER_CHANNEL_OPSET) >= PER_CHANNEL_OPSET


def newer_onnx(onnx_file: Path, out: Path) -> Path:
    """Write the model of an old opset in a newer one, by ONNX's version converter."""
    with refusing("ONNX's version converter"):
        import onnx
        from onnx import version_converter

        model = onnx.load(onnx_file)
        constants = {tensor.name for tensor in model.graph.initializer}
        kept = [entry for entry in model.graph.input if entry.name not in constants]
        newer = version_converter.convert_version(model, TENSORFLOW_OPSET)
        newer.ir_version = max(newer.ir_version, 8)
        del newer.graph.input[:]
        newer.graph.input.extend(kept)
        onnx.save(newer, out)
    return out


def check_opset(onnx_file: Path, opset: int | None) -> None:
    """Raise RecipeRefused where the file is not of the ``opset`` that was requested; None requests none."""
    made = opset_of(onnx_file)
    if opset not in (None, made):
        raise RecipeRefused(
            f"opset {opset} was requested, and the file is of opset {made}",
            hint=f"write opset: {made} at the model's source, or leave it out",
        )


def opset_of(onnx_file: Path) -> int | None:
    """The version of ONNX's own operators that the file asks for; None where it uses none of them."""
    import onnx

    operators = onnx.load(onnx_file, load_external_data=False).opset_import
    return next((entry.version for entry in operators if entry.domain in ("", "ai.onnx")), None)


def without_notes(model: Any) -> Any:
    """The onnx.ModelProto without what only its maker reads: stack traces, documentation, inferred shapes.

    For a small model they are a third of the file, and stack traces name folders of the machine that exported it.
    """
    graph = model.graph
    del graph.value_info[:], model.metadata_props[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def without_scope(model: Any, scope: str) -> Any:
    """The onnx.ModelProto without the name of the whole model at the head of the names of its tensors and nodes.

    The bodies of Loop and If are renamed too, for they use tensors of the graph around them.
    """
    graphs = list(graphs_within(model.graph))
    names = {name for graph in graphs for node in graph.node for name in (*node.input, *node.output)}
    if not scope or any(name.startswith(scope) and name.removeprefix(scope) in names for name in names):
        return model
    for graph in graphs:
        for node in graph.node:
            node.name = node.name.removeprefix(scope)
            node.input[:] = [name.removeprefix(scope) for name in node.input]
            node.output[:] = [name.removeprefix(scope) for name in node.output]
        for tensor in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
            tensor.name = tensor.name.removeprefix(scope)
    return model


def with_outputs(model: Any, names: Sequence[str]) -> Any:
    """The onnx.ModelProto whose outputs are called ``names``, in their order: each gets a node of its own that hands it on."""
    from onnx import helper

    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    for output, name in zip(graph.output, names, strict=True):
        if output.name == name:
            continue
        if name in taken:
            raise RecipeRefused(
                f"the graph has a tensor {name!r} beside the output of that name",
                hint="give the model's output another name",
            )
        graph.node.append(helper.make_node("Identity", [output.name], [name], name=f"output {name}"))
        output.name = name
    return model


def graphs_within(graph: Any) -> Iterator[Any]:
    """The graph and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from graphs_within(inner)
