#!/usr/bin/python3 -IB
"""A stand-in for TFLite's benchmark_model: its command line, its output, its exit codes, and real inference by LiteRT.

It is a build with XNNPACK and without any other delegate, of the newer kind that prints percentiles and writes its result
to a file. What it does not know (NNAPI, GPU, op profiling) are unconsumed flags, as they are in a build without them. The
lab's phone runs it.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


class Flag(NamedTuple):
    """A flag: its default (None: no value unless given), how the log calls it, and what the usage says."""

    default: Any
    kind: str
    label: str
    usage: str


#: In the order in which the tool logs them.
FLAGS = {
    "num_runs": Flag(50, "int32", "Min num runs", "expected number of runs, see also min_secs, max_secs"),
    "min_secs": Flag(1.0, "float", "Min runs duration (seconds)", "minimum number of seconds to rerun for"),
    "max_secs": Flag(150.0, "float", "Max runs duration (seconds)", "maximum number of seconds to rerun for"),
    "num_threads": Flag(-1, "int32", "Num threads", "number of threads"),
    "warmup_runs": Flag(1, "int32", "Min warmup runs", "minimum number of runs performed on initialization"),
    "warmup_min_secs": Flag(0.5, "float", "Min warmup runs duration (seconds)", "minimum number of seconds to warm up"),
    "report_peak_memory_footprint": Flag(
        False, "bool", "Report the peak memory footprint", "Report the peak memory footprint by periodically checking"
    ),
    "graph": Flag("", "string", "Graph", "graph file name"),
    "input_layer": Flag("", "string", "Input layers", "input layer names"),
    "input_layer_shape": Flag("", "string", "Input shapes", "input layer shape"),
    "input_layer_value_files": Flag(
        "", "string", "Input value files", "A map-like string representing value file: input1:file_path1,..."
    ),
    "require_full_delegation": Flag(
        False, "bool", "Require full delegation", "require delegate to run the entire graph"
    ),
    "output_filepath": Flag(
        "", "string", "File path to export outputs layer to", "File path to export outputs layer as binary data."
    ),
    "result_file_path": Flag(
        "",
        "string",
        "File path to save the benchmark result in binary proto format",
        "Path to save the benchmark result in binary proto format.",
    ),
    "use_xnnpack": Flag(None, "bool", "Use xnnpack", "explicitly apply the XNNPACK delegate"),
    "help": Flag(False, "bool", "print out all supported flags", "Print out all supported flags if true."),
}
RANGES = {"float32": (-0.5, 0.5), "uint8": (0, 254), "int8": (-127, 127)}


class Failure(Exception):
    """The tool says ``Benchmarking failed.`` after these lines, and ends with status 1."""


def say(severity: str, text: str) -> None:
    """A line of the tool's log; errors go to standard error."""
    print(f"{severity}: {text}", file=sys.stderr if severity in ("ERROR", "FATAL") else sys.stdout, flush=True)


def abort(text: str) -> NoReturn:
    """A failed CHECK: status 134 in a shell."""
    say("FATAL", text)
    os.abort()


def number(value: float) -> str:
    """As a C++ stream prints it: six significant digits."""
    return f"{value:g}"


def parse(arguments: list[str]) -> dict[str, Any]:
    """The flags that are given. Raises Failure."""
    given: dict[str, Any] = {}
    unconsumed, wrong = [], []
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or name not in FLAGS or name in given:
            unconsumed.append(argument)
            continue
        try:
            given[name] = typed(FLAGS[name].kind, text)
        except ValueError:
            wrong.append(f"Failed to parse flag '{name}' against argv '{argument}'")
    if wrong or given.get("help") or "--help" in unconsumed[:1]:
        raise Failure(*wrong, usage())
    if unconsumed:
        say("WARN", f"Unconsumed cmdline flags: {' '.join(unconsumed)}")
    return given


def typed(kind: str, text: str) -> Any:
    """The text of a flag in its own type. Raises ValueError."""
    if kind != "bool":
        return {"int32": int, "float": float, "string": str}[kind](text)
    if text not in ("true", "1", "false", "0"):
        raise ValueError(text)
    return text in ("true", "1")


def usage() -> str:
    """All flags, one a line."""
    shown = {f"--{name}={default(flag)}": flag for name, flag in FLAGS.items()}
    width = max(map(len, shown))
    lines = [f"\t{name:{width}}\t{flag.kind}\toptional\t{flag.usage}\n" for name, flag in shown.items()]
    return f"usage: {sys.argv[0]} <flags>\nFlags:\n" + "".join(lines)


def default(flag: Flag) -> str:
    """A default as C++ prints it."""
    if flag.kind == "bool":
        return str(bool(flag.default)).lower()
    return flag.default if flag.kind == "string" else number(flag.default)


def log(given: dict[str, Any]) -> None:
    """What was given, in the tool's words."""
    say("INFO", "Log parameter values verbosely: [0]")
    for name, flag in FLAGS.items():
        if name in given or name == "graph":
            value = given.get(name, "")
            shown = value if isinstance(value, str) else number(value)
            say("INFO", f"{flag.label}: [{shown}]")
    if "num_threads" in given:
        say("INFO", f"#threads used for CPU inference: [{given['num_threads']}]")


def layers(flags: dict[str, Any]) -> list[tuple[str, list[int], str]]:
    """Name, shape and value file of each input that the flags speak of. Raises Failure."""
    names = flags["input_layer"].split(",") if flags["input_layer"] else []
    shapes = flags["input_layer_shape"].split(":") if flags["input_layer_shape"] else []
    if len(names) != len(shapes):
        raise Failure(
            f"The number of items in --input_layer_shape ({flags['input_layer_shape']}, with {len(shapes)} items) must "
            f"match the number of items in --input_layer ({flags['input_layer']}, with {len(names)} items)."
        )
    files = dict(value_file(item) for item in flags["input_layer_value_files"].split(",") if item)
    if unknown := [name for name in files if name not in names]:
        abort(
            f"Cannot find the corresponding input_layer name({unknown[0]}) in --input_layer as {flags['input_layer']}"
        )
    return [(name, dimensions(shape), files.get(name, "")) for name, shape in zip(names, shapes, strict=True)]


def dimensions(text: str) -> list[int]:
    """``1,32,32,1`` as numbers. Raises Failure."""
    try:
        sizes = [int(size) for size in text.split(",")]
    except ValueError:
        abort(f"Incorrect size string specified: {text}")
    if -1 in sizes:
        raise Failure(
            "Any unknown sizes in the shapes (-1's) must be replaced with the size you want to benchmark with."
        )
    return sizes


def value_file(item: str) -> tuple[str, str]:
    """``name:file``, where ``::`` stands for a colon of a name. Raises Failure."""
    parts = item.replace("::", "\0").split(":")
    if len(parts) != 2:
        fault = "contains more than one delimiter." if len(parts) > 2 else "doesn't contain any delimiter."
        raise Failure(f"{item} {fault}", f"Wrong input value file item specified: {item}", "1")
    name, path = (part.replace("\0", ":") for part in parts)
    return name, path


def load(flags: dict[str, Any], inputs: list[tuple[str, list[int], str]]) -> Interpreter:
    """The model, with its inputs in the shapes that were asked for, and XNNPACK or not. Raises Failure."""
    graph = flags["graph"]
    plain = flags["use_xnnpack"] is False
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    threads = flags["num_threads"] if flags["num_threads"] > 0 else None
    try:
        interpreter = Interpreter(graph, num_threads=threads, experimental_op_resolver_type=kernels)
    except (ValueError, RuntimeError) as error:
        reasons = str(error).replace("'.The", "'.\nThe").splitlines()
        raise Failure(*reasons, f"Failed to load model {graph}") from error
    say("INFO", f"Loaded model {graph}")
    resize(interpreter, inputs)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        raise Failure(str(error), "Failed to allocate tensors!") from error
    report_delegation(interpreter, flags)
    return interpreter


def resize(interpreter: Interpreter, inputs: list[tuple[str, list[int], str]]) -> None:
    """Give the inputs their shapes, by position; another name is only a warning. Raises Failure."""
    details = interpreter.get_input_details()
    if inputs and len(inputs) != len(details):
        abort(f"Inputs mismatch: Model inputs #:{len(inputs)} expected: {len(details)}")
    for (name, shape, _), detail in zip(inputs, details, strict=False):
        if name != detail["name"]:
            say("WARN", f"Tensor # {detail['index']} is named {detail['name']} but flags call it {name}")
        if len(shape) != len(detail["shape"]):
            raise Failure(f"Input tensor #{detail['index']} should have {len(detail['shape'])} dimensions!")
        interpreter.resize_tensor_input(detail["index"], shape)


def nodes_taken(kernels: list[Any], details: list[Any]) -> tuple[int, int]:
    """How many nodes lie between the inputs and outputs of the delegate's kernels, and of how many."""
    nodes = [node for node in details if node["op_name"] != "DELEGATE"]
    maker = {int(tensor): node for node in nodes for tensor in node["outputs"]}
    taken: set[int] = set()
    for kernel in kernels:
        given, pending = set(map(int, kernel["inputs"])), list(map(int, kernel["outputs"]))
        while pending:
            tensor = pending.pop()
            node = maker.get(tensor)
            if tensor not in given and node is not None and node["index"] not in taken:
                taken.add(node["index"])
                pending.extend(map(int, node["inputs"]))
    return len(taken), len(nodes)


def report_delegation(interpreter: Interpreter, flags: dict[str, Any]) -> None:
    """Say what XNNPACK took, where it was asked for. Raises Failure."""
    explicit = bool(flags["use_xnnpack"])
    nodes = interpreter._get_ops_details()
    kernels = [node for node in nodes if node["op_name"] == "DELEGATE"]
    full = len(kernels) == 1 and takes_all(interpreter, kernels[0], nodes)
    if flags["require_full_delegation"] and not (explicit and full):
        raise Failure("Disallowed CPU fallback detected.")
    if explicit and full:
        say(
            "INFO",
            "Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.",
        )
    elif explicit and kernels:
        taken, of = nodes_taken(kernels, nodes)
        replaced = f"Replacing {taken} out of {of} node(s) with delegate (TfLiteXNNPackDelegate) node"
        say("VERBOSE", f"{replaced}, yielding {len(kernels)} partitions for subgraph 0.")
        say(
            "INFO",
            "Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the delegate "
            f"w/ {len(kernels)} delegate kernels.",
        )
    elif explicit:
        say(
            "INFO",
            "Though XNNPACK delegate is explicitly applied, the model graph will not be executed by the delegate.",
        )


def takes_all(interpreter: Interpreter, kernel: dict[str, Any], nodes: list[dict[str, Any]]) -> bool:
    """Whether one kernel makes every output of the graph, and from nothing that another node made."""
    made = {int(tensor) for node in nodes if node is not kernel for tensor in node["outputs"]}
    outputs = {detail["index"] for detail in interpreter.get_output_details()}
    given = {int(tensor) for tensor in kernel["inputs"]}
    return outputs <= {int(tensor) for tensor in kernel["outputs"]} and not given & made


def values(interpreter: Interpreter, inputs: list[tuple[str, list[int], str]]) -> list[np.ndarray]:
    """What goes into each input: the bytes of its file, or random numbers."""
    files = [path for _, _, path in inputs] or [""] * len(interpreter.get_input_details())
    return [
        from_file(detail, path) if path else random(detail)
        for detail, path in zip(interpreter.get_input_details(), files, strict=True)
    ]


def from_file(detail: dict[str, Any], path: str) -> np.ndarray:
    """The file's bytes as the tensor."""
    wanted = int(np.prod(detail["shape"])) * np.dtype(detail["dtype"]).itemsize
    try:
        data = Path(path).read_bytes()
    except OSError:
        abort(f"Failed to read the input_layer_value_file:{path}")
    if len(data) != wanted:
        abort(f"The size of {path} is {len(data)} bytes. It should be {wanted} bytes.")
    return np.frombuffer(data, detail["dtype"]).reshape(detail["shape"])


def random(detail: dict[str, Any]) -> np.ndarray:
    """Random numbers of the tool's range for the tensor's type."""
    low, high = RANGES.get(np.dtype(detail["dtype"]).name, (0, 99))
    return np.random.default_rng().uniform(low, high, detail["shape"]).astype(detail["dtype"])


def run(interpreter: Interpreter, data: list[np.ndarray], least: int, min_secs: float, max_secs: float) -> list[int]:
    """Microseconds of single inferences: at least so many, for at least and at most so long. Raises Failure."""
    say(
        "INFO",
        f"Running benchmark for at least {least} iterations and at least {number(min_secs)} seconds but terminate if "
        f"exceeding {number(max_secs)} seconds.",
    )
    indices = [detail["index"] for detail in interpreter.get_input_details()]
    times_us: list[int] = []
    clock: Callable[[], int] = time.monotonic_ns
    began = now = clock()
    while (len(times_us) < least or now < began + min_secs * 1e9) and now <= began + max_secs * 1e9:
        for index, value in zip(indices, data, strict=True):
            interpreter.set_tensor(index, value)
        started = clock()
        try:
            interpreter.invoke()
        except RuntimeError as error:
            raise Failure(str(error)) from error
        now = clock()
        times_us.append(now // 1000 - started // 1000)
    say("INFO", f"{statistics(times_us)}\n")
    return times_us


def statistics(times_us: list[int]) -> str:
    """The line of counts and percentiles; those follow also where there is nothing, or always the same."""
    p5, median, p95 = percentiles(times_us)
    return f"{counts(times_us)} p5={p5} median={median} p95={p95}"


def percentiles(times_us: list[int]) -> list[int]:
    """The 5th, the median and the 95th, as the tool takes them."""
    ranked = sorted(times_us) or [0]
    return [ranked[len(ranked) * percent // 100] for percent in (5, 50, 95)]


def counts(times_us: list[int]) -> str:
    """The line without its percentiles."""
    if not times_us:
        return "count=0"
    count, first, last = len(times_us), times_us[0], times_us[-1]
    low, high = min(times_us), max(times_us)
    if low == high:
        return f"count={count} curr={last}" + ("(all same)" if count > 1 else "")
    mean, deviation = np.mean(times_us), int(np.std(times_us))
    return f"count={count} first={first} curr={last} min={low} max={high} avg={number(mean)} std={deviation}"


def memory_mb() -> float:
    """The largest resident memory so far, as the tool takes it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report_memory(after_init: float, overall: float, peak: bool) -> None:
    """Growth since the start, and on demand the peak and what is resident now."""
    say(
        "INFO",
        "Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual "
        "memory footprint of the model at runtime. Take the information at your discretion.",
    )
    growth = f"init={number(after_init)} overall={number(overall)}"
    say("INFO", f"Memory footprint delta from the start of the tool (MB): {growth}")
    if peak:
        _, resident, shared, *_ = (
            int(n) * resource.getpagesize() >> 20 for n in Path("/proc/self/statm").read_text().split()
        )
        say("INFO", f"Overall peak memory footprint (MB) via periodic monitoring: {number(memory_mb())}")
        say("INFO", "Memory status at the end of exeution:")
        say("INFO", f"- VmRSS              : {resident} MB")
        say("INFO", f"+ RssAnnon           : {resident - shared} MB")
        say("INFO", f"+ RssFile + RssShmem : {shared} MB")


def benchmark(arguments: list[str]) -> None:
    """Load, warm up, run, report. Raises Failure."""
    given = parse(arguments)
    flags = {name: flag.default for name, flag in FLAGS.items()} | given
    if not flags["graph"]:
        raise Failure("Please specify the name of your TF Lite input file with --graph")
    inputs = layers(flags)
    log(given)
    at_start, began = memory_mb(), time.monotonic_ns()
    interpreter = load(flags, inputs)
    init_us, after_init = (time.monotonic_ns() - began) // 1000, memory_mb() - at_start
    say("INFO", f"The input model file size (MB): {number(Path(flags['graph']).stat().st_size / 1e6)}")
    say("INFO", f"Initialized session in {number(init_us / 1000)}ms.")
    data = values(interpreter, inputs)
    warmup = run(interpreter, data, flags["warmup_runs"], flags["warmup_min_secs"], flags["max_secs"])
    timed = run(interpreter, data, flags["num_runs"], flags["min_secs"], flags["max_secs"])
    means = [number(np.mean(times)) if times else "0" for times in (warmup, timed)]
    say(
        "INFO",
        f"Inference timings in us: Init: {init_us}, First inference: {warmup[0] if warmup else 0}, "
        f"Warmup (avg): {means[0]}, Inference (avg): {means[1]}",
    )
    overall = memory_mb() - at_start
    report_memory(after_init, overall, flags["report_peak_memory_footprint"])
    save_outputs(interpreter, flags["output_filepath"])
    size_mb = Path(flags["graph"]).stat().st_size / 1e6
    save_result(flags["result_file_path"], result(init_us, warmup, timed, (after_init, overall), size_mb))


def save_outputs(interpreter: Interpreter, path: str) -> None:
    """All outputs of the last inference, raw, one after another; where it cannot be written the tool says nothing."""
    if path:
        outputs = [interpreter.get_tensor(detail["index"]).tobytes() for detail in interpreter.get_output_details()]
        try:
            Path(path).write_bytes(b"".join(outputs))
        except OSError:
            return


def result(init_us: int, warmup: list[int], timed: list[int], memory: tuple[float, float], size_mb: float) -> bytes:
    """A BenchmarkResult, written out by hand: the fields of tflite/tools/benchmark/proto/benchmark_result.proto."""
    p5, median, p95 = percentiles(timed)
    mean, least, most = (float(of(timed or [0])) for of in (np.mean, min, max))
    latency_us = [mean, least, most, float(np.std(timed or [0])), median, p5, p95, init_us]
    latency_us += [warmup[0] if warmup else 0, float(np.mean(warmup or [0]))]
    latency = b"".join(field(index, time_us / 1000) for index, time_us in enumerate(latency_us, 1))
    grown = b"".join(field(index, round(mb * 1024)) for index, mb in enumerate(memory, 1))
    misc = field(1, size_mb) + field(2, len(timed)) + field(3, len(warmup))
    return field(2, latency) + field(3, grown) + field(4, misc)


def field(name: int, value: float | bytes) -> bytes:
    """One field of a protocol buffer: a float of 32 bits, an amount, or a message."""
    if isinstance(value, float):
        return bytes([name << 3 | 5]) + struct.pack("<f", value)
    if isinstance(value, bytes):
        return bytes([name << 3 | 2]) + varint(len(value)) + value
    return bytes([name << 3]) + varint(value)


def varint(amount: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    parts = [amount >> shift & 0x7F for shift in range(0, max(amount.bit_length(), 1), 7)]
    return bytes([part | 0x80 for part in parts[:-1]] + parts[-1:])


def save_result(path: str, content: bytes) -> None:
    """The result as a file; where it cannot be written the tool says so, and ends well."""
    if path:
        say("INFO", f"Saving benchmark result to: {path}")
        try:
            Path(path).write_bytes(content)
        except OSError:
            say("ERROR", f"Failed to save benchmark result to: {path}")


def main() -> int:
    """The tool's exit status."""
    say("INFO", "STARTING!")
    try:
        benchmark(sys.argv[1:])
    except Failure as failure:
        for line in (*failure.args, "Benchmarking failed."):
            say("ERROR", line)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
