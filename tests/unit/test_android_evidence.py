"""What a process of benchmark_model proves, and which error its failures become."""

from __future__ import annotations

import pytest
from edgeworthy.device_schema import (
    AnyAndroidBackend,
    CpuBackend,
    ExternalBackend,
    GpuBackend,
    HexagonBackend,
    NnapiBackend,
)
from edgeworthy.errors import ArtifactUnusable, BackendUnused, RunnerCrashed, TargetError, ToolUnusable
from edgeworthy.targets.android.benchmark_tool import elf_abi
from edgeworthy.targets.android.evidence import check_ran, delegation, partial_delegation
from edgeworthy.targets.android.transcript import parse

from tests.unit.test_transcript import NEWER, TRANSCRIPTS

PLAIN, XNNPACK = CpuBackend(delegate="cpu", xnnpack=False), CpuBackend(delegate="cpu")
NNAPI, GPU = NnapiBackend(delegate="nnapi"), GpuBackend(delegate="gpu")


def gpu_says(*lines: str) -> str:
    """A run that ended well, with these lines in the place of the evidence."""
    return NEWER.replace(NEWER.splitlines()[4], "\n".join(lines))


@pytest.mark.parametrize(
    ("backend", "text", "status", "error", "said"),
    [
        (NNAPI, TRANSCRIPTS["delegate_not_built_in"], 0, BackendUnused, "does not know --use_nnapi"),
        (GPU, TRANSCRIPTS["require_full_delegation"], 1, BackendUnused, "did not run all of the model: 'ERROR: Disallowed"),
        (GPU, gpu_says("WARN: GPU acceleration is unsupported on this platform."), 0, BackendUnused, "is unsupported"),
        (GPU, gpu_says("INFO: hello"), 0, BackendUnused, "no word of the delegate"),
        (
            GPU,
            gpu_says("INFO: Though GPU delegate is explicitly applied, the model graph will not be executed by the delegate."),
            0, BackendUnused, "will not be executed",
        ),
        (GPU, "ERROR: Failed to apply GPU delegate.\nERROR: Benchmarking failed.\n", 1, BackendUnused, "Failed to apply GPU"),
        (
            HexagonBackend(delegate="hexagon"),
            gpu_says("WARN: Could not create Hexagon delegate: platform may not support delegate"),
            0, BackendUnused, "Could not create Hexagon",
        ),
        (PLAIN, "WARN: Unconsumed cmdline flags: --output_filepath=out.bin\n" + NEWER, 0, ToolUnusable, "--output_filepath"),
        (PLAIN, TRANSCRIPTS["missing_model"], 1, ArtifactUnusable, "Could not open 'nope.tflite'"),
        (PLAIN, TRANSCRIPTS["truncated_model"], 1, ArtifactUnusable, "not a valid Flatbuffer"),
        (PLAIN, TRANSCRIPTS["wrong_rank"], 1, ArtifactUnusable, "should have 4 dimensions"),
        (PLAIN, TRANSCRIPTS["short_value_file"], 134, ToolUnusable, "The size of short.bin is 100 bytes"),
        (PLAIN, TRANSCRIPTS["missing_value_file"], 134, ToolUnusable, "Failed to read the input_layer_value_file"),
        (PLAIN, "INFO: STARTING!\n", 139, RunnerCrashed, "killed by signal 11"),
        (PLAIN, "sh: tool: not executable: 64-bit ELF file\n", 126, ToolUnusable, "not executable: 64-bit ELF file"),
        (PLAIN, "INFO: STARTING!\n", 0, ToolUnusable, "printed no measurement"),
        (PLAIN, "", 7, ArtifactUnusable, "ended with status 7"),
    ],
)  # fmt: skip
def test_failure_has_its_own_error(
    backend: AnyAndroidBackend, text: str, status: int, error: type[TargetError], said: str
):
    """With the line that proves it, also where the tool ends well."""
    with pytest.raises(error, match=r"phone: model\.tflite: ") as caught:
        check_ran("phone: model.tflite", backend, parse(text), status)
    assert said in caught.value.message


def test_xnnpack_that_a_build_does_not_have_is_off():
    """A build without XNNPACK does not know the flag that switches it off, and needs not."""
    text = "WARN: Unconsumed cmdline flags: --use_xnnpack=false\n" + TRANSCRIPTS["uint8_memory"]
    check_ran("phone", PLAIN, parse(text), 0)


WHOLLY = "Explicitly applied {} delegate, and the model graph will be completely executed by the delegate."


@pytest.mark.parametrize(
    ("backend", "name"),
    [(XNNPACK, "XNNPACK"), (NNAPI, "NNAPI"), (GPU, "GPU"), (HexagonBackend(delegate="hexagon"), "Hexagon"),
     (ExternalBackend(delegate="external", path="/lib.so"), "EXTERNAL")],
)  # fmt: skip
def test_whole_graph_is_all_of_its_nodes(backend: AnyAndroidBackend, name: str):
    """Each delegate under the name that the tool gives it."""
    said = parse(gpu_says(f"INFO: {WHOLLY.format(name)}").replace("VERBOSE: Replacing", "VERBOSE: "))
    check_ran("phone", backend, said, 0)
    found = delegation(backend, said, 64)
    assert found is not None
    assert (found.delegate, found.taken, found.total, found.proof) == (name, 64, 64, WHOLLY.format(name))


def test_runtimes_own_count_of_nodes_is_taken():
    """Where it says how many it replaced; what XNNPACK took of the rest is not the accelerator's."""
    xnnpack = "INFO: Replacing 4 out of 6 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions.\n"
    found = delegation(NNAPI, parse(xnnpack + NEWER), 64)
    assert found is not None
    assert (found.taken, found.total) == (60, 64)
    assert "w/ 2 delegate kernels" in found.proof


def test_kernels_alone_need_a_profile():
    """Nodes that are no delegate's are counted there; more of them than the file has are refused."""
    said = parse(NEWER.replace("VERBOSE: Replacing", "VERBOSE: "))
    assert delegation(NNAPI, said, 64) is None
    found = partial_delegation(NNAPI, said, 64, left=4)
    assert (found.taken, found.total, found.percent) == (60, 64, 93.75)
    with pytest.raises(ToolUnusable):
        partial_delegation(NNAPI, said, 64, left=65)


def test_xnnpack_switched_off_took_nothing():
    """Nor is anything else claimed."""
    found = delegation(PLAIN, parse(TRANSCRIPTS["uint8_memory"]), 4)
    assert found is not None
    assert (found.taken, found.total) == (0, 4)


@pytest.mark.parametrize(
    ("header", "abi"),
    [
        (b"\x7fELF\x02\x01\x01" + b"\0" * 11 + (183).to_bytes(2, "little"), "arm64-v8a"),
        (b"\x7fELF\x01\x01\x01" + b"\0" * 11 + (40).to_bytes(2, "little"), "armeabi-v7a"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 11 + (62).to_bytes(2, "little"), "x86_64"),
        (b"\x7fELF\x02\x02\x01" + b"\0" * 11 + (21).to_bytes(2, "big"), "ELF machine 21"),
        (b"#!/bin/sh\n echo hello, world", "no program"),
        (b"\x7fELF", "no program"),
        (b"", "no program"),
    ],
)
def test_machine_of_a_program_is_read(header: bytes, abi: str):
    """In either byte order; what is none is called that."""
    assert elf_abi(header) == abi
