"""An OpenVINO model, a zip of its graph and its weights, on OpenVINO's CPU plugin."""

from __future__ import annotations

import sys
import zipfile
from typing import Any

import numpy as np

from .declared import Declared
from .jobs import Array, Facts, Job, Shape, shape_text
from .signatures import check_signature, varying_inputs

#: The members of the zip, as OpenVINO's own tools call the two files of a model.
GRAPH, WEIGHTS = "model.xml", "model.bin"
#: What the plugin adds to a graph that computes nothing.
ENDS = ("Input", "Output", "Const")

# OpenVINO and NNCF report their use to Intel and Google whenever they are imported, unless this package is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


class OpenVinoModel(Declared):
    """An OpenVINO model; a batch that it leaves open is compiled for one sample, as it is deployed.

    Float graphs are computed in float32. Left to itself, the plugin computes them in bfloat16 or float16 where the processor
    has such instructions: other outputs on every other machine.
    """

    def __init__(self, job: Job) -> None:
        import openvino

        self.openvino = openvino
        self.core = openvino.Core()
        self.settings = {
            "INFERENCE_NUM_THREADS": job["threads"],
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,  # which cores is the job's to say
        }
        with zipfile.ZipFile(job["artifact"]) as archive:
            self.model = self.core.read_model(archive.read(GRAPH), archive.read(WEIGHTS))
        shapes = [_shape(each) for each in self.model.inputs]
        check_signature(
            job,
            [(str(place), shape_text(shape)) for place, shape in enumerate(shapes)],
            [(str(place), _dtype(each)) for place, each in enumerate(self.model.outputs)],
        )
        super().__init__(job, shapes, [_dtype(each) for each in self.model.inputs], len(self.model.outputs))
        #: The inputs that are set, and what shares their memory: neither may go before the inference.
        self.fed: list[Any] = []
        self._compile(1)

    def _compile(self, batch: int) -> None:
        """Compile the graph for ``batch`` samples; other sizes that are open stay so."""
        shapes = zip(self.input_places, self.input_shapes, varying_inputs(self.job), strict=True)
        for place, shape, varies in shapes:
            first = [batch] if varies and shape[:1] == (None,) else list(shape[:1])
            wanted = [-1 if size is None else size for size in (*first, *shape[1:])]
            self.model.reshape({self.model.input(place): self.openvino.PartialShape(wanted)})
        self.compiled = self.core.compile_model(self.model, "CPU", self.settings)
        self.request = self.compiled.create_infer_request()
        self.invoke = self.request.infer

    def resize(self, batch: int) -> None:
        """Take ``batch`` samples at once from now on. Raises whatever OpenVINO does where it cannot."""
        super().resize(batch)
        self._compile(batch)

    def feed(self, native: list[Array]) -> None:
        """Set the inputs; what may be written to is shared with OpenVINO, which refuses to share other memory."""
        own = [np.require(values, requirements="W") for values in native]
        self.fed = [(values, self.openvino.Tensor(values, shared_memory=True)) for values in own]
        for place, (_, tensor) in zip(self.input_places, self.fed, strict=True):
            self.request.set_input_tensor(place, tensor)

    def output(self) -> list[Array]:
        """The wanted outputs, in the model's own types."""
        return [np.array(self.request.get_output_tensor(place).data) for place in self.output_places]

    def delegation(self, native: Any) -> Facts | None:
        """The kernels of the executed graph, all of which the CPU plugin runs, and how many compute in 8 bits."""
        described = [each.get_rt_info() for each in self.compiled.get_runtime_model().get_ops()]
        kernels = [each for each in described if each["layerType"].value not in ENDS]
        whole = sum(each["runtimePrecision"].value in ("i8", "u8") for each in kernels)
        proof = f"executed graph: {len(kernels)} kernels, {whole} of them in 8 bits"
        return {"delegate": "OpenVINO's CPU plugin", "taken": len(kernels), "total": len(kernels), "proof": proof}


def _shape(end: Any) -> Shape:
    return tuple(size.get_length() if size.is_static else None for size in end.partial_shape)


def _dtype(end: Any) -> Any:
    return np.dtype(end.element_type.to_dtype())
