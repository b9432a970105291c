"""The signature of an artifact: its named, typed inputs and outputs, as the file itself says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeworthy.errors import StoreError

Ends = dict[str, list[dict[str, Any]]]


def signature_of(artifact: Path, runtime: str) -> Ends | None:
    """``{"inputs": [...], "outputs": [...]}``, each with name, dtype, shape (None: dynamic) and quantization (None: float).

    None for a TorchScript or ``torch.export`` file, which says none of it without torch. Raises StoreError for a damaged one.
    """
    try:
        if runtime == "litert":
            return _litert(artifact)
        return _onnx(artifact) if runtime == "onnxruntime" else None
    except Exception as error:  # LiteRT, onnx and flatbuffers raise a dozen types
        raise StoreError(
            f"{artifact}: its signature cannot be read ({type(error).__name__}: {error})",
            hint="install the runtime's extra, or delete the artifact from the store and run pytest again",
        ) from error


def _litert(artifact: Path) -> Ends:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(artifact))
    return {
        "inputs": [_litert_tensor(details) for details in interpreter.get_input_details()],
        "outputs": [_litert_tensor(details) for details in interpreter.get_output_details()],
    }


def _litert_tensor(details: dict[str, Any]) -> dict[str, Any]:
    parameters = details["quantization_parameters"]
    quantization = {
        "scales": [float(scale) for scale in parameters["scales"]],
        "zero_points": [int(point) for point in parameters["zero_points"]],
    }
    return {
        "name": details["name"],
        "dtype": details["dtype"].__name__,
        "shape": [None if size == -1 else int(size) for size in details["shape_signature"]],
        "quantization": quantization if quantization["scales"] else None,
    }


def _onnx(artifact: Path) -> Ends:
    import onnx

    graph = onnx.load(artifact, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    return {
        "inputs": [_onnx_tensor(value) for value in graph.input if value.name not in constants],
        "outputs": [_onnx_tensor(value) for value in graph.output],
    }


def _onnx_tensor(value: Any) -> dict[str, Any]:
    """Quantization is inside of an ONNX graph, as nodes: its inputs and outputs have none."""
    from onnx import TensorProto, helper

    tensor = value.type.tensor_type
    return {
        "name": value.name,
        "dtype": "str"
        if tensor.elem_type == TensorProto.STRING
        else helper.tensor_dtype_to_np_dtype(tensor.elem_type).name,
        "shape": [size.dim_value if size.dim_value > 0 else None for size in tensor.shape.dim],
        "quantization": None,
    }
