"""Which file of devices.yaml becomes the phone's benchmark_model."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeworthy.device_schema import Abi
from edgeworthy.errors import ToolUnusable
from edgeworthy.targets.android.benchmark_tool import install
from edgeworthy.targets.device_files import DeviceFiles
from edgeworthy.targets.links.base import Done

from tests.local_link import LocalLink
from tests.unit.test_device_jobs import link

__all__ = ["link"]
MACHINES: dict[Abi, tuple[int, int]] = {"arm64-v8a": (2, 183), "armeabi-v7a": (1, 40), "x86_64": (2, 62), "x86": (1, 3)}


def program(folder: Path, name: str, abi: Abi) -> Path:
    """A file with the header of a program for ``abi``, and its name as its content."""
    bits, machine = MACHINES[abi]
    (folder / name).write_bytes(
        bytes([0x7F, *b"ELF", bits, 1]).ljust(18, b"\0") + machine.to_bytes(2, "little") + name.encode()
    )
    return folder / name


class Helpful(LocalLink):
    """Runs every program's --help as TFLite's tool would."""

    def run(self, words, timeout_s):
        if words[-1] == "--help":
            return Done(0, b"--input_layer_value_files --output_filepath", b"")
        return super().run(words, timeout_s)


@pytest.mark.parametrize("order", [("arm64-v8a", "armeabi-v7a"), ("armeabi-v7a", "arm64-v8a")])
@pytest.mark.parametrize("abi", ["arm64-v8a", "armeabi-v7a"])
def test_own_abi_is_preferred(tmp_path: Path, order: tuple[Abi, Abi], abi: Abi) -> None:
    """Whichever devices.yaml names first: a 64-bit phone is not measured with the 32-bit program."""
    here = Helpful(tmp_path)
    given = {name: program(tmp_path, f"tool-{name}", name) for name in order}
    tool = install(here, DeviceFiles(here, str(tmp_path / "work")), given, abi)
    assert Path(tool.path).read_bytes().endswith(f"tool-{abi}".encode())


def test_32_bit_program_is_used_if_it_is_the_only_one(tmp_path: Path) -> None:
    """It runs there, too, and devices.yaml says that it is meant."""
    here = Helpful(tmp_path)
    given: dict[Abi, Path] = {"armeabi-v7a": program(tmp_path, "tool", "armeabi-v7a")}
    assert install(here, DeviceFiles(here, str(tmp_path / "work")), given, "arm64-v8a").sha256


@pytest.mark.parametrize(("given_as", "found"), [("arm64-v8a", "armeabi-v7a"), ("armeabi-v7a", "arm64-v8a")])
def test_a_program_under_another_abi_than_its_own_is_refused(
    link: LocalLink, tmp_path: Path, given_as: Abi, found: Abi
) -> None:
    """Even where the phone could run it: it would be measured in the name of the other."""
    given = {given_as: program(tmp_path, "tool", found)}
    with pytest.raises(
        ToolUnusable, match=f"tool is for {found}, the phone is arm64-v8a, .* gives it under {given_as}"
    ):
        install(link, DeviceFiles(link, str(tmp_path / "work")), given, "arm64-v8a")
    assert not link.pushes
