"""Run one artifact with LiteRT, ONNX Runtime or torch: the program that executes on the host, and on a board.

It is one file that needs only Python, numpy and the artifact's runtime. Two ways to start it:

``python python_runner.py run JOB.json``
    one job in this process;
``python python_runner.py serve RUNTIME``
    import the runtime once, then for every path of a job that comes on standard input fork a child that runs it.
    Answers ``{"pid": N}`` and, when that child has ended, ``{"status": N}`` (as ``os.waitstatus_to_exitcode`` says).

A job is JSON: ``runtime``, ``artifact``, ``layout``, ``inputs``, ``threads``, ``cores``, ``delegate``, ``providers``
(ONNX Runtime's), ``mode`` (``outputs``, ``timing`` or ``interleaved``), ``out`` (a folder), ``log`` and, for timing, ``loads``,
``samples_per_load``, ``min_load_ms``, ``warmup``. For ``interleaved`` there are two ``sides``, each with its own
``artifact``, ``layout`` and ``burden_ns``, and ``rounds`` in place of ``loads``. The answer is ``out/arrays.npz`` and
then ``out/result.json``; what went wrong is ``{"error": {"kind": ..., "message": ...}}`` there.

``inputs`` are ``path``, a .npy of float32 or uint8 NHWC, and ``scale`` and ``offset``, a number for each channel: the
model takes ``value * scale + offset``, in float32, the product rounded before the sum. Empty lists: values as they are.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

Job = dict[str, Any]
Facts = dict[str, Any]
Array = NDArray[Any]

BATCH = 32
#: So many samples are also run one at a time, to see whether a larger batch changes the answers.
BATCH_CHECK = 4
#: Largest unused block of memory that shifts the layout of the next load.
BALLAST_BYTES = 1 << 20
#: So much of the mapped inputs may stay in memory.
RESIDENT_BYTES = 256 << 20
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

        resolver = OpResolverType.AUTO if job["delegate"] else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.interpreter = Interpreter(
            job["artifact"], num_threads=job["threads"], experimental_op_resolver_type=resolver
        )
        self.interpreter.allocate_tensors()
        self._read_details()
        if len(self.interpreter.get_input_details()) != 1:
            raise RunnerError(
                "input_mismatch", f"the model takes {len(self.interpreter.get_input_details())} inputs, not one"
            )

    def _read_details(self) -> None:
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]
        self.input_shape = tuple(int(size) for size in self.input["shape"])
        self.invoke = self.interpreter.invoke

    def resize(self, batch: int) -> None:
        """Take ``batch`` samples at once from now on. Raises whatever the runtime does where it cannot."""
        self.interpreter.resize_tensor_input(self.input["index"], (batch, *self.input_shape[1:]))
        self.interpreter.allocate_tensors()
        self._read_details()

    def native(self, values: Array) -> Any:
        """Float samples as the runtime takes them."""
        return quantize(values, self.input["dtype"], *self.input["quantization"])

    def feed(self, native: Any) -> None:
        """Set the input."""
        self.interpreter.set_tensor(self.input["index"], native)

    def answer(self) -> Array:
        """The first output, in the runtime's own type."""
        answer: Array = self.interpreter.get_tensor(self.output["index"])
        return answer

    def floats(self, answers: Array) -> Array:
        """Answers dequantized, float32."""
        return dequantize(answers, *self.output["quantization"])

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
        if len(self.session.get_inputs()) != 1:
            raise RunnerError("input_mismatch", f"the model takes {len(self.session.get_inputs())} inputs, not one")
        described = self.session.get_inputs()[0]
        self.input_name = described.name
        self.output_names = [self.session.get_outputs()[0].name]
        self.dtype = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}.get(
            described.type
        )
        if self.dtype is None:
            raise RunnerError("input_mismatch", f"the model's input is {described.type}, not floating point")
        self.input_shape = tuple(size if isinstance(size, int) else None for size in described.shape)
        self.feeds: dict[str, Any] = {}
        self.results: list[Any] = []

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
        if self.input_shape[0] not in (None, batch):
            raise ValueError("the batch is fixed")

    def native(self, values: Array) -> Any:
        """Float samples as the runtime takes them."""
        return np.ascontiguousarray(values, dtype=self.dtype)

    def feed(self, native: Any) -> None:
        """Set the input."""
        self.feeds = {self.input_name: native}

    def invoke(self) -> None:
        """One inference."""
        self.results = self.session.run(self.output_names, self.feeds)

    def answer(self) -> Array:
        """The first output, in the runtime's own type."""
        return np.asarray(self.results[0])

    def floats(self, answers: Array) -> Array:
        """Answers as float32."""
        return answers.astype(np.float32)

    def delegation(self, native: Any) -> Facts | None:
        """Nodes by execution provider, from the profile of one inference in a session of its own."""
        with tempfile.TemporaryDirectory() as folder:
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

        torch.set_num_threads(job["threads"])
        torch.backends.mkldnn.enabled = job["delegate"]
        self.torch = torch
        self.module = torch.jit.load(job["artifact"], map_location="cpu").eval()
        self.input_shape: tuple[int | None, ...] | None = None
        self.given: Any = None
        self.result: Any = None

    def resize(self, batch: int) -> None:
        """Take ``batch`` samples at once from now on. Raises whatever the runtime does where it cannot."""
        pass

    def native(self, values: Array) -> Any:
        """Float samples as the runtime takes them."""
        return self.torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

    def feed(self, native: Any) -> None:
        """Set the input."""
        self.given = native

    def invoke(self) -> None:
        """One inference."""
        with self.torch.inference_mode():
            self.result = self.module(self.given)

    def answer(self) -> Array:
        """The first output, in the runtime's own type."""
        result = self.result[0] if isinstance(self.result, (tuple, list)) else self.result
        return np.asarray(result.float().numpy())

    def floats(self, answers: Array) -> Array:
        """Answers as they are: float32."""
        return answers

    def delegation(self, native: Any) -> Facts | None:
        """None: TorchScript has no delegates."""
        return None


MODELS: dict[str, Any] = {"litert": LiteRtModel, "onnxruntime": OnnxModel, "torch": TorchModel}
IMPORTS = {"litert": "ai_edge_litert.interpreter", "onnxruntime": "onnxruntime", "torch": "torch"}


def quantize(values: Array, dtype: Any, scale: float, zero_point: int) -> Array:
    """Float values as a tensor of this type, scale and zero point takes them; a scale of 0 is no quantization."""
    if np.dtype(dtype).kind not in "iu" or scale == 0:
        return np.ascontiguousarray(values, dtype=dtype)
    limits = np.iinfo(dtype)
    levels = values / scale  # and then in place: a fresh array for every step takes half as long again
    np.rint(levels, out=levels)
    levels += zero_point
    np.clip(levels, limits.min, limits.max, out=levels)
    return levels.astype(dtype)


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
        return MODELS[job["runtime"]](job)
    except RunnerError:
        raise
    except Exception as error:
        raise RunnerError("artifact_unusable", f"{job['runtime']} cannot load it: {_first_line(error)}") from error


class Inputs:
    """The samples of a job in its artifact's layout, float32; a slice is read and scaled when it is asked for."""

    def __init__(self, job: Job) -> None:
        self.path = job["inputs"]["path"]
        self.nchw = job["layout"] == "nchw"
        self._map()
        self.scale, self.offset = (self._step(job["inputs"][step]) for step in ("scale", "offset"))
        self.shape = self[:0].shape[1:]

    def _step(self, per_channel: list[float]) -> Array:
        """Shaped for the layout; repeated along the width, whose long rows numpy goes over three times as fast."""
        step = np.array(per_channel, np.float32)
        return step[:, None, None] if self.nchw else np.tile(step, (self.stored.shape[2], 1))

    def _map(self) -> None:
        self.stored = np.asarray(np.load(self.path, mmap_mode="r"))  # still mapped, without memmap's slow slices
        self.resident = 0

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: slice) -> Array:
        values = self.stored[rows]
        self.resident += values.nbytes
        if self.resident > RESIDENT_BYTES:  # mapping anew gives the old pages back
            self._map()
        if self.nchw:
            values = values.transpose(0, 3, 1, 2)
        if self.scale.size or values.dtype != np.float32:  # in order at once: moving bytes is cheaper than floats
            values = values.astype(np.float32, order="C")
        if self.scale.size:
            values *= self.scale
            values += self.offset
        return values


def read_inputs(job: Job, model: Any) -> Inputs:
    """All samples; the shape must be the model's own."""
    inputs = Inputs(job)
    wanted = model.input_shape
    if wanted and wanted[0] not in (None, 1):
        raise RunnerError(
            "input_mismatch", f"the model takes {wanted[0]} samples at once; export it with a dynamic batch, or 1"
        )
    fits = wanted is None or (
        len(wanted) == 1 + len(inputs.shape)
        and all(have in (None, size) for have, size in zip(wanted[1:], inputs.shape, strict=True))
    )
    if not fits:
        shown = "x".join("?" if size is None else str(size) for size in wanted[1:])
        given = "x".join(str(size) for size in inputs.shape)
        raise RunnerError("input_mismatch", f"the model takes {shown} ({job['layout']}), the dataset gives {given}")
    return inputs


def outputs(job: Job) -> tuple[dict[str, Array], Facts]:
    """Every sample's dequantized output: arrays ``values`` (samples, classes)."""
    model = load(job)
    inputs = read_inputs(job, model)
    start = time.perf_counter()
    answers, batch = _batched(model, inputs)
    if answers is None:
        model = load(job)
        answers, batch = np.concatenate([_answer(model, inputs[i : i + 1]) for i in range(len(inputs))]), 1
    if answers.ndim == 4 and job["layout"] == "nchw":  # an image is told as it is given
        answers = answers.transpose(0, 2, 3, 1)
    values = model.floats(answers).reshape(len(inputs), -1)
    return {"values": values}, {"batch": batch, "seconds": time.perf_counter() - start}


def _answer(model: Any, values: Array) -> Array:
    model.feed(model.native(values))
    model.invoke()
    answer: Array = model.answer()
    return answer


def _batched(model: Any, inputs: Inputs) -> tuple[Array | None, int]:
    """Outputs by batches, or (None, 1) where the batch cannot be changed or changes the answers.

    A dynamically quantized graph takes one range for a whole batch, so that a batch answers differently from what
    the same samples get one at a time, as deployed.
    """
    if len(inputs) < BATCH:
        return None, 1
    singly = np.concatenate([_answer(model, inputs[i : i + 1]) for i in range(BATCH_CHECK)])
    try:
        model.resize(BATCH)
        first = _answer(model, inputs[:BATCH])
    except Exception:
        return None, 1
    if first.shape[0] != BATCH or not same_answers(model.floats(singly), model.floats(first[:BATCH_CHECK])):
        return None, 1
    found = np.empty((len(inputs), *first.shape[1:]), first.dtype)
    found[:BATCH] = first
    for start in range(BATCH, len(inputs), BATCH):
        begin = min(start, len(inputs) - BATCH)
        found[begin : begin + BATCH] = _answer(model, inputs[begin : begin + BATCH])
    return found, BATCH


def same_answers(left: Array, right: Array) -> bool:
    """Whether a batch answers as its samples do one by one: within 1e-4 of the largest output."""
    scale = float(np.nanmax(np.abs(left))) if np.isfinite(left).any() else 1.0
    return bool(np.allclose(left, right, rtol=0, atol=1e-4 * max(scale, 1e-6), equal_nan=True))


def timing(job: Job) -> tuple[dict[str, Array], Facts]:
    """Nanoseconds of every load, first inference and timed inference, over several fresh loads."""
    gc.disable()
    memory = PeakMemory()
    samples: list[int] = []
    load_of: list[int] = []
    load_ns: list[int] = []
    first_ns: list[int] = []
    natives: list[Any] = []
    memory_bytes, busy_ns, wall_ns, delegation = None, 0, 0, None
    for index in range(job["loads"]):
        start = time.perf_counter_ns()
        model = load(job)
        load_ns.append(time.perf_counter_ns() - start)
        natives = natives or native_samples(job, model)
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


def native_samples(job: Job, model: Any) -> list[Any]:
    """A few single real samples, as the runtime takes them."""
    inputs = read_inputs(job, model)
    return [model.native(inputs[i : i + 1]) for i in range(min(CYCLE, len(inputs)))]


def interleaved(job: Job) -> tuple[dict[str, Array], Facts]:
    """Median nanoseconds of two sides over fresh loads in turn: arrays ``sides`` (2, rounds).

    Which side goes first alternates, so that a drifting clock favours neither, and a ballast of random size lies
    between the loads, so that one memory layout is not measured again and again.
    """
    gc.disable()
    randomness = np.random.default_rng()
    medians = np.zeros((2, job["rounds"]), np.int64)
    for index in range(job["rounds"]):
        for side in (0, 1) if index % 2 == 0 else (1, 0):
            ballast = np.ones(int(randomness.integers(1, BALLAST_BYTES)), np.uint8)
            medians[side, index] = _fresh_median({**job, **job["sides"][side]})
            del ballast
            gc.collect()
    return {"sides": medians}, {}


def _fresh_median(job: Job) -> int:
    model = load(job)
    natives = native_samples(job, model)
    model.feed(natives[0])
    for _ in range(job["warmup"] + 1):
        model.invoke()
    if job["burden_ns"]:
        model.invoke = burdened(model.invoke, job["burden_ns"])
    return int(np.median(time_inferences(model, natives, job["samples_per_load"], job["min_load_ms"])))


def burdened(invoke: Callable[[], None], nanoseconds: int) -> Callable[[], None]:
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
    """Growth of the peak resident memory since it was made, in bytes; None where the system does not tell."""

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
    """Run one job and leave its answer, ``result.json`` last, in the job's folder."""
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
        result = {"error": {"kind": "runner_failed", "message": _first_line(error)}}
    except Exception as error:
        result = {"error": {"kind": "artifact_unusable", "message": f"{job['runtime']} failed: {_first_line(error)}"}}
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


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


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
    die_with_parent()
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
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
