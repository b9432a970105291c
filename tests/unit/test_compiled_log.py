"""What LiteRT's CompiledModel wrote to standard error, on a machine with a software adapter and on one without any."""

from __future__ import annotations

from edgeworthy.runners.python_runner.compiled_log import adapter, is_software, reason, share

FAILED = "ERROR: [./litert/cc/litert_compiled_model.h:1961]\n└ "
SWIFTSHADER = (
    "SwiftShader Device (Subzero), arch=swiftshader, vendor=google, backend=Vulkan, adapterType=CPU / Software"
)
BEGINS = f"""\
INFO: [environment.cc:36] Creating LiteRT environment with options
WARNING: [npu_registry.cc:34] NPU accelerator could not be loaded and registered: kLiteRtStatusErrorNotFound.
INFO: [compiled_model.cc:829] Flatbuffer model initialized directly from incoming litert model.
WARNING: Logging before InitGoogle() is written to STDERR
I0000 00:00:1796139279.267893   21629 environment.cc:532] Selected adapter: {SWIFTSHADER}
INFO: [delegate_webgpu.cc:363] Created a WebGPU environment.
"""
UNSUPPORTED = (
    BEGINS
    + """\
E0000 00:00:1796139279.792445   21629 model_builder.cc:2666] {
  type: INT16
  dims: []
} isn't scalar-convertible.
ERROR: Following operations are not supported by GPU delegate:
CONV_2D: Tensor type(INT16) is not supported. net/Pad
MEAN: Tensor type(INT16) is not supported. net/Relu
2 operations will run on the GPU, and the remaining 9 operations will run on the CPU.
I0000 00:00:1796139279.270449   21629 delegate_kernel.cc:984] Initializing WebGPU-based API from graph.
"""
)
NO_ADAPTER = """\
INFO: [delegate_webgpu.cc:342] Create WebGPU environment (use_low_power=0, enable_host_mapped_pointer=1)
ERROR: [delegate_webgpu.cc:359] Failed to initialize WebGPU environment: INTERNAL: No adapters found
"""
MISMATCH = (
    BEGINS
    + """\
E0000 00:00:1796139267.072077   21629 delegate_webgpu.cc:478] Failed to create kernel: INVALID_ARGUMENT: Shape mismatch
=== Source Location Trace: ===
third_party/common/gpu_model_util.cc:247
ERROR: Failed to initialize kernel.
"""
)


def test_the_adapter_is_named_and_software_is_none() -> None:
    assert adapter(BEGINS) == SWIFTSHADER
    assert is_software(SWIFTSHADER)
    assert not is_software("NVIDIA GeForce RTX 4090, vendor=nvidia, backend=Vulkan, adapterType=Discrete GPU")
    assert adapter(NO_ADAPTER) == ""


def test_ops_that_are_left_are_counted() -> None:
    """Of the first graph alone, those of others are its ops' own."""
    line = "2 operations will run on the GPU, and the remaining 9 operations will run on the CPU"
    assert share(UNSUPPORTED) == (2, 9, line)
    none = "No operations will run on the GPU, and all 3 operations will run on the CPU"
    assert share(f"{none}.\n{line}.\n") == (0, 3, none)
    assert share(BEGINS) is None


def test_a_refusal_names_its_first_op_with_the_tensor() -> None:
    error = f"{FAILED}Some ops are not accelerated. Add kLiteRtHwAcceleratorCpu to the set."
    assert reason(error, UNSUPPORTED) == (
        "Some ops are not accelerated: CONV_2D: Tensor type(INT16) is not supported. net/Pad:"
        " 2 operations will run on the GPU, and the remaining 9 operations will run on the CPU"
    )


def test_a_refusal_has_the_runtimes_first_error() -> None:
    """Or its first warning; without any that of its exception."""
    failed = "Failed to modify graph with delegate"
    assert reason(FAILED + failed, MISMATCH) == f"{failed}: Failed to create kernel: INVALID_ARGUMENT: Shape mismatch"
    assert reason("ERROR: [compiled_model.cc:1036]", NO_ADAPTER) == (
        "Failed to initialize WebGPU environment: INTERNAL: No adapters found"
    )
    assert reason(FAILED + failed, BEGINS).endswith(
        "NPU accelerator could not be loaded and registered: kLiteRtStatusErrorNotFound"
    )
    assert reason(FAILED + failed, "") == failed
    assert reason("", "") == "it gives no reason"
