"""Whether a .tflite keeps anything from one inference to the next."""

from __future__ import annotations

from typing import Any


def keeps_variables(content: bytes) -> bool:
    """Whether it has variable tensors, or ops that make resource variables."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    makers = {place for place, code in enumerate(model.operatorCodes) if _makes_variable(code, schema)}
    return any(
        any(tensor.isVariable for tensor in graph.tensors)
        or any(op.opcodeIndex in makers for op in graph.operators or ())
        for graph in model.subgraphs
    )


def _makes_variable(code: Any, schema: Any) -> bool:
    return bool(code.builtinCode == schema.BuiltinOperator.VAR_HANDLE)
