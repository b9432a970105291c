"""The tool's command line: each backend's options in its words."""

from __future__ import annotations

import pytest
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
from edgeworthy.targets.android.command import (
    command,
    core_mask,
    input_flags,
    model_flags,
    profile_flags,
    timing_flags,
)


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (CpuBackend(delegate="cpu"), ["tool", "--num_threads=1", "--use_xnnpack=true"]),
        (
            CpuBackend(delegate="cpu", xnnpack=False, threads=4, cores=[4, 5, 6, 7], min_delegated_percent=100),
            ["taskset", "f0", "tool", "--num_threads=4", "--use_xnnpack=false"],
        ),
        (
            NnapiBackend(delegate="nnapi"),
            ["tool", "--num_threads=1", "--use_nnapi=true", "--nnapi_allow_fp16=false", "--disable_nnapi_cpu=true"],
        ),
        (
            NnapiBackend(delegate="nnapi", accelerator="google-edgetpu", fp16=True, cpu_fallback=True),
            ["tool", "--num_threads=1", "--use_nnapi=true", "--nnapi_accelerator_name=google-edgetpu",
             "--nnapi_allow_fp16=true", "--disable_nnapi_cpu=false"],
        ),
        (
            GpuBackend(delegate="gpu", min_delegated_percent=100),
            ["tool", "--num_threads=1", "--use_gpu=true", "--gpu_precision_loss_allowed=true",
             "--require_full_delegation=true"],
        ),
        (
            GpuBackend(delegate="gpu", precision_loss=False, api="opencl", min_delegated_percent=90),
            ["tool", "--num_threads=1", "--use_gpu=true", "--gpu_precision_loss_allowed=false", "--gpu_backend=cl"],
        ),
        (
            HexagonBackend(delegate="hexagon", library_folder="/data/local/tmp/hexagon libs"),
            ["tool", "--num_threads=1", "--use_hexagon=true", "--hexagon_lib_path=/data/local/tmp/hexagon libs"],
        ),
        (
            ExternalBackend(delegate="external", path="/vendor/lib.so", options={"a": "1", "b": "x,y"}),
            ["tool", "--num_threads=1", "--external_delegate_path=/vendor/lib.so",
             "--external_delegate_options=a:1;b:x,y"],
        ),
    ],
)  # fmt: skip
def test_backend_becomes_arguments(backend: AnyAndroidBackend, words: list[str]):
    """Pinned by a bare hexadecimal mask; full delegation is asked for where 100 % must be delegated, and only there."""
    assert command("tool", backend) == words


@pytest.mark.parametrize("options", [{"a": "1;2"}, {"a:b": "1"}, {"": "1"}])
def test_external_options_that_the_tool_cannot_take_are_refused(options: dict[str, str]):
    """Its syntax has no way to say them, and it would pass over them."""
    with pytest.raises(ConfigError, match="cannot take"):
        command("tool", ExternalBackend(delegate="external", path="/lib.so", options=options))


def test_core_mask_is_what_toybox_takes():
    """No 0x, and a core named twice counts once."""
    assert [core_mask(cores) for cores in ([0], [0, 1, 1], [4, 5, 6, 7], [31])] == ["1", "3", "f0", "80000000"]


def test_plan_and_model_become_flags():
    """The first inference is the first of the warm-up; paths go in as they are."""
    plan = LatencyPlan(loads=3, samples_per_load=40, min_load_ms=40, warmup=5)
    flags = ["--warmup_runs=6", "--warmup_min_secs=0", "--num_runs=40", "--min_secs=0.04"]
    assert timing_flags(plan) == flags
    assert timing_flags(plan, writes_result=True) == [*flags, "--result_file_path=result.pb"]
    assert model_flags("/a b/$(c).tflite", [(1, 32, 32, 3)]) == [
        "--graph=/a b/$(c).tflite",
        "--input_layer_shape=1,32,32,3",
    ]
    assert model_flags("m", [(1, 8), (1, 2, 3)])[1] == "--input_layer_shape=1,8:1,2,3"
    assert input_flags(2) == [
        "--input_layer=input0,input1",
        "--input_layer_value_files=input0:in0.bin,input1:in1.bin",
    ]


def test_profile_of_an_accelerator_hides_nothing_behind_xnnpack():
    """What the accelerator leaves would otherwise be XNNPACK's in one node."""
    assert "--use_xnnpack=false" in profile_flags(GpuBackend(delegate="gpu"))
    assert "--use_xnnpack=false" not in profile_flags(CpuBackend(delegate="cpu"))
