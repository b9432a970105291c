"""An .onnx file in ONNX Runtime."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from . import plugin_provider
from .casting import as_floats, to_inputs
from .jobs import Array, Facts, Job, RunnerError, Shape, shape_text
from .signatures import (
    all_outputs,
    check_signature,
    shaped,
    varying_inputs,
    wanted_inputs,
    wanted_outputs,
    with_state_shapes,
)
from .texts import as_numbers

#: ONNX Runtime's names of the tensor types that hold numbers or texts.
ONNX_TYPES: dict[str, Any] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    **{f"tensor({name})": np.dtype(name) for name in ("float16", "bool")},
    "tensor(string)": np.dtype(np.str_),
    **{f"tensor({sign}int{bits})": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class OnnxModel:
    """An .onnx file on ONNX Runtime's execution providers, the first one preferred."""

    def __init__(self, job: Job) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job["threads"]
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if not job["delegate"]:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if "trace" in job:
            options.enable_profiling = True
            options.profile_file_prefix = job["trace"]
        self.job = job
        self.ep: Facts | None = job.get("ep")
        self.provider = self.ep["name"] if self.ep else job["providers"][0]
        self.session = self._session(onnxruntime, options)
        check_signature(
            job,
            [(each.name, shape_text(each.shape)) for each in self.session.get_inputs()],
            [(each.name, ONNX_TYPES.get(each.type, each.type)) for each in self.session.get_outputs()],
        )
        self.inputs = wanted_inputs(job, {each.name: each for each in self.session.get_inputs()})
        found = {each.name: each.name for each in self.session.get_outputs()}
        self.output_names: list[str] = wanted_outputs(all_outputs(job), found)
        for each in self.inputs:
            if each.type not in ONNX_TYPES:
                raise RunnerError(
                    "input_mismatch", f"the model's input {each.name!r} is {each.type}, no numbers or texts"
                )
        declared: list[Shape] = [
            tuple(size if isinstance(size, int) and size > 0 else None for size in each.shape) for each in self.inputs
        ]
        self.input_shapes = with_state_shapes(job, declared)
        self.feeds: dict[str, Any] = {}
        self.results: list[Any] = []

    def keeps_state(self) -> bool:
        """No: what a session keeps shows where samples are run again."""
        return False

    def reset(self) -> None:
        """Nothing: there are no variables."""

    def fit(self, shapes: list[tuple[int, ...]]) -> None:
        """Nothing: open sizes follow each input."""

    def _session(self, onnxruntime: Any, options: Any) -> Any:
        """A session on the providers of the job. ONNX Runtime goes on without one that is missing or does not start."""
        if self.ep:
            return plugin_provider.session(self.job, onnxruntime, options)
        wanted, there = self.job["providers"], onnxruntime.get_available_providers()
        missing = [name for name in wanted if name not in there]
        if missing:
            raise RunnerError(
                "backend_unused",
                f"onnxruntime {onnxruntime.__version__} has no {', '.join(missing)} there; it has {', '.join(there)}",
            )
        session = onnxruntime.InferenceSession(self.job["artifact"], options, providers=wanted)
        failed = [name for name in wanted if name not in session.get_providers()]
        if failed:
            raise RunnerError("backend_unused", f"onnxruntime could not start {', '.join(failed)} there")
        return session

    def resize(self, batch: int) -> None:
        """Take ``batch`` samples at once from now on. Raises whatever the runtime does where it cannot."""
        shapes = zip(self.input_shapes, varying_inputs(self.job), strict=True)
        if any(varies and shape[0] not in (None, batch) for shape, varies in shapes):
            raise ValueError("the batch is fixed")

    def native(self, given: list[Array], first: int = 0) -> list[Any]:
        """Samples as the runtime takes them, by input; ``first`` is the index of the first one. Raises RunnerError."""
        takes = [(ONNX_TYPES[each.type], 0.0, 0) for each in self.inputs]
        return to_inputs(self.job, shaped(given, self.input_shapes), takes, first)

    def feed(self, native: list[Any]) -> None:
        """Set the inputs."""
        self.feeds = {each.name: values for each, values in zip(self.inputs, native, strict=True)}

    def invoke(self) -> None:
        """One inference."""
        self.results = self.session.run(self.output_names, self.feeds)

    def output(self) -> list[Array]:
        """The wanted outputs, in the runtime's own types; of texts their fingerprints."""
        return [as_numbers(np.asarray(each)) for each in self.results]

    def floats(self, raw: Array, place: int = 0) -> Array:
        """An output as float32."""
        return as_floats(raw)

    def state(self, raw: Array, place: int) -> Array:
        """An output as the state that it becomes."""
        return raw

    def needs(self) -> dict[str, float]:
        """Nothing: no microcontroller runs it."""
        return {}

    def delegation(self, native: Any) -> Facts | None:
        """Nodes by execution provider: of a provider's package as it says itself, else from the profile of one inference."""
        if self.ep:
            return plugin_provider.delegation(self.job, self.session)
        with tempfile.TemporaryDirectory(dir=self.job["out"]) as folder:
            profiled = OnnxModel({**self.job, "trace": str(Path(folder) / "trace")})
            profiled.feed(native)
            profiled.invoke()
            events = json.loads(Path(profiled.session.end_profiling()).read_text())
        providers = [event["args"]["provider"] for event in events if event.get("args", {}).get("provider")]
        taken = providers.count(self.provider)
        proof = f"profile of one inference: {taken} of {len(providers)} nodes on {self.provider}"
        return {"delegate": self.provider, "taken": taken, "total": len(providers), "proof": proof}
