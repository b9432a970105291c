"""Rows of runtimes of a user's own: what is sent to a runner, and what their version is."""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from edgeworthy.device_schema import BoardBackend, CpuBackend, OwnBackend, RunnerBackend
from edgeworthy.errors import SourceError
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.source_schema import OwnRuntime
from edgeworthy.tuning.candidates import present
from edgeworthy.user_code.own_runtimes import ClassRuntime, own_runtime, unpack_code

CLASS = "import numpy\nfrom inner.parts import part\n\nclass Model:\n    part = part\n"


@pytest.fixture
def own(tmp_path: Path) -> ClassRuntime:
    """A class in a file that imports from a package beside it."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "__init__.py").write_text("")
    (tmp_path / "inner" / "parts.py").write_text("part = 7\n")
    (tmp_path / "model.py").write_text(CLASS)
    return row(tmp_path)


def row(folder: Path, *files: str) -> ClassRuntime:
    given = {"class": "model.py:Model", "suffix": ".bin", "packages": ["numpy"], "files": list(files)}
    return own_runtime("mine", OwnRuntime.model_validate(given), folder)


def test_a_runner_is_sent_the_users_files_alone(own: ClassRuntime, tmp_path: Path) -> None:
    """The class's file and what it imports beside it, no installed package, in a zip that Python imports from."""
    with zipfile.ZipFile(io.BytesIO(own.packed)) as packed:
        files = {name for name in packed.namelist() if not name.endswith("/")}
        assert {info.compress_type for info in packed.infolist()} == {zipfile.ZIP_STORED}
    assert files == {"loaded/model.py", "inner/__init__.py", "inner/parts.py"}
    unpacked_at = unpack_code(own, tmp_path)
    code = f"import sys; sys.path = [{unpacked_at!r}, *sys.path[1:]]; import {own.module} as m; print(m.{own.class_name}.part)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "7\n"


def test_its_version_is_that_of_its_files_and_packages(own: ClassRuntime, tmp_path: Path) -> None:
    """Another text of a file beside it is another version, and so is another numpy."""
    version = own.version({"numpy": "2.0"})
    assert version.endswith(", numpy 2.0")
    assert row(tmp_path) == own
    (tmp_path / "inner" / "parts.py").write_text("part = 8\n")
    assert row(tmp_path).version({"numpy": "2.0"}) != version


def test_what_it_reads_lies_beside_every_module_that_may_look_for_it(own: ClassRuntime, tmp_path: Path) -> None:
    """Seen from the class's file and from what it imports as in the user's folder; another content is another version."""
    (tmp_path / "inner" / "table.bin").write_bytes(b"12")
    (tmp_path / "kept elsewhere").write_bytes(b"34")
    (tmp_path / "large.bin").symlink_to("kept elsewhere")
    reads = row(tmp_path, "inner/table.bin", "large.bin")
    code = Path(str(unpack_code(reads, tmp_path / "unpacked")))
    tables = {path.relative_to(code).as_posix(): path.read_bytes() for path in code.rglob("*.bin")}
    assert tables == {"loaded/inner/table.bin": b"12", "inner/table.bin": b"12", "loaded/large.bin": b"34"}
    assert reads.text != own.text
    (tmp_path / "kept elsewhere").write_bytes(b"56")
    assert row(tmp_path, "inner/table.bin", "large.bin").text != reads.text


def test_a_class_without_a_file_is_an_error(tmp_path: Path) -> None:
    """It shows when models.yaml is read."""
    with pytest.raises(SourceError, match="no such file"):
        row(tmp_path)


@pytest.mark.parametrize(
    ("backend", "runs"),
    [
        (RunnerBackend(), True),
        (BoardBackend(), True),
        (RunnerBackend(delegate=False, threads=4), True),
        (RunnerBackend(runtimes=["litert"]), False),
        (RunnerBackend(providers=["CUDAExecutionProvider", "CPUExecutionProvider"]), False),
        (CpuBackend(delegate="cpu"), False),
        (OwnBackend(runtimes=["mine"]), True),
        (OwnBackend(runtimes=["litert"]), False),
    ],
)
def test_a_backend_says_why_it_does_not_run_it(own: ClassRuntime, backend: RunnerBackend, runs: bool) -> None:
    """The processor of a host or a board does; where nothing is listed the built-in ones run as before."""
    assert bool(backend.why_not(own)) is not runs


def test_a_backend_without_delegate_is_for_those_that_have_reference_kernels() -> None:
    """Of the others the same kernels would be measured under another name; the reason names the key."""
    backend = RunnerBackend(delegate=False)
    assert not backend.why_not(RUNTIMES["litert"])
    assert (
        backend.why_not(RUNTIMES["openvino"])
        == "openvino has no reference kernels, and this backend has delegate: false"
    )
    assert not RunnerBackend().why_not(RUNTIMES["openvino"])


def test_a_runtime_may_need_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Mac runs Core ML's files, another system does not, and says so by the name that people know."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert RUNTIMES["coreml"].why_not_here() == "coreml runs on macOS alone, not on Linux"
    assert not RUNTIMES["openvino"].why_not_here()
    assert RUNTIMES["coreml"] not in present(list(RUNTIMES.values()))
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert not RUNTIMES["coreml"].why_not_here()


def test_a_board_runs_what_it_usually_has() -> None:
    """Others, such as torch, only where they are listed."""
    assert [name for name, row in RUNTIMES.items() if not BoardBackend().why_not(row)] == ["litert", "onnxruntime"]
    assert not BoardBackend(runtimes=["torch"]).why_not(RUNTIMES["torch"])
