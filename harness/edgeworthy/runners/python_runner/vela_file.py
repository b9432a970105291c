"""The .tflite file that Vela makes: what it leaves to the processor, and the arena that it plans."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from .jobs import RunnerError

#: The custom op that stands for all that the NPU takes.
_NPU_OP = "ethos-u"
_PLAN = b"OfflineMemoryAllocation"
#: The plan begins with its version, how many graphs there are, and how many tensors; then each one's place, -1 of a constant.
_HEAD = 3


class VelaFile:
    """The content of a file, read by TFLM's own schema."""

    def __init__(self, content: bytes) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self._schema: Any = runtime.schema_fb
        self._file: Any = runtime.convert_bytearray_to_object(content)
        names = vars(self._schema.BuiltinOperator).items()
        self._called = {value: name for name, value in names if isinstance(value, int)}
        types = {value: name.lower() for name, value in vars(self._schema.TensorType).items() if isinstance(value, int)}
        self._bytes = {kind: np.dtype(name).itemsize for kind, name in types.items() if name in np.sctypeDict}

    @property
    def left(self) -> Counter[str]:
        """The operators that are the processor's, by name."""
        found = Counter(name for _, _, name in self._operators())
        del found[_NPU_OP]
        return found

    @property
    def arena_bytes(self) -> int:
        """The end of the last tensor in the arena, and the variables behind it. Raises RunnerError where nothing is planned."""
        plans = [self._file.buffers[each.buffer].data for each in self._file.metadata or [] if each.name == _PLAN]
        if len(plans) != 1:
            raise RunnerError("artifact_unusable", "Vela wrote no plan of the arena")
        places = np.frombuffer(bytes(plans[0]), np.int32)[_HEAD:].tolist()
        tensors = [tensor for graph in self._file.subgraphs for tensor in graph.tensors]
        ends = [place + self._size(tensor) for place, tensor in zip(places, tensors, strict=True) if place >= 0]
        return max(ends, default=0) + self._variables()

    def _variables(self) -> int:
        """The size of all resource variables, which TFLM keeps in the arena and Vela does not plan."""
        handles: dict[tuple[int, int], Any] = {}
        sizes: dict[Any, int] = {}
        for graph, op, name in self._operators():
            if name == "VAR_HANDLE":
                handles[id(graph), op.outputs[0]] = op.builtinOptions.sharedName
            elif name in ("READ_VARIABLE", "ASSIGN_VARIABLE"):
                value = op.outputs[0] if name == "READ_VARIABLE" else op.inputs[1]
                variable = handles[id(graph), op.inputs[0]]
                sizes[variable] = max(sizes.get(variable, 0), self._size(graph.tensors[value]))
        return sum(sizes.values())

    def _operators(self) -> Iterator[tuple[Any, Any, str]]:
        """Every graph and operator, with the operator's name."""
        for graph in self._file.subgraphs:
            for op in graph.operators:
                code = self._file.operatorCodes[op.opcodeIndex]
                custom = (code.customCode or b"").decode(errors="replace")
                yield graph, op, custom or self._called[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def _size(self, tensor: Any) -> int:
        size: int = math.prod(int(axis) for axis in tensor.shape) * self._bytes[tensor.type]
        return size
