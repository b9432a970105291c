"""``edgeworthy devices``: what is there, what works, and why something does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from edgeworthy.cli.device_entry import new_entry
from edgeworthy.config import load_devices
from edgeworthy.device_schema import AndroidDevice
from edgeworthy.errors import ConfigError, DeviceError
from edgeworthy.measurements.probe import BackendReport, DeviceReport

from tests import commands
from tests.commands import Ended

HOST = {"kind": "host", "backends": {"cpu": {}, "reference": {"delegate": False, "runtimes": ["litert"]}}}


def edgeworthy(folder: Path, devices: dict[str, Any], *arguments: str) -> Ended:
    (folder / "devices.yaml").write_text(yaml.safe_dump({"version": 1, "devices": devices}))
    return commands.edgeworthy("devices", *arguments, cwd=folder, timeout=120)


def tried(device: str, runtime_missing: bool = False, **works: bool) -> DeviceReport:
    """What became of a device's backends."""
    backends = [
        BackendReport(f"{device}:{name}", "litert", well, "1 ms" if well else "no luck", "mend it", runtime_missing)
        for name, well in works.items()
    ]
    return DeviceReport(device, True, backends=tuple(backends))


def test_the_host_is_listed_with_what_works(tmp_path: Path) -> None:
    """Every backend runs the tiny model in each of its runtimes, with the evidence of where it ran."""
    done = edgeworthy(tmp_path, {"host": HOST}, "--json")
    assert done.returncode == 0, done.stderr
    [report] = json.loads(done.stdout)
    assert report["identity"]["machine"]
    assert report["state"]["load_1min"] >= 0
    tried = {(backend["target"], backend["runtime"]): backend for backend in report["backends"]}
    assert tried.keys() == {("host:cpu", "litert"), ("host:cpu", "onnxruntime"), ("host:reference", "litert")}
    assert all(backend["works"] for backend in tried.values())
    assert "XNNPACK took 4 of 4 nodes" in tried["host:cpu", "litert"]["said"]
    assert "XNNPACK took 0 of 4 nodes" in tried["host:reference", "litert"]["said"]


def test_a_backend_that_does_not_work_says_why_and_the_others_are_tried(tmp_path: Path) -> None:
    """A core that the machine does not have: the backend is told with its reason, the exit status is 1."""
    odd = {**HOST, "backends": {"odd": {"cores": [1000]}, **HOST["backends"]}}
    done = edgeworthy(tmp_path, {"host": odd})
    assert done.returncode == 1
    assert "cores [1000] are not all there" in done.stdout
    assert "host:reference" in done.stdout


def test_an_unknown_device_is_named_with_the_nearest(tmp_path: Path) -> None:
    """--only with a name that devices.yaml does not have."""
    done = edgeworthy(tmp_path, {"host": HOST}, "--only", "hots")
    assert done.returncode == 2
    assert "did you mean 'host'" in done.stderr


def test_add_refuses_what_does_not_fit(tmp_path: Path) -> None:
    """A name that is taken, a phone reached in two ways, a phone without its tool: said in one sentence each."""
    for arguments, told in (
        (["host", "--address", "x", "--user", "me"], "devices.yaml has a device 'host' already"),
        (["x", "--serial", "A", "--address", "B", "--benchmark-model", "/tool"], "give one of: serial (USB), address"),
        (["x", "--address", "B"], "--benchmark-model: this key is missing"),
    ):
        done = edgeworthy(tmp_path, {"host": HOST}, "add", *arguments)
        assert done.returncode == 2, done.stdout
        assert told in done.stderr


def test_an_entry_is_written_into_the_file_as_it_stands(tmp_path: Path) -> None:
    """Comments and order stay; of the backends that were tried those that work are written."""
    path = tmp_path / "devices.yaml"
    path.write_text("# mine\nversion: 1\ndevices:\n  host:  # this one\n    kind: host\n    backends: {cpu: {}}\n")
    entry = new_entry("phone", {"serial": "A1", "benchmark_model": "/data/local/tmp/benchmark_model"}, path)
    assert entry.write(tried("phone", cpu=True, nnapi=False, gpu=True)) == ["cpu", "gpu"]
    text = path.read_text()
    assert text.startswith("# mine\n")
    assert "host:  # this one" in text
    phone = load_devices(path)[0].devices["phone"]
    assert isinstance(phone, AndroidDevice)
    assert (phone.serial, list(phone.backends)) == ("A1", ["cpu", "gpu"])


def test_a_phone_on_which_nothing_works_is_not_written(tmp_path: Path) -> None:
    """Its tool is mistyped: the reason and the next step of the first backend, and the file stays as it was."""
    path = tmp_path / "devices.yaml"
    entry = new_entry("phone", {"serial": "A1", "benchmark_model": "/data/local/tmp/benchmark"}, path)
    with pytest.raises(DeviceError) as caught:
        entry.write(tried("phone", cpu=False, nnapi=False, gpu=False))
    assert caught.value.message == "phone was not added, none of its backends works: phone:cpu: no luck"
    assert caught.value.hint == "mend it"
    assert not path.exists()


def test_a_board_that_only_lacks_its_runtimes_is_written(tmp_path: Path) -> None:
    """`devices setup`, which installs them, needs the entry."""
    path = tmp_path / "devices.yaml"
    lacking = tried("pi", runtime_missing=True, cpu=False)
    assert new_entry("pi", {"address": "pi.local", "user": "pi"}, path).write(lacking) == ["cpu"]
    with pytest.raises(DeviceError, match="pi2 was not added, none of its backends works"):
        new_entry("pi2", {"address": "pi2.local", "user": "pi"}, path).write(tried("pi2", cpu=False))
    assert list(load_devices(path)[0].devices) == ["pi"]


def test_a_tool_that_lies_here_is_entered_under_its_abi(tmp_path: Path) -> None:
    """The ABI is read from the program; a path that is not here is one on the phone; what is no program is refused."""
    path = tmp_path / "devices.yaml"
    (tmp_path / "tool").write_bytes(b"\x7fELF\x02\x01".ljust(18, b"\0") + (183).to_bytes(2, "little") + bytes(8))
    (tmp_path / "text").write_text("not a program at all")
    assert new_entry("x", {"serial": "A", "benchmark_model": "tool"}, path).entry["benchmark_model"] == {
        "arm64-v8a": "tool"
    }
    assert new_entry("x", {"serial": "A", "benchmark_model": "/there"}, path).entry["benchmark_model"] == "/there"
    with pytest.raises(ConfigError, match="text is no program"):
        new_entry("x", {"serial": "A", "benchmark_model": "text"}, path)
