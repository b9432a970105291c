"""A .tflite file in LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np

from .casting import dequantize, to_inputs
from .jobs import Array, Facts, Job, Shape, shape_text
from .signatures import (
    all_outputs,
    check_signature,
    shaped,
    varying_inputs,
    wanted_inputs,
    wanted_outputs,
    with_state_shapes,
)


class LiteRtModel:
    """A .tflite file; integer inputs and outputs are quantized and dequantized by the model's own scale."""

    def __init__(self, job: Job) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.job = job
        resolver = OpResolverType.AUTO if job["delegate"] else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.interpreter = Interpreter(
            job["artifact"], num_threads=job["threads"], experimental_op_resolver_type=resolver
        )
        self.interpreter.allocate_tensors()
        check_signature(
            job,
            [(each["name"], shape_text(each["shape"])) for each in self.interpreter.get_input_details()],
            [(name, np.dtype(each["dtype"])) for name, each in self._named("output").items()],
        )
        self.invoke = self.interpreter.invoke
        self._read_details()

    def _read_details(self) -> None:
        self.input_details = wanted_inputs(self.job, self._named("input"))
        self.output_details = wanted_outputs(all_outputs(self.job), self._named("output"))
        self.input_shapes = [self._declared(each) for each in self.input_details]

    @staticmethod
    def _declared(details: dict[str, Any]) -> Shape:
        """The shape of an input, with its present batch; other sizes that were left open are None."""
        batch, *sizes = (int(size) for size in details["shape"])
        declared = details.get("shape_signature", details["shape"])[1:]
        return (batch, *(None if left < 0 else size for left, size in zip(declared, sizes, strict=True)))

    def fit(self, shapes: list[tuple[int, ...]]) -> None:
        """Take samples whose inputs have these shapes, where the model leaves sizes open."""
        present, stated = self._present(), with_state_shapes(self.job, self.input_shapes)
        wanted = [
            (now[0], *shape) if varies else tuple(size or was for size, was in zip(known, now, strict=True))
            for now, known, shape, varies in zip(present, stated, shapes, varying_inputs(self.job), strict=True)
        ]
        if any(None in shape for shape in self.input_shapes) and wanted != present:
            self._resize(wanted)

    def _present(self) -> list[tuple[int, ...]]:
        return [tuple(int(size) for size in each["shape"]) for each in self.input_details]

    def resize(self, batch: int) -> None:
        """Take ``batch`` samples at once from now on. Raises whatever the runtime does where it cannot."""
        shapes = zip(self._present(), varying_inputs(self.job), strict=True)
        self._resize([(batch, *shape[1:]) if varies else shape for shape, varies in shapes])

    def _resize(self, shapes: list[tuple[int, ...]]) -> None:
        for each, shape in zip(self.input_details, shapes, strict=True):
            self.interpreter.resize_tensor_input(each["index"], shape)
        self.interpreter.allocate_tensors()
        self._read_details()

    def native(self, given: list[Array], first: int = 0) -> list[Any]:
        """Samples as the runtime takes them, by input; ``first`` is the index of the first one. Raises RunnerError."""
        takes = [(each["dtype"], *each["quantization"]) for each in self.input_details]
        return to_inputs(self.job, shaped(given, self.input_shapes), takes, first)

    def feed(self, native: list[Any]) -> None:
        """Set the inputs."""
        for values, each in zip(native, self.input_details, strict=True):
            self.interpreter.set_tensor(each["index"], values)

    def reset(self) -> None:
        """Set the variable tensors to their initial values."""
        self.interpreter.reset_all_variables()

    def keeps_state(self) -> bool:
        """Whether it has resource variables: they outlive every inference, and nothing but another load resets them."""
        return any(node["op_name"] == "VAR_HANDLE" for node in self.interpreter._get_ops_details())

    def _named(self, end: str) -> dict[str, Any]:
        """The details of inputs or outputs, as the only signature calls them, else as their tensors."""
        named = {each["name"]: each for each in getattr(self.interpreter, f"get_{end}_details")()}
        signatures = self.interpreter.get_signature_list()
        if len(signatures) != 1 or not self.job["input_names" if end == "input" else "outputs"]:
            return named
        runner = self.interpreter.get_signature_runner(next(iter(signatures)))
        return dict(getattr(runner, f"get_{end}_details")())

    def output(self) -> list[Array]:
        """The wanted outputs, in the runtime's own types."""
        return [self.interpreter.get_tensor(each["index"]) for each in self.output_details]

    def floats(self, raw: Array, place: int = 0) -> Array:
        """An output dequantized, float32."""
        return dequantize(raw, *self.output_details[place]["quantization"])

    def state(self, raw: Array, place: int) -> Array:
        """An output as the state that it becomes: whole numbers as they are, others dequantized."""
        return self.floats(raw, place) if self.output_details[place]["quantization"][0] else raw

    def needs(self) -> dict[str, float]:
        """Nothing: no microcontroller runs it."""
        return {}

    def delegation(self, native: Any) -> Facts | None:
        """Nodes that the DELEGATE kernels took, of all nodes of the primary graph."""
        kernels, taken, nodes = delegated_nodes(self.interpreter)
        left = sorted({node["op_name"] for node in nodes if node["index"] not in taken})
        proof = f"{kernels} DELEGATE kernels in the executed graph" + (f"; left: {', '.join(left)}" if left else "")
        return {"delegate": "XNNPACK", "taken": len(taken), "total": len(nodes), "proof": proof}


def delegated_nodes(interpreter: Any) -> tuple[int, set[int], list[dict[str, Any]]]:
    """Of an allocated Interpreter: how many DELEGATE kernels run, which nodes lie between their inputs and outputs (by
    index), and all nodes of the primary graph."""
    details = interpreter._get_ops_details()
    kernels = [node for node in details if node["op_name"] == "DELEGATE"]
    nodes = [node for node in details if node["op_name"] != "DELEGATE"]
    maker = {int(tensor): node["index"] for node in nodes for tensor in node["outputs"]}
    inputs = {node["index"]: [int(tensor) for tensor in node["inputs"]] for node in nodes}
    taken: set[int] = set()
    for kernel in kernels:
        given = {int(tensor) for tensor in kernel["inputs"]}
        pending = [int(tensor) for tensor in kernel["outputs"]]
        while pending:
            tensor = pending.pop()
            node = maker.get(tensor)
            if tensor in given or node is None or node in taken:
                continue
            taken.add(node)
            pending.extend(inputs[node])
    return len(kernels), taken, nodes
