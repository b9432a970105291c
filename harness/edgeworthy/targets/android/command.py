"""The tool's command line, from a backend of devices.yaml: words, never a line."""

from __future__ import annotations

from collections.abc import Sequence

from edgeworthy.config import LatencyPlan
from edgeworthy.device_schema import (
    AnyAndroidBackend,
    CpuBackend,
    ExternalBackend,
    GpuBackend,
    HexagonBackend,
    NnapiBackend,
)
from edgeworthy.errors import ConfigError

#: Files in the working folder of a process, so that no folder's name comes into the tool's own syntax.
OUTPUTS, PROFILE, RESULT = "out.bin", "profile.csv", "result.pb"
SHAPES_FLAG = "--input_layer_shape"
#: Not every build knows it.
RESULT_FLAG = "--result_file_path"
#: One inference and no more.
ONE_SHOT = ("--num_runs=1", "--min_secs=0", "--warmup_runs=0", "--warmup_min_secs=0")


def command(tool: str, backend: AnyAndroidBackend) -> list[str]:
    """How the tool is started on this backend: pinned, with its threads and delegate."""
    pinned = ["taskset", core_mask(backend.cores)] if backend.cores else []
    whole = ["--require_full_delegation=true"] if backend.min_delegated_percent == 100 and delegates(backend) else []
    return [*pinned, tool, f"--num_threads={backend.threads}", *delegate_flags(backend), *whole]


def core_mask(cores: list[int]) -> str:
    """The cores as toybox's taskset takes them: bare hexadecimal."""
    return f"{sum(1 << core for core in set(cores)):x}"


def delegates(backend: AnyAndroidBackend) -> bool:
    """Whether the backend asks for a delegate at all."""
    return not isinstance(backend, CpuBackend) or backend.xnnpack


def delegate_flags(backend: AnyAndroidBackend) -> list[str]:
    """What asks for the backend's delegate. Raises ConfigError where an option cannot be said in the tool's syntax."""
    if isinstance(backend, CpuBackend):
        return [f"--use_xnnpack={_word(backend.xnnpack)}"]
    if isinstance(backend, NnapiBackend):
        accelerator = [f"--nnapi_accelerator_name={backend.accelerator}"] if backend.accelerator else []
        fallback = f"--disable_nnapi_cpu={_word(not backend.cpu_fallback)}"
        return ["--use_nnapi=true", *accelerator, f"--nnapi_allow_fp16={_word(backend.fp16)}", fallback]
    if isinstance(backend, GpuBackend):
        api = {"opencl": ["--gpu_backend=cl"], "opengl": ["--gpu_backend=gl"], None: []}[backend.api]
        return ["--use_gpu=true", f"--gpu_precision_loss_allowed={_word(backend.precision_loss)}", *api]
    if isinstance(backend, HexagonBackend):
        folder = [f"--hexagon_lib_path={backend.library_folder}"] if backend.library_folder else []
        return ["--use_hexagon=true", *folder]
    return [f"--external_delegate_path={backend.path}", *_external_options(backend)]


def delegate_name(backend: AnyAndroidBackend) -> str:
    """What the tool calls the backend's delegate in its output."""
    return {"cpu": "XNNPACK", "nnapi": "NNAPI", "gpu": "GPU", "hexagon": "Hexagon", "external": "EXTERNAL"}[
        backend.delegate
    ]


def model_flags(graph: str, shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """The model, and the shapes of its inputs."""
    return [graph_flag(graph), f"{SHAPES_FLAG}={shapes_text(shapes)}"]


def graph_flag(graph: str) -> str:
    """The model."""
    return f"--graph={graph}"


def shapes_text(shapes: Sequence[tuple[int, ...]]) -> str:
    """The shapes of the inputs as the tool takes them: digits, commas and colons."""
    return ":".join(",".join(map(str, shape)) for shape in shapes)


def values_file(place: int) -> str:
    """The file in the working folder that holds what the input at this place is given."""
    return f"in{place}.bin"


def input_flags(count: int) -> list[str]:
    """The inputs by names of our own: the tool goes by position, and a real name may hold what it cannot take."""
    names = [f"input{place}" for place in range(count)]
    files = (f"{name}:{values_file(place)}" for place, name in enumerate(names))
    return [f"--input_layer={','.join(names)}", f"--input_layer_value_files={','.join(files)}"]


def timing_flags(plan: LatencyPlan, writes_result: bool = False) -> list[str]:
    """One load of the plan: the first inference, its warm-up, and the timed ones; and a file of results on demand."""
    return [
        f"--warmup_runs={plan.warmup + 1}",
        "--warmup_min_secs=0",
        f"--num_runs={plan.samples_per_load}",
        f"--min_secs={plan.min_load_ms / 1000:g}",
        *([f"{RESULT_FLAG}={RESULT}"] if writes_result else []),
    ]


def profile_flags(backend: AnyAndroidBackend) -> list[str]:
    """A profile of single ops. What an accelerator leaves must not go to XNNPACK, which would hide how much it is."""
    plain = [] if isinstance(backend, CpuBackend) else ["--use_xnnpack=false"]
    # The newer builds' --op_profiling_output_* are not known to the older ones; this one is known to both.
    return [*plain, "--enable_op_profiling=true", f"--profiling_output_csv_file={PROFILE}"]


def _external_options(backend: ExternalBackend) -> list[str]:
    for key, value in backend.options.items():
        if not key or any(sign in f"{key}{value}" for sign in ":;"):
            raise ConfigError(
                f"devices.yaml: external delegate {backend.path}: option {key!r}: benchmark_model cannot take an empty"
                " name, or ':' or ';' in an option",
                hint="give the delegate a file of options, if it takes one",
            )
    pairs = ";".join(f"{key}:{value}" for key, value in backend.options.items())
    return [f"--external_delegate_options={pairs}"] if pairs else []


def _word(value: bool) -> str:
    return "true" if value else "false"
