"""A .pte file in ExecuTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .declared import Declared
from .jobs import Array, Facts, Job, RunnerError, shape_text
from .pte_file import delegated_nodes
from .signatures import check_signature

#: The method that recipes export.
METHOD = "forward"


class ExecuTorchModel(Declared):
    """A .pte file, whose shapes are fixed; what it gives to XNNPACK was decided when it was made."""

    def __init__(self, job: Job) -> None:
        import torch
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime

        self.torch = torch
        portable_lib._unsafe_reset_threadpool(job["threads"])  # unsafe only while an inference runs
        if (count := portable_lib._threadpool_get_thread_count()) != job["threads"]:
            raise RunnerError(
                "backend_unused", f"ExecuTorch computes with {count} threads there, not with {job['threads']}"
            )
        self.program = Runtime.get().load_program(job["artifact"])
        self.method: Any = self.program.load_method(METHOD)
        meta = self.method.metadata
        inputs = [meta.input_tensor_meta(place) for place in range(meta.num_inputs())]
        outputs = [meta.output_tensor_meta(place) for place in range(meta.num_outputs())]
        check_signature(
            job,
            [(str(place), shape_text(each.sizes())) for place, each in enumerate(inputs)],
            [(str(place), self._dtype(each)) for place, each in enumerate(outputs)],
        )
        super().__init__(
            job, [tuple(each.sizes()) for each in inputs], [self._dtype(each) for each in inputs], len(outputs)
        )
        self.given: list[Any] = []
        self.results: list[Any] = []

    def _dtype(self, described: Any) -> Any:
        """The numpy type of a tensor; of one that numpy has not, such as bfloat16, its name."""
        kind = portable_types(self.torch)[described.dtype()]
        try:
            return self.torch.empty(0, dtype=kind).numpy().dtype
        except TypeError:
            return str(kind)

    def feed(self, native: list[Array]) -> None:
        """Set the inputs, in the method's order."""
        tensors = [self.torch.from_numpy(np.require(values, requirements="W")) for values in native]
        self.given = [tensors[self.input_places.index(place)] for place in range(len(tensors))]

    def invoke(self) -> None:
        """One inference."""
        self.results = self.method.execute(self.given)

    def output(self) -> list[Array]:
        """The wanted outputs, in the model's own types."""
        return [self.results[place].numpy() for place in self.output_places]

    def delegation(self, native: Any) -> Facts | None:
        """Nodes of XNNPACK's graphs in the file, of these and the calls of ExecuTorch's own kernels."""
        taken, left = delegated_nodes(Path(self.job["artifact"]).read_bytes())
        proof = f"{taken} nodes in the file's XNNPACK graphs"
        proof += f"; left: {', '.join(sorted(set(left)))}" if left else ""
        return {"delegate": "XNNPACK", "taken": taken, "total": taken + len(left), "proof": proof}


def portable_types(torch: Any) -> dict[int, Any]:
    """ExecuTorch's number of a type of tensors -> torch's."""
    numbered = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
    return {
        **{number: getattr(torch, name) for number, name in enumerate(numbered)},
        11: torch.bool,
        15: torch.bfloat16,
    }
