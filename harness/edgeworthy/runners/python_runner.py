"""Run one artifact with LiteRT, ONNX Runtime or torch: the program that executes on the host, and on a board.

It is one file that needs only Python, numpy and the artifact's runtime. Two ways to start it:

``python python_runner.py run JOB.json``
    one job in this process;
``python python_runner.py serve RUNTIME``
    import the runtime once, then for every path of a job that comes on standard input fork a child that runs it.
    Answers ``{"pid": N}`` and, when that child has ended, ``{"status": N}`` (as ``os.waitstatus_to_exitcode`` says).

A job is JSON: ``runtime``, ``artifact``, ``layout``, ``outputs`` (the names of several, in the order in which they are
wanted; [] of a single one), ``state`` (input -> the output that it is given back at the step after), ``inputs`` (a file of
samples, the ``steps`` that follow and, where a model takes several, what each is called, and where its values stand in a row;
a sample is a sequence where one of them ``follows`` an output; with ``last`` its last step alone is wanted), ``input_names``
(what the artifact calls these; {} of a single one),
``threads``, ``cores``, ``delegate``, ``providers``
(ONNX Runtime's), ``mode`` (``outputs``, ``timing`` or ``interleaved``), ``out`` (a folder), ``log``, ``random_seed``
(None unless the model may be random), optionally ``batch`` (1: no larger one is tried) and, for timing, ``loads``,
``samples_per_load``, ``min_load_ms``, ``warmup``. For ``interleaved`` there are two ``sides``, each with its own
``artifact``, ``layout`` and ``injected_delay_ns``, and ``rounds`` in place of ``loads``. The result is ``out/arrays.npz`` and
then ``out/result.json``; what went wrong is ``{"error": {"kind": ..., "message": ...}}`` there.

        if self.steps:
            values = values.astype(np.float32, order="C")  # in order at once: moving bytes is cheaper than floats
        for operation, operand in self.steps:
            operation(values, operand, out=values)
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

Job = dict[str, Any]
Facts = dict[str, Any]
Array = NDArray[Any]
#: As a model declares it, with the batch; None where a size is open.
Shape = tuple[int | None, ...]

BATCH = 32
#: Images, (samples, height, width, channels), have so many axes; other arrays are taken as they are.
IMAGE_RANK = 4
#: So many samples are also run one at a time, to see whether a larger batch changes the outputs.
BATCH_CHECK = 4
#: Largest unused block of memory that shifts the layout of the next load.
BALLAST_BYTES = 1 << 20
#: So much of the mapped inputs may stay in memory.
RESIDENT_BYTES = 256 << 20
RANDOM = "it is random: the same sample gave different outputs after each load"
#: Timed inferences cycle through this many real samples.
CYCLE = 8


class RunnerError(Exception):
    """What the job cannot do; ``kind`` becomes the harness's error type."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


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
            [(each["name"], np.dtype(each["dtype"])) for each in self.interpreter.get_output_details()],
        )
        self._read_details()

    def _read_details(self) -> None:
        self.input_details = wanted_inputs(self.job, self._named("input"))
        self.output_details = wanted_outputs(all_outputs(self.job), self._named("output"))
        self.input_shapes = [self._declared(each) for each in self.input_details]
        self.invoke = self.interpreter.invoke

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
        """Set the inputs, and the variables to their initial values: samples are independent of one another."""
        self.interpreter.reset_all_variables()
        for values, each in zip(native, self.input_details, strict=True):
            self.interpreter.set_tensor(each["index"], values)

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


class OnnxModel:
    """An .onnx file on ONNX Runtime's execution providers, the first one preferred."""

    def __init__(self, job: Job, profile_prefix: str | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job["threads"]
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if not job["delegate"]:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if profile_prefix:
            options.enable_profiling = True
            options.profile_file_prefix = profile_prefix
        self.job = job
        self.provider = job["providers"][0]
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
                raise RunnerError("input_mismatch", f"the model's input {each.name!r} is {each.type}, no numbers")
        declared: list[Shape] = [
            tuple(size if isinstance(size, int) and size > 0 else None for size in each.shape) for each in self.inputs
        ]
        self.input_shapes = with_state_shapes(job, declared)
        self.feeds: dict[str, Any] = {}
        self.results: list[Any] = []

    def keeps_state(self) -> bool:
        """No: what a session keeps shows where samples are run again."""
        return False

    def fit(self, shapes: list[tuple[int, ...]]) -> None:
        """Nothing: open sizes follow each input."""

    def _session(self, onnxruntime: Any, options: Any) -> Any:
        """A session on the providers of the job. ONNX Runtime goes on without one that is missing or does not start."""
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
        """The wanted outputs, in the runtime's own types."""
        return [np.asarray(each) for each in self.results]

    def floats(self, raw: Array, place: int = 0) -> Array:
        """An output as float32."""
        return raw.astype(np.float32)

    def state(self, raw: Array, place: int) -> Array:
        """An output as the state that it becomes."""
        return raw

    def delegation(self, native: Any) -> Facts | None:
        """Nodes by execution provider, from the profile of one inference in a session of its own."""
        with tempfile.TemporaryDirectory(dir=self.job["out"]) as folder:
            profiled = OnnxModel(self.job, profile_prefix=str(Path(folder) / "profile"))
            profiled.feed(native)
            profiled.invoke()
            events = json.loads(Path(profiled.session.end_profiling()).read_text())
        providers = [event["args"]["provider"] for event in events if event.get("args", {}).get("provider")]
        taken = providers.count(self.provider)
        proof = f"profile of one inference: {taken} of {len(providers)} nodes on {self.provider}"
        return {"delegate": self.provider, "taken": taken, "total": len(providers), "proof": proof}


class TorchModel:
    """A TorchScript file."""

    def __init__(self, job: Job) -> None:
        import torch

        self.job = job
        torch.set_num_threads(job["threads"])
        torch.backends.mkldnn.enabled = job["delegate"]
        self.torch = torch
        self.whole_numbers = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
        self.module = torch.jit.load(job["artifact"], map_location="cpu").eval()
        arguments = self.module._c._get_method("forward").schema.arguments[1:]
        required = [each for each in arguments if not each.has_default_value()]
        check_signature(job, [(each.name, str(each.type)) for each in required or arguments], [])
        #: TorchScript declares none; a number that all samples have is a tensor without axes, if it is no state.
        self.input_shapes: list[Shape] = [
            tuple(each["shape"]) if each["follows"] else () for each in job["inputs"]["inputs"]
        ] or [()]
        #: Its inputs have no names, but places: those of the job's.
        self.places: list[int] = wanted_inputs(job, {str(place): place for place in range(len(self.input_shapes))})
        self.given: list[Any] = []
        self.result: Any = None

    def keeps_state(self) -> bool:
        """No: what a module keeps shows where samples are run again."""
        return False

    def fit(self, shapes: list[tuple[int, ...]]) -> None:
        """Nothing: TorchScript declares no shape."""

    def resize(self, batch: int) -> None:
        """Nothing: TorchScript declares no batch."""

    def native(self, given: list[Array], first: int = 0) -> list[Any]:
        """Samples as the runtime takes them, by input: float32, and of several those that are whole numbers, no images, int64."""
        batch = 0 if self.job["state"] else 1  # in place of the batch a sequence has its steps
        whole = [
            not each["dtype"].startswith("float") and len(each["shape"]) + batch != IMAGE_RANK
            for each in self.job["inputs"]["inputs"]
        ]
        return [
            self.torch.from_numpy(np.array(values, np.int64 if number else np.float32, order="C"))
            for values, number in zip(shaped(given, self.input_shapes), whole or [False], strict=True)
        ]

    def feed(self, native: list[Any]) -> None:
        """Set the inputs, in the module's order."""
        self.given = [native[self.places.index(place)] for place in range(len(native))]

    def invoke(self) -> None:
        """One inference."""
        with self.torch.inference_mode():
            self.result = self.module(*self.given)

    def output(self) -> list[Array]:
        """The wanted outputs, float32."""
        several = isinstance(self.result, (tuple, list))
        found = {str(place): each for place, each in enumerate(self.result if several else [self.result])}
        return [self._numbers(each) for each in wanted_outputs(all_outputs(self.job), found)]

    def _numbers(self, result: Any) -> Array:
        if not isinstance(result, self.torch.Tensor) or result.is_complex():
            kind = result.dtype if isinstance(result, self.torch.Tensor) else type(result).__name__
            raise RunnerError("input_mismatch", f"the model's output is {kind}, not real numbers")
        return np.asarray(result.numpy() if result.dtype in self.whole_numbers else result.float().numpy())

    def floats(self, raw: Array, place: int = 0) -> Array:
        """An output as float32."""
        return raw.astype(np.float32, copy=False)

    def state(self, raw: Array, place: int) -> Array:
        """An output as the state that it becomes."""
        return raw

    def delegation(self, native: Any) -> Facts | None:
        """None: TorchScript has no delegates."""
        return None


MODELS: dict[str, Any] = {"litert": LiteRtModel, "onnxruntime": OnnxModel, "torch": TorchModel}
IMPORTS = {"litert": "ai_edge_litert.interpreter", "onnxruntime": "onnxruntime", "torch": "torch"}


#: ONNX Runtime's names of the tensor types that hold numbers.
ONNX_TYPES: dict[str, Any] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    **{f"tensor({name})": np.dtype(name) for name in ("float16", "bool")},
    **{f"tensor({sign}int{bits})": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def check_signature(job: Job, inputs: list[tuple[str, str]], outputs: list[tuple[str, Any]]) -> None:
    """Raise RunnerError unless there are the job's inputs, and a first output of numbers: (name, shape), (name, dtype)."""
    if not inputs:
        raise RunnerError("input_mismatch", "the model takes no input")
    wanted = len(varying_inputs(job))
    if len(inputs) != wanted:
        names = ", ".join(f"{name} ({shape})" for name, shape in inputs)
        given = "one" if wanted == 1 else str(wanted)
        raise RunnerError("input_mismatch", f"the model takes {len(inputs)} inputs, not {given}: {names}")
    for name, kind in outputs[:1]:
        if not isinstance(kind, np.dtype) or kind.kind not in "biuf":
            raise RunnerError("input_mismatch", f"the model's output {name!r} is {kind}, not real numbers")


def wanted_inputs(job: Job, found: dict[str, Any]) -> list[Any]:
    """A model's inputs by name in the order of the job's; the only one where that names none. Raises RunnerError."""
    names = [job["input_names"].get(each["name"]) for each in job["inputs"]["inputs"]]
    missing = [str(name) for name in names if name not in found]
    if missing:
        raise RunnerError("input_mismatch", f"the model has no input {missing[0]!r}; it has {', '.join(found)}")
    return [found[name] for name in names or list(found)[:1]]


def all_outputs(job: Job) -> list[str]:
    """The outputs that are wanted, and then those that are only a state."""
    return list(dict.fromkeys([*job["outputs"], *job["state"].values()]))


def varying_inputs(job: Job) -> list[bool]:
    """Of each input whether it is another for each sample, and not a number that all of them have."""
    return [each["constant"] is None for each in job["inputs"]["inputs"]] or [True]


def with_state_shapes(job: Job, declared: list[Shape]) -> list[Shape]:
    """The shapes of the inputs, where the model leaves sizes of a state open that which the job gives it."""
    given = [each["follows"] and tuple(each["shape"]) for each in job["inputs"]["inputs"]] or [None]
    return [stated if stated and None in shape else shape for shape, stated in zip(declared, given, strict=True)]


def shaped(given: list[Any], shapes: Sequence[Shape]) -> list[Array]:
    """What the inputs are given, a number that all samples have in the shape that is declared for it; open sizes are 1."""
    return [
        values if isinstance(values, np.ndarray) else np.full([size or 1 for size in shape], values)
        for values, shape in zip(given, shapes, strict=True)
    ]


def wanted_outputs(names: Sequence[str], found: dict[str, Any]) -> list[Any]:
    """Of a model's outputs by name, those of ``names`` in their order; the first where none is named. Raises RunnerError."""
    missing = [name for name in names if name not in found]
    if missing:
        raise RunnerError("input_mismatch", f"the model has no output {missing[0]!r}; it has {', '.join(found)}")
    return [found[name] for name in names or list(found)[:1]]


def shape_text(shape: Any) -> str:
    """A shape as messages show it."""
    return "x".join(str(size) if isinstance(size, (int, np.integer)) and size >= 0 else "?" for size in shape)


def to_inputs(job: Job, given: list[Array], takes: list[tuple[Any, float, int]], first: int) -> list[Array]:
    """Samples in the type, scale and zero point that each input ``takes``. Raises RunnerError, naming the one of several."""
    native = []
    names = [each["name"] for each in job["inputs"]["inputs"]] or [""]
    for name, values, (dtype, scale, zero_point) in zip(names, given, takes, strict=True):
        try:
            native.append(to_input(values, dtype, scale, zero_point, first))
        except RunnerError as error:
            raise RunnerError(error.kind, f"input {name!r}, {error}" if name else str(error)) from error
    return native


def to_input(values: Array, dtype: Any, scale: float = 0.0, zero_point: int = 0, first: int = 0) -> Array:
    """Samples in the type of a model's input: quantized where it has a scale, and cast without loss otherwise.

    ``first`` is the index of the first sample. Raises RunnerError, naming the sample, where a value is outside the range
    of the type, or is a fraction and the type takes integers as they are.
    """
    wanted = np.dtype(dtype)
    if wanted.kind in "iu" and scale:
        return _quantize(values, wanted, scale, zero_point, first)
    if wanted.kind == "f":
        with np.errstate(over="ignore"):
            cast = np.ascontiguousarray(values, dtype=wanted)
        if cast.dtype.itemsize < values.dtype.itemsize:
            limit = float(np.finfo(wanted).max)
            _refuse(np.isinf(cast) & np.isfinite(values), values, first, _out_of_range(wanted, -limit, limit))
        return cast
    if values.dtype != wanted:
        low, high = (0, 1) if wanted.kind == "b" else (np.iinfo(wanted).min, np.iinfo(wanted).max)
        _refuse(~((values >= low) & (values < high + 1)), values, first, _out_of_range(wanted, low, high))
        if values.dtype.kind == "f":
            problem = f"is no integer, and the model's input is {wanted} without a scale"
            _refuse(values != np.rint(values), values, first, problem)
    return np.ascontiguousarray(values, dtype=wanted)


def _quantize(values: Array, dtype: np.dtype[Any], scale: float, zero_point: int, first: int) -> Array:
    limits = np.iinfo(dtype)
    levels = values.astype(np.float32, copy=False) / np.float32(scale)
    np.rint(levels, out=levels)  # in place: a new array for every step takes half as long again
    levels += zero_point
    np.clip(levels, limits.min, limits.max, out=levels)
    if levels.size and np.isnan(levels.min()):  # the minimum of anything with a NaN is NaN
        _refuse(np.isnan(values), values, first, f"is not a number, and the model's input is {dtype}")
    return levels.astype(dtype)


def _out_of_range(dtype: np.dtype[Any], low: float, high: float) -> str:
    return f"is outside the range of the model's input, {dtype} from {low:g} to {high:g}"


def _refuse(wrong: Any, values: Array, first: int, problem: str) -> None:
    """Raise RunnerError for the first value that is wrong."""
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0])
        raise RunnerError("input_mismatch", f"sample {first + place[0]}: the value {values[place]:g} {problem}")


def dequantize(values: Array, scale: float, zero_point: int) -> Array:
    """A tensor's values as float32; a scale of 0 is no quantization."""
    if values.dtype.kind not in "iu" or scale == 0:
        return values.astype(np.float32)
    return (values.astype(np.float32) - zero_point) * np.float32(scale)


def load(job: Job) -> Any:
    """The job's artifact in its runtime, checked against the inputs."""
    try:
        __import__(IMPORTS[job["runtime"]])
    except ImportError as error:
        raise RunnerError("runtime_missing", f"the runtime {job['runtime']} is not installed ({error})") from error
    try:
        _seed(job)
        return MODELS[job["runtime"]](job)
    except RunnerError:
        raise
    except Exception as error:
        raise RunnerError("artifact_unusable", f"{job['runtime']} cannot load it: {_first_line(error, job)}") from error


def _seed(job: Job) -> None:
    """Seed the runtime's generator, where the job has a ``random_seed`` and the runtime one generator for all models."""
    if job.get("random_seed") is None or job["runtime"] not in ("onnxruntime", "torch"):
        return
    runtime = __import__(job["runtime"])
    (runtime.set_seed if job["runtime"] == "onnxruntime" else runtime.manual_seed)(job["random_seed"])


class Inputs:
    """The samples of a job in its artifact's layout, a slice read when it is asked for.

    They have the type in which they are stored, or are float32 where they are scaled.
    """

    def __init__(self, job: Job) -> None:
        self.path = job["inputs"]["path"]
        self._map()
        self.named = job["inputs"]["inputs"]
        self.channels_first = job["layout"] == "nchw"
        self.sequences = any(each["follows"] for each in self.named)
        self.nchw = self.channels_first and self.stored.ndim == IMAGE_RANK and not self.named
        self.steps = [(getattr(np, name), self._operand(each)) for name, each in job["inputs"]["steps"]]
        #: Of each input, for one sample, or step, in the artifact's layout; () of one that has a constant.
        self.shapes = [np.shape(each)[1:] for each in (self.steps_of(0)[0] if self.sequences else self[:0])]

    def _operand(self, per_channel: list[float]) -> Array:
        """Shaped for the layout; repeated along the width, whose long rows numpy goes over three times as fast."""
        operand = np.array(per_channel, np.float32)
        if self.stored.ndim != IMAGE_RANK:
            return operand
        return operand[:, None, None] if self.nchw else np.tile(operand, (self.stored.shape[2], 1))

    def _map(self) -> None:
        self.stored = np.asarray(np.load(self.path, mmap_mode="r"))  # still mapped, without memmap's slow slices
        self.resident = 0

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: slice) -> list[Any]:
        """What each input is given of these samples, (n, ...); of one that has a constant the number."""
        values = self._read(rows)
        if not self.named:
            return [values]
        return [self._part(values.reshape(len(values), self.stored[0].size), each) for each in self.named]

    def steps_of(self, row: int) -> list[list[Any]]:
        """What each input is given at every step of a sequence, (1, ...); a state, or what has a constant, its number."""
        values = self._read(slice(row, row + 1)).reshape(1, -1)
        sequences = [self._values(values, each) for each in self.named]
        length = next(len(each[0]) for each in sequences if isinstance(each, np.ndarray))
        return [
            [self._as_laid_out(each[:, step]) if isinstance(each, np.ndarray) else each for each in sequences]
            for step in range(length)
        ]

    def _part(self, values: Array, named: dict[str, Any]) -> Any:
        return self._as_laid_out(self._values(values, named))

    def _as_laid_out(self, part: Any) -> Any:
        return part.transpose(0, 3, 1, 2) if self.channels_first and np.ndim(part) == IMAGE_RANK else part

    @staticmethod
    def _values(values: Array, named: dict[str, Any]) -> Any:
        """The values of an input in rows, or its constant."""
        if named["constant"] is not None:
            return named["constant"]
        shape = named["shape"]
        size = int(np.prod(shape, dtype=np.int64))
        return values[:, named["start"] : named["start"] + size].reshape(len(values), *shape)

    def _read(self, rows: slice) -> Array:
        values = self.stored[rows]
        self.resident += values.nbytes
        if self.resident > RESIDENT_BYTES:  # mapping anew gives the old pages back
            self._map()
        if self.nchw:
            values = values.transpose(0, 3, 1, 2)
        if self.steps:
            values = values.astype(np.float32, order="C")  # in order at once: moving bytes is cheaper than floats
        for operation, operand in self.steps:
            operation(values, operand, out=values)
        return values


def read_inputs(job: Job, model: Any) -> Inputs:
    """All samples; the shape must be the model's own."""
    inputs = Inputs(job)
    names = [f" as {each['name']}" for each in inputs.named] or [""]
    for wanted, shape, varies, name in zip(model.input_shapes, inputs.shapes, varying_inputs(job), names, strict=True):
        if varies and wanted:
            check_shape(job, wanted, shape, name)
    model.fit(inputs.shapes)
    return inputs


def check_shape(job: Job, wanted: Shape, shape: tuple[int, ...], name: str) -> None:
    """Raise RunnerError unless an input that is declared as ``wanted`` takes single samples of this shape."""
    if wanted[0] not in (None, 1):
        raise RunnerError(
            "input_mismatch", f"the model takes {wanted[0]} samples at once{name}; export it with a dynamic batch, or 1"
        )
    if len(wanted) != 1 + len(shape) or any(
        have not in (None, size) for have, size in zip(wanted[1:], shape, strict=True)
    ):
        shown, given = shape_text(wanted[1:]), shape_text(shape)
        raise RunnerError(
            "input_mismatch", f"the model takes {shown} ({job['layout']}){name}, the dataset gives {given}"
        )


def outputs(job: Job) -> tuple[dict[str, Array], Facts]:
    """Every sample's dequantized outputs: arrays ``values`` (samples, values), float32, several one after the other.

    Raises RunnerError where the outputs of the same samples differ, unless the job has a ``random_seed``.
    """
    model = load(job)
    inputs = read_inputs(job, model)
    start = time.perf_counter()
    if inputs.sequences:
        values, sizes = sequences(job, model, inputs)
        return {"values": values}, {"batch": 1, "seconds": time.perf_counter() - start, "sizes": sizes}
    if model.keeps_state():
        values, sizes = _each_loaded(job, inputs)
        return {"values": values}, {"batch": 1, "seconds": time.perf_counter() - start, "sizes": sizes}
    raw = None if job.get("batch") == 1 else _batched(model, inputs)
    batch = 1 if raw is None else BATCH
    if raw is None:
        model = load(job)
        model.fit(inputs.shapes)
        raw = np.concatenate([_run_once(model, inputs, index, 1) for index in range(len(inputs))])
    if job.get("random_seed") is None:
        check_repeatable(job, model, inputs, raw, batch)
    values = floats_of(model, as_stored(job, raw)).reshape(len(inputs), -1)
    facts = {"batch": batch, "seconds": time.perf_counter() - start, "sizes": sizes_of(model)}
    return {"values": values}, facts


def sequences(job: Job, model: Any, inputs: Inputs) -> tuple[Array, list[int]]:
    """Every sequence's outputs, (sequences, values): each output's of all steps, or of the last; and how many of each.

    Raises RunnerError where the first sequence has other outputs when it is run again, unless the job has a ``random_seed``.
    """

    def outputs_of(index: int) -> list[Array]:
        steps = [[each.ravel() for each in found] for _, found in each_step(model, inputs, index)]
        wanted = steps[-1:] if job["inputs"]["last"] else steps
        return [np.concatenate(parts) for parts in zip(*wanted, strict=True)]

    found = [outputs_of(index) for index in range(len(inputs))]
    values = np.stack([np.concatenate(parts) for parts in found])
    again = np.concatenate(outputs_of(0))[np.newaxis]
    if job.get("random_seed") is None and not same_outputs(values[:1], again):
        raise RunnerError(
            "not_repeatable",
            "a sequence has other outputs when it is run again: the model keeps more from step to step than the state that it is"
            " given, or draws random numbers",
        )
    return values, [len(part) for part in found[0]] if len(found[0]) > 1 else []


def each_step(model: Any, inputs: Inputs, index: int) -> Iterator[tuple[list[Any], list[Array]]]:
    """Run a sequence step by step: at each what the model is given, as the runtime takes it, and its wanted outputs, float32."""
    job, names = model.job, all_outputs(model.job)
    becomes = {
        place: names.index(job["state"][each["name"]]) for place, each in enumerate(inputs.named) if each["follows"]
    }
    states: dict[int, Array] = {}
    for given in inputs.steps_of(index):
        native = model.native([states.get(place, values) for place, values in enumerate(given)], index)
        model.feed(native)
        model.invoke()
        raw = model.output()
        found = [model.floats(each, place) for place, each in enumerate(raw[: len(job["outputs"])])]
        states = {
            place: _given_back(model.state(raw[output], output), native[place], inputs.named[place])
            for place, output in becomes.items()
        }
        yield native, [as_stored(job, each) for each in found]


def _given_back(output: Array, state: Any, named: dict[str, Any]) -> Array:
    """An output as the state that it becomes, whose axes a converter may have written otherwise. Raises RunnerError."""
    if output.size != np.prod(state.shape, dtype=np.int64):
        raise RunnerError(
            "input_mismatch",
            f"the output {named['follows']!r} is {shape_text(output.shape)}, and the state {named['name']!r}"
            f" {shape_text(state.shape)}",
        )
    return output.reshape(tuple(state.shape))


def as_stored(job: Job, values: Array) -> Array:
    """Images keep the layout of the dataset."""
    return values.transpose(0, 2, 3, 1) if values.ndim == IMAGE_RANK and job["layout"] == "nchw" else values


def floats_of(model: Any, raw: Array) -> Array:
    """What ``_run_once`` gave as float32; several outputs are that already."""
    floats: Array = raw if len(model.job["outputs"]) > 1 else model.floats(raw)
    return floats


def sizes_of(model: Any) -> list[int]:
    """How many values a sample has in each of several outputs; [] of a single one."""
    found = model.output()
    return [int(each.size // len(each)) for each in found] if len(found) > 1 else []


def _each_loaded(job: Job, inputs: Inputs) -> tuple[Array, list[int]]:
    """Outputs of every sample by a model that was loaded for it: each is the first step of a sequence of its own.

    Raises RunnerError where the first samples have other outputs when they are run again, unless the job has a ``random_seed``.
    """

    def first_step(index: int) -> tuple[Array, list[int]]:
        model = load(job)
        model.fit(inputs.shapes)
        return floats_of(model, as_stored(job, _run_once(model, inputs, index, 1))).reshape(1, -1), sizes_of(model)

    steps = [first_step(index) for index in range(len(inputs))]
    values = np.concatenate([value for value, _ in steps])
    again = np.concatenate([first_step(index)[0] for index in range(min(BATCH_CHECK, len(inputs)))])
    if job.get("random_seed") is None and not same_outputs(values[: len(again)], again):
        raise RunnerError("not_repeatable", RANDOM)
    return values, steps[0][1]


def _run_once(model: Any, inputs: Inputs, first: int, batch: int, step: int = 1) -> Array:
    """One inference: ``batch`` samples from ``first`` on, in reverse order with a ``step`` of -1.

    The raw output; several are dequantized, and stand one after the other, (batch, values).
    """
    given = [each[::step] if isinstance(each, np.ndarray) else each for each in inputs[first : first + batch]]
    model.feed(model.native(given, first))
    model.invoke()
    found: list[Array] = model.output()
    if len(found) == 1:
        return found[0]
    parts = (as_stored(model.job, model.floats(each, place)) for place, each in enumerate(found))
    return np.concatenate([part.reshape(batch, -1) for part in parts], axis=1)


def _batched(model: Any, inputs: Inputs) -> Array | None:
    """Raw outputs by batches, or None where the batch cannot be changed or changes the outputs.

    A dynamically quantized graph takes one range for a whole batch, so that a batch gives other outputs than
    the same samples get one at a time, as deployed.
    """
    if len(inputs) < BATCH:
        return None
    singly = np.concatenate([_run_once(model, inputs, index, 1) for index in range(BATCH_CHECK)])
    try:
        model.resize(BATCH)
        first = _run_once(model, inputs, 0, BATCH)
    except Exception:
        return None
    if first.shape[0] != BATCH or not same_outputs(floats_of(model, singly), floats_of(model, first[:BATCH_CHECK])):
        return None
    found = np.empty((len(inputs), *first.shape[1:]), first.dtype)
    found[:BATCH] = first
    for start in range(BATCH, len(inputs), BATCH):
        begin = min(start, len(inputs) - BATCH)
        found[begin : begin + BATCH] = _run_once(model, inputs, begin, BATCH)
    return found


def same_outputs(left: Array, right: Array) -> bool:
    """Whether two arrays of outputs (samples, ...) agree: within 1e-4 of each column's largest value."""
    if left.shape != right.shape:
        return False
    with np.errstate(invalid="ignore"):
        sizes = np.abs(np.where(np.isfinite(left), left, 0)).reshape(len(left), -1)
    tolerance = 1e-4 * sizes.max(axis=0) + 1e-6 * sizes.max(initial=1e-6)
    pairs = np.broadcast_to(tolerance, sizes.shape)
    left, right = left.reshape(sizes.shape), right.reshape(sizes.shape)
    return bool(np.all(np.isclose(left, right, rtol=0, atol=pairs, equal_nan=True)))


def check_repeatable(job: Job, model: Any, inputs: Inputs, raw: Array, batch: int) -> None:
    """Run the first samples again, last one first. Raises RunnerError where their outputs are others than ``raw``."""
    count = batch if batch > 1 else min(BATCH_CHECK, len(inputs))
    if batch > 1:
        again = _run_once(model, inputs, 0, batch, -1)[::-1]
    else:
        again = np.concatenate([_run_once(model, inputs, index, 1) for index in reversed(range(count))][::-1])
    if same_outputs(floats_of(model, raw[: len(again)]), floats_of(model, again)):
        return
    first_after_loading = []
    for _ in range(2):
        loaded = load(job)
        loaded.fit(inputs.shapes)
        first_after_loading.append(floats_of(loaded, _run_once(loaded, inputs, 0, 1)))
    if same_outputs(*first_after_loading):
        message = (
            "its outputs depend on the order of the samples: it keeps state from one inference to the next, or draws random"
            f" numbers (the first {count} samples, run again in reverse order, gave other outputs)"
        )
    else:
        message = RANDOM
    raise RunnerError("not_repeatable", message)


def timing(job: Job) -> tuple[dict[str, Array], Facts]:
    """Nanoseconds of every load, first inference and timed inference, over several reloads."""
    gc.disable()
    memory = PeakMemory()
    samples: list[int] = []
    load_of: list[int] = []
    load_ns: list[int] = []
    first_ns: list[int] = []
    natives: list[Any] = []
    fitted: list[tuple[int, ...]] = []
    memory_bytes, busy_ns, wall_ns, delegation = None, 0, 0, None
    for index in range(job["loads"]):
        start = time.perf_counter_ns()
        model = load(job)
        load_ns.append(time.perf_counter_ns() - start)
        if not natives:
            natives, fitted = native_samples(job, model)
        model.fit(fitted)
        model.feed(natives[0])
        start = time.perf_counter_ns()
        model.invoke()
        first_ns.append(time.perf_counter_ns() - start)
        for _ in range(job["warmup"]):
            model.invoke()
        if index == 0:
            memory_bytes = memory.growth()
        begun, used = time.perf_counter_ns(), time.process_time_ns()
        taken = time_inferences(model, natives, job["samples_per_load"], job["min_load_ms"])
        wall_ns += time.perf_counter_ns() - begun
        busy_ns += time.process_time_ns() - used
        samples.extend(taken)
        load_of.extend([index] * len(taken))
        if index == job["loads"] - 1:
            delegation = model.delegation(natives[0])
        del model
        gc.collect()
    arrays = {"samples_ns": samples, "load_of": load_of, "load_ns": load_ns, "first_ns": first_ns}
    facts = {
        "peak_memory_bytes": memory_bytes,
        "cpu_percent": 100.0 * busy_ns / max(wall_ns, 1),
        "delegation": delegation,
    }
    return {name: np.asarray(values, np.int64) for name, values in arrays.items()}, facts


def native_samples(job: Job, model: Any) -> tuple[list[Any], list[tuple[int, ...]]]:
    """A few single real samples, or steps, as the runtime takes them, and the shapes of their inputs."""
    inputs = read_inputs(job, model)
    if inputs.sequences:
        return [native for native, _ in itertools.islice(each_step(model, inputs, 0), CYCLE)], inputs.shapes
    return [model.native(inputs[i : i + 1], i) for i in range(min(CYCLE, len(inputs)))], inputs.shapes


def interleaved(job: Job) -> tuple[dict[str, Array], Facts]:
    """Median nanoseconds of two sides over interleaved reloads: arrays ``sides`` (2, rounds).

    Which side goes first alternates, so that a drifting clock favours neither, and a ballast of random size lies
    between the loads, so that one memory layout is not measured again and again.
    """
    gc.disable()
    randomness = np.random.default_rng()
    medians = np.zeros((2, job["rounds"]), np.int64)
    for index, side in alternating(job["rounds"]):
        ballast = np.ones(int(randomness.integers(1, BALLAST_BYTES)), np.uint8)
        medians[side, index] = _reload_median({**job, **job["sides"][side]})
        del ballast
        gc.collect()
    return {"sides": medians}, {}


def alternating(rounds: int) -> Iterator[tuple[int, int]]:
    """The round and the side of each of the reloads of two sides; which side goes first alternates."""
    for index in range(rounds):
        for side in (0, 1) if index % 2 == 0 else (1, 0):
            yield index, side


def _reload_median(job: Job) -> int:
    model = load(job)
    natives, _ = native_samples(job, model)
    model.feed(natives[0])
    for _ in range(job["warmup"] + 1):
        model.invoke()
    if job["injected_delay_ns"]:
        model.invoke = with_injected_delay(model.invoke, job["injected_delay_ns"])
    return int(np.median(time_inferences(model, natives, job["samples_per_load"], job["min_load_ms"])))


def with_injected_delay(invoke: Callable[[], None], nanoseconds: int) -> Callable[[], None]:
    """``invoke`` with real work of about so long added to it: how a gate is tested for seeing a slowdown."""
    spins = round(nanoseconds / _spin_ns())

    def slower() -> None:
        invoke()
        for _ in range(spins):
            pass

    return slower


def _spin_ns(spins: int = 2_000, times: int = 50) -> float:
    """What one turn of an empty loop takes where nothing disturbs it."""
    taken = []
    for _ in range(times):
        start = time.perf_counter_ns()
        for _ in range(spins):
            pass
        taken.append(time.perf_counter_ns() - start)
    return min(taken) / spins


def time_inferences(model: Any, natives: list[Any], at_least: int, min_ms: float) -> list[int]:
    """Nanoseconds of single inferences: ``at_least`` of them and for at least ``min_ms``. Feeding is not timed."""
    clock, invoke, feed, count = time.perf_counter_ns, model.invoke, model.feed, len(natives)
    taken: list[int] = []
    until = clock() + int(min_ms * 1e6)
    while len(taken) < at_least or clock() < until:
        feed(natives[len(taken) % count])
        start = clock()
        invoke()
        taken.append(clock() - start)
    return taken


MODES: dict[str, Callable[[Job], tuple[dict[str, Array], Facts]]] = {
    "outputs": outputs,
    "timing": timing,
    "interleaved": interleaved,
}


class PeakMemory:
    """Growth of the peak resident memory since it was made, in bytes; None where the system does not report."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM (Linux, proc(5))
        self.start = self._status("VmRSS:")

    def growth(self) -> int | None:
        """Bytes by now."""
        peak = self._status("VmHWM:")
        return None if peak is None or self.start is None else max(peak - self.start, 0)

    @staticmethod
    def _status(field: str) -> int | None:
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), None)


def run(job: Job) -> None:
    """Run one job and write its result, ``result.json`` last, in the job's folder."""
    out = Path(job["out"])
    start = time.perf_counter()
    try:
        pin(job["cores"])
        arrays, facts = MODES[job["mode"]](job)
        np.savez(out / "arrays.npz", allow_pickle=False, **arrays)
        result: Facts = {**facts, "window_seconds": time.perf_counter() - start}
    except RunnerError as error:
        result = {"error": {"kind": error.kind, "message": str(error)}}
    except OSError as error:
        result = {"error": {"kind": "runner_failed", "message": _first_line(error, job)}}
    except Exception as error:
        result = {
            "error": {"kind": "artifact_unusable", "message": f"{job['runtime']} failed: {_first_line(error, job)}"}
        }
    partial = out / "result.json.tmp"
    partial.write_text(json.dumps(result))
    partial.replace(out / "result.json")


def pin(cores: list[int] | None) -> None:
    """Keep this process, and the threads it will start, on some cores."""
    if not cores:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise RunnerError("runner_failed", f"cores {cores}: this system cannot pin a process to cores")
    available = os.sched_getaffinity(0)
    if not available.issuperset(cores):
        raise RunnerError("runner_failed", f"cores {cores} are not all there; the device has {sorted(available)}")
    os.sched_setaffinity(0, cores)


def _first_line(error: BaseException, job: Job) -> str:
    """The first line of a library's message, the artifact by its name: its path would push the reason out of sight."""
    message = str(error).replace(job.get("artifact", "\0"), Path(job.get("artifact", "\0")).name).strip()
    return (message or type(error).__name__).splitlines()[0][:300]


def serve(runtime: str) -> None:
    """Fork a child for every job path on standard input, until it closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    die_with_parent()
    with contextlib.suppress(ImportError):  # the job itself reports a missing runtime
        __import__(IMPORTS[runtime])
    gc.freeze()  # children share these pages and never scan them
    for line in sys.stdin:
        job = json.loads(Path(line.rstrip("\n")).read_text())
        child = os.fork()
        if child == 0:
            _run_forked(job)
        print(json.dumps({"pid": child}), file=answers, flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), file=answers, flush=True)


def _run_forked(job: Job) -> NoReturn:
    try:
        die_with_parent()
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        run(job)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, so that a killed run leaves nothing running."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        run(json.loads(Path(sys.argv[2]).read_text()))
