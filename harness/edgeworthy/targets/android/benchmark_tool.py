"""The tool's binary: which one it is, for which ABI, and whether the phone can run it.

Two programs are called benchmark_model. TFLite's takes the values of inputs and gives those of outputs; LiteRT's, for
its CompiledModel, does neither, and its run_model writes no outputs to a file. Their ``--help`` tells them apart. None tells its
version, so that its sha256 stands for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.device_schema import Abi
from edgeworthy.errors import ToolUnusable
from edgeworthy.storage import file_digest
from edgeworthy.targets.android.command import RESULT_FLAG
from edgeworthy.targets.android.evidence import CANNOT_EXECUTE, NOT_FOUND
from edgeworthy.targets.device_files import DeviceFiles
from edgeworthy.targets.links.base import Link

COMMAND_S = 30.0
HEADER_BYTES = 20
#: ELF's e_machine (System V ABI, chapter 4) of each of Android's ABIs.
_MACHINES: dict[int, Abi] = {183: "arm64-v8a", 40: "armeabi-v7a", 62: "x86_64", 3: "x86"}
#: What a phone of an ABI runs, its own first.
_RUNS: dict[str, tuple[Abi, ...]] = {
    "arm64-v8a": ("arm64-v8a", "armeabi-v7a"),
    "armeabi-v7a": ("armeabi-v7a",),
    "x86_64": ("x86_64", "x86"),
    "x86": ("x86",),
}
_NEEDED = ("--input_layer_value_files", "--output_filepath")
#: LiteRT's tools, by flags that no other has.
_OTHERS = {
    ("--use_npu", "--use_cpu"): "LiteRT's tool of that name, which neither takes inputs nor gives outputs",
    ("--compare_numerical",): "LiteRT's run_model, which prints a few values of its outputs and writes none to a file",
}
_NEXT = "give devices.yaml TFLite's benchmark_model for this ABI (tflite/tools/benchmark)"


@dataclass(frozen=True)
class BenchmarkTool:
    """The tool as it lies on the phone, and whether it can write its result to a file."""

    path: str
    sha256: str
    writes_result: bool = False


def install(
    link: Link, files: DeviceFiles, given: str | Mapping[Abi, Path], abi: str, exec_s: float = COMMAND_S
) -> BenchmarkTool:
    """The tool on the phone: ``given`` is its path there, or files here by ABI. Raises ToolUnusable, and what links do."""
    if isinstance(given, str):
        tool = BenchmarkTool(given, _sha256_there(link, given))
    else:
        local = _for_abi(link.device, given, abi)
        tool = BenchmarkTool(files.put(local), file_digest(local))
        link.run(["chmod", "755", tool.path], COMMAND_S)
    usage = _help(link, tool.path, abi, exec_s)
    return dataclasses.replace(tool, writes_result=RESULT_FLAG in usage)


def elf_abi(header: bytes) -> str:
    """Android's name for the machine that an ELF file's first bytes name, or what else they are."""
    if len(header) < HEADER_BYTES or header[:4] != b"\x7fELF":
        return "no program"
    machine = int.from_bytes(header[18:20], "little" if header[5] == 1 else "big")
    return _MACHINES.get(machine, f"ELF machine {machine}")


def _for_abi(device: str, given: Mapping[Abi, Path], abi: str) -> Path:
    """The file that the phone runs best, whatever their order in devices.yaml."""
    name = next((name for name in _RUNS.get(abi, ()) if name in given), None)
    if name is None:
        raise ToolUnusable(
            f"{device}: its ABI is {abi}, devices.yaml has benchmark_model for {', '.join(given)} only", hint=_NEXT
        )
    local = given[name]
    try:
        with local.open("rb") as stream:
            header = stream.read(HEADER_BYTES)
    except OSError as error:
        raise ToolUnusable(f"{device}: {local}: cannot be read ({error.strerror})", hint=_NEXT) from error
    found = elf_abi(header)
    if not header.startswith(b"#!") and found != name:  # a script runs wherever its interpreter does
        raise ToolUnusable(
            f"{device}: {local} is for {found}, the phone is {abi}, and devices.yaml gives it under {name}",
            hint=_NEXT,
        )
    return local


def _sha256_there(link: Link, path: str) -> str:
    done = link.run(["sha256sum", path], COMMAND_S)
    words = done.text.split()
    if done.status != 0 or not words:
        raise ToolUnusable(
            f"{link.device}: {path}: {_last_line(done.stderr) or 'not there'}",
            hint="correct benchmark_model in devices.yaml, or --benchmark-model of 'edgeworthy devices add'",
        )
    return words[0].removeprefix("\\")


def _help(link: Link, path: str, abi: str, exec_s: float) -> str:
    """What the tool says of its flags. Raises ToolUnusable where it is not TFLite's."""
    done = link.run([path, "--help"], exec_s)
    usage = (done.stdout + done.stderr).decode(errors="replace")
    if done.status in (CANNOT_EXECUTE, NOT_FOUND) or "not executable" in usage:
        header = link.run(["head", "-c", str(HEADER_BYTES), path], COMMAND_S).stdout
        raise ToolUnusable(
            f"{link.device}: {path} cannot be run there: it is for {elf_abi(header)}, the phone is {abi}"
            f" ({_last_line(usage.encode()) or f'status {done.status}'})",
            hint=f"{_NEXT}, and a work_folder on storage that lets programs run",
        )
    if all(flag in usage for flag in _NEEDED):
        return usage
    other = next((said for flags, said in _OTHERS.items() if any(flag in usage for flag in flags)), None)
    if other:
        raise ToolUnusable(
            f"{link.device}: {path} is {other}",
            hint="give devices.yaml the other one: TFLite's benchmark_model (tflite/tools/benchmark)",
        )
    raise ToolUnusable(
        f"{link.device}: {path} is not TFLite's benchmark_model, or one too old to give outputs: its --help knows no"
        f" {next(flag for flag in _NEEDED if flag not in usage)}",
        hint=_NEXT,
        log_tail="\n".join(usage.splitlines()[-5:]),
    )


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else ""
