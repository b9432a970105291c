"""Stands in for TFLite's benchmark_model where the real one is not to be had: its command line and its output, real inference.

It is LiteRT's own interpreter behind the flags, so that answers are real; times are real times of this process, but of
Python's call too. Percentiles and evidence lines are those of the sources that harness/targets/android/transcript.py names.
What a real build lacks or does can be asked for in the environment, STAND_IN=word,word: ``means`` (no percentiles, as
2.14), ``no_xnnpack`` (a build without it), ``partial`` and ``refused`` (what XNNPACK answers), ``silent`` (no last line).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

KNOWN = {
    "graph": "", "num_threads": "1", "num_runs": "50", "min_secs": "1", "max_secs": "150", "warmup_runs": "1",
    "warmup_min_secs": "0.5", "input_layer": "", "input_layer_shape": "", "input_layer_value_files": "",
    "output_filepath": "", "use_xnnpack": "", "require_full_delegation": "false", "enable_op_profiling": "false",
    "profiling_output_csv_file": "", "help": "",
}  # fmt: skip
WORDS = os.environ.get("STAND_IN", "").split(",")


def say(level: str, text: str) -> None:
    print(f"{level}: {text}", file=sys.stderr, flush=True)


def fail(text: str) -> None:
    say("ERROR", text)
    say("ERROR", "Benchmarking failed.")
    raise SystemExit(1)


def fatal(text: str) -> None:
    say("FATAL", text)
    os.abort()


def flags() -> dict[str, str]:
    known = dict(KNOWN)
    if "no_xnnpack" in WORDS:
        del known["use_xnnpack"]
    unknown = []
    for word in sys.argv[1:]:
        name, _, value = word.removeprefix("--").partition("=")
        if name in known:
            known[name] = value or "true"
        else:
            unknown.append(word)
    say("INFO", "STARTING!")
    say("WARN", "Duplicate flags: num_threads")
    if known["help"]:
        say("ERROR", "usage: benchmark_model\nFlags:\n" + "".join(f"\t--{name}=\n" for name in known))
        raise SystemExit(1)
    if unknown:
        say("WARN", f"Unconsumed cmdline flags: {' '.join(unknown)}")
    return known


def interpreter(given: dict[str, str]) -> object:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = given.get("use_xnnpack") == "false" or "no_xnnpack" in WORDS
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    try:
        made = Interpreter(
            given["graph"], num_threads=int(given["num_threads"]), experimental_op_resolver_type=resolver
        )
    except (ValueError, OSError) as error:
        say("ERROR", str(error).splitlines()[0])
        fail(f"Failed to load model {given['graph']}")
    say("INFO", f"Loaded model {given['graph']}")
    return made


def prepared(made: object, given: dict[str, str]) -> None:
    wanted = made.get_input_details()[0]
    shape = [int(size) for size in given["input_layer_shape"].split(",")]
    if given["input_layer"] != wanted["name"]:
        say("WARN", f"Tensor # 0 is named {wanted['name']} but flags call it {given['input_layer']}")
    if len(shape) != len(wanted["shape"]):
        fail(f"Input tensor #0 should have {len(wanted['shape'])} dimensions!")
    made.resize_tensor_input(wanted["index"], shape)
    if given.get("use_xnnpack") == "true":
        applied()
    if given["require_full_delegation"] == "true" and (given.get("use_xnnpack") != "true" or "partial" in WORDS):
        fail("Disallowed CPU fallback detected.")
    try:
        made.allocate_tensors()
    except RuntimeError as error:
        say("ERROR", str(error).splitlines()[0])
        fail("Failed to allocate tensors!")


def applied() -> None:
    if "refused" in WORDS:
        say(
            "INFO",
            "Though XNNPACK delegate is explicitly applied, the model graph will not be executed by the delegate.",
        )
    elif "partial" in WORDS:
        say("INFO", "Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the delegate"
            " w/ 2 delegate kernels.")  # fmt: skip
    else:
        say(
            "INFO",
            "Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.",
        )


def fed(made: object, given: dict[str, str]) -> None:
    import numpy as np

    wanted = made.get_input_details()[0]
    parts = given["input_layer_value_files"].split(":")
    if len(parts) != 2:
        fail(f"{given['input_layer_value_files']} contains more than one delimiter.")
    path = Path(parts[1])
    if not path.is_file():
        fatal(f"Failed to read the input_layer_value_file:{path}")
    content = path.read_bytes()
    size = int(np.prod(wanted["shape"])) * np.dtype(wanted["dtype"]).itemsize
    if len(content) != size:
        fatal(f"The size of {path} is {len(content)} bytes. It should be {size} bytes.")
    made.set_tensor(wanted["index"], np.frombuffer(content, wanted["dtype"]).reshape(wanted["shape"]))


def run(made: object, times: int, seconds: float) -> list[int]:
    say("INFO", f"Running benchmark for at least {times} iterations and at least {seconds:g} seconds but terminate if"
        " exceeding 150 seconds.")  # fmt: skip
    taken: list[int] = []
    end = time.monotonic() + seconds
    while len(taken) < times or time.monotonic() < end:
        start = time.perf_counter_ns()
        made.invoke()
        taken.append((time.perf_counter_ns() - start) // 1000 + 1)
    say("INFO", described(taken) + "\n")
    return taken


def described(taken: list[int]) -> str:
    if not taken:
        text = "count=0"
    elif min(taken) == max(taken):
        text = f"count={len(taken)} curr={taken[-1]}" + "(all same)" * (len(taken) > 1)
    else:
        mean = sum(taken) / len(taken)
        spread = int((sum((each - mean) ** 2 for each in taken) / len(taken)) ** 0.5)
        text = (
            f"count={len(taken)} first={taken[0]} curr={taken[-1]} min={min(taken)} max={max(taken)}"
            f" avg={mean:g} std={spread}"
        )
    ordered = sorted(taken) or [0]
    p5, median, p95 = (ordered[len(ordered) * q // 100] for q in (5, 50, 95))
    return text if "means" in WORDS else f"{text} p5={p5} median={median} p95={p95}"


def profile(made: object, path: str, taken: list[int]) -> None:
    """As the CSV of a real build: every node, the delegate's as one where there is one."""
    nodes = [node["op_name"] for node in made._get_ops_details() if node["op_name"] != "DELEGATE"]
    kinds = ["TfLiteXNNPackDelegate", "TfLiteXNNPackDelegate", *nodes[1:]] if "partial" in WORDS else nodes
    rows = [f"{kind}, 0.004, 0.003, 10%, 10%, 0, 1, [x]:{index}" for index, kind in enumerate(kinds)]
    Path(path).write_text(
        "Operator-wise Profiling Info for Regular Benchmark Runs:\n"
        "============================== Run Order ==============================\n"
        "node type, first, avg_ms, %, cdf%, mem KB, times called, name\n" + "".join(f"{row}\n" for row in rows) + "\n"
        f"Number of nodes executed: {len(kinds)}\n"
    )


def main() -> None:
    import resource

    given = flags()
    say("INFO", f"Graph: [{given['graph']}]")
    start, begun_kb = time.perf_counter_ns(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = interpreter(given)
    prepared(made, given)
    init_us = (time.perf_counter_ns() - start) // 1000
    say("INFO", f"Initialized session in {init_us / 1000:g}ms.")
    fed(made, given)
    warmup = run(made, int(given["warmup_runs"]), float(given["warmup_min_secs"]))
    taken = run(made, int(given["num_runs"]), float(given["min_secs"]))
    if given["output_filepath"]:
        Path(given["output_filepath"]).write_bytes(
            b"".join(made.get_tensor(output["index"]).tobytes() for output in made.get_output_details())
        )
    if given["profiling_output_csv_file"]:
        profile(made, given["profiling_output_csv_file"], taken)
    if "silent" in WORDS:
        return
    first = warmup[0] if warmup else 0
    warm, mean = (sum(each) / len(each) if each else 0 for each in (warmup, taken))
    say("INFO", f"Inference timings in us: Init: {init_us}, First inference: {first}, Warmup (avg): {warm:g},"
        f" Inference (avg): {mean:g}")  # fmt: skip
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun_kb) / 1024
    say("INFO", f"Memory footprint delta from the start of the tool (MB): init={grown:g} overall={grown:g}")


if __name__ == "__main__":
    main()
