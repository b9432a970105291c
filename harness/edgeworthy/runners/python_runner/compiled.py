"""A .tflite file in LiteRT's CompiledModel, on the processor, a GPU or an NPU."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from .compiled_log import adapter, has_float16, is_software, reason, share
from .jobs import Array, Facts, Job, RunnerError, shape_text
from .litert import LiteRtModel, delegated_nodes
from .signatures import check_signature

#: The types of tensors that its Python API reads and writes, as it calls them.
TYPES = frozenset(("float32", "float16", "int32", "int8", "uint8", "bool"))


class CompiledLiteRtModel(LiteRtModel):
    """A .tflite file, compiled. CompiledModel says nothing of scales and open sizes: an Interpreter does, which runs nothing.

    Its first signature is run: an artifact has one.
    """

    def __init__(self, job: Job) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.job = job
        self.wanted = job["compiled_model"]
        self.on_cpu = self.wanted["accelerator"] == "cpu"
        self.model, self.log = self._compiled()
        self._check_accelerator()
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.interpreter = Interpreter(job["artifact"], experimental_op_resolver_type=plain)
        ends = (*self.interpreter.get_input_details(), *self.interpreter.get_output_details())
        self.described = {each["index"]: each for each in ends}
        self.signature = self.model.get_signature_by_index(0)
        check_signature(job, [(name, shape_text(each["shape"])) for name, each in self._named("input").items()], [])
        self._read_details()
        self._check_types()
        self._take_buffers()

    def _compiled(self) -> tuple[Any, str]:
        """The compiled model, and what was logged meanwhile. Raises RunnerError with the reason that the log has."""
        from ai_edge_litert import compiled_model as api

        if not hasattr(api, "CpuKernelMode"):
            raise RunnerError("runtime_missing", "its CompiledModel takes no options yet: 2.3 of ai-edge-litert does")
        log = Path(self.job["log"])
        begins = log.stat().st_size

        def logged() -> str:
            with log.open("rb") as file:
                file.seek(begins)
                return file.read().decode(errors="replace")

        try:
            return api.CompiledModel.from_file(self.job["artifact"], options=self._options(api)), logged()
        except RuntimeError as error:
            words = reason(str(error), logged())
            raise RunnerError(self._kind(logged()), f"LiteRT's {self._name()} does not run it: {words}") from error

    def _options(self, api: Any) -> Any:
        accelerators = api.HardwareAccelerator
        wanted = accelerators[self.wanted["accelerator"].upper()]
        kernels = None if self.job["delegate"] else api.CpuKernelMode.BUILTIN
        return api.Options(
            hardware_accelerators=wanted | accelerators.CPU if self.wanted["fallback"] else wanted,
            cpu_options=api.CpuOptions(num_threads=self.job["threads"], kernel_mode=kernels),
            gpu_options=api.GpuOptions(enforce_f32=self.wanted["precision"] == "float32"),
        )

    def _name(self) -> str:
        return f"{self.wanted['accelerator'].upper()} accelerator"

    def _kind(self, log: str) -> str:
        """What is wrong: the file, the accelerator, which is not there, or the file for it, whole or some of its nodes."""
        if self.on_cpu:
            return "artifact_unusable"
        if not adapter(log):
            return "backend_unused"
        return "nodes_left" if share(log) else "accelerator_refuses"

    def _check_accelerator(self) -> None:
        """Raise RunnerError unless what was asked for computes the graph."""
        if self.on_cpu:
            return
        if not self.wanted["fallback"] and not self.model.is_fully_accelerated():
            raise RunnerError("backend_unused", f"LiteRT's {self._name()} did not take the whole graph")
        if self.wanted["accelerator"] != "gpu":
            return
        found, emulated = adapter(self.log), self.wanted["emulated"]
        if is_software(found) and not emulated:
            raise RunnerError("emulates", f"there is no GPU: {found} computes on the processor")
        if emulated and not is_software(found):
            other = found or "an adapter without a name"
            raise RunnerError("backend_unused", f"{other} computed it, and no software driver of Vulkan")
        if emulated and self.wanted["precision"] == "float16" and not has_float16(found):
            raise RunnerError("backend_unused", f"{found.partition(',')[0]} has no float16, which 'precision' asks for")

    def _named(self, end: str) -> dict[str, Any]:
        """The details of inputs or outputs, as the signature calls them, or as their tensors where there is none."""
        key = self.signature["key"]
        found = getattr(self.model, f"get_{end}_tensor_details")(key)
        return {
            name: {**self.described[found[name]["index"]], **found[name], "signature_name": name}
            for name in self.signature[f"{end}s"]
        }

    def _check_types(self) -> None:
        """Raise RunnerError where a tensor that is given or wanted has a type that the API does not take."""
        for each in (*self.input_details, *self.output_details):
            if each["dtype"] not in TYPES:
                raise RunnerError(
                    "input_mismatch",
                    f"{each['signature_name']!r} is {each['dtype']}, which CompiledModel's Python API does not take; it takes"
                    f" {', '.join(sorted(TYPES))}",
                )

    def _take_buffers(self) -> None:
        inputs, outputs = self.model.create_input_buffers(0), self.model.create_output_buffers(0)
        self.given = dict(zip(self.signature["inputs"], inputs, strict=True))
        self.results = dict(zip(self.signature["outputs"], outputs, strict=True))
        run = self.model.run_by_index
        if self.on_cpu:
            self.invoke = lambda: run(0, inputs, outputs)
        else:
            self.invoke = self._run_and_wait

    def _run_and_wait(self) -> None:
        """One inference to its end: a GPU is only given its work by ``run_by_index``, and waited for where outputs are read."""
        self.model.run_by_index(0, list(self.given.values()), list(self.results.values()))
        self.output()

    def _resize(self, shapes: list[tuple[int, ...]]) -> None:
        for each, shape in zip(self.input_details, shapes, strict=True):
            place = self.signature["inputs"].index(each["signature_name"])
            self.model.resize_input_tensor(place, shape, strict=False)
        self._read_details()
        self._take_buffers()

    def feed(self, native: list[Any]) -> None:
        """Set the inputs."""
        for values, each in zip(native, self.input_details, strict=True):
            self.given[each["signature_name"]].write(values)

    def reset(self) -> None:
        """Nothing: variables that are not resources are refused by CompiledModel."""

    def output(self) -> list[Array]:
        """The wanted outputs, in the runtime's own types."""
        now = self.model.get_output_tensor_details(self.signature["key"])
        return [self._read(each, now[each["signature_name"]]["shape"]) for each in self.output_details]

    def _read(self, details: dict[str, Any], shape: list[int]) -> Array:
        read: Array = self.results[details["signature_name"]].read(math.prod(shape), np.dtype(details["dtype"]))
        return read.reshape(shape)

    def delegation(self, native: Any) -> Facts | None:
        """Nodes that the accelerator took; None where CompiledModel says only that it took some."""
        counted = share(self.log)
        if counted:
            taken, left, proof = counted
            return self._evidence(taken, taken + left, proof)
        _, _, nodes = delegated_nodes(self.interpreter)
        if self.on_cpu and not self.job["delegate"]:
            return self._evidence(0, len(nodes), "switched off by CpuKernelMode.BUILTIN")
        if not self.model.is_fully_accelerated():
            return None
        proof = "; ".join(filter(None, ("is_fully_accelerated() of CompiledModel", adapter(self.log))))
        return self._evidence(len(nodes), len(nodes), proof)

    def _evidence(self, taken: int, total: int, proof: str) -> Facts:
        name = "XNNPACK" if self.on_cpu else adapter(self.log).partition(",")[0] or self._name()
        return {"delegate": name, "taken": taken, "total": total, "proof": proof}
