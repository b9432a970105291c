"""Two runs that want one device, and the host's timings, which are alone: one run waits for the other, whole processes apart."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from edgeworthy.config import load_devices

from tests.integration.conftest import Project
from tests.lab.phone import Phone
from tests.lab.runs import HOST, LIMIT_S, PHONE, device, started
from tests.lock_holder import held_elsewhere
from tests.waiting import POLL_S, until

#: So long it is watched that a run which should wait does nothing; one that does not wait has begun by then.
WATCHED_S = 3.0


def never(condition: Callable[[], object]) -> None:
    """The condition does not hold while it is watched."""
    end = time.monotonic() + WATCHED_S
    while time.monotonic() < end:
        assert not condition()
        time.sleep(POLL_S)


def own_folder(project: Project, phone: Phone, name: str) -> Path:
    """A work folder on the phone that only this test's runs make."""
    device(project, "phone")["work_folder"] = f"{phone.disk}/{name}"
    return phone.work / name


def test_a_phone_that_another_process_uses_is_waited_for(lab_project: Project, phone: Phone, tmp_path: Path) -> None:
    """The run says so and does nothing on the phone until the other one lets go; then it is green."""
    there, log = own_folder(lab_project, phone, "awaited"), tmp_path / "log"
    lab_project.write()
    connection = load_devices(lab_project.root / "devices.yaml")[0].devices["phone"].connection
    with (
        held_elsewhere(f"device_lock({connection!r}, print)", lab_project.environment()) as let_go,
        started(lab_project, log, *PHONE, "-k", "accuracy") as process,
    ):
        until(lambda: "which another run is using" in log.read_text() or process.poll() is not None, LIMIT_S)
        assert f"waiting for {connection}, which another run is using" in log.read_text()
        never(there.exists)
        let_go()
        assert process.wait(LIMIT_S) == 0, log.read_text()
    assert there.exists()


def test_two_runs_at_once_take_turns(lab_project: Project, phone: Phone, tmp_path: Path) -> None:
    """Both come to their end, green, and never have both a job on the phone."""
    there, logs = own_folder(lab_project, phone, "shared"), [tmp_path / "log0", tmp_path / "log1"]
    seen: set[frozenset[str]] = set()

    def watched() -> bool:
        """Note whose jobs there are; a folder of a job is named host-process-number."""
        seen.add(frozenset(path.name.split("-")[1] for path in there.glob("jobs/*")))
        return all(process.poll() is not None for process in runs)

    with contextlib.ExitStack() as stack:
        runs = [
            stack.enter_context(
                started(lab_project, log, *PHONE, "-k", "accuracy", "-o", f"edge_results=results{index}")
            )
            for index, log in enumerate(logs)
        ]
        until(watched, LIMIT_S)
        for process, log in zip(runs, logs, strict=True):
            assert process.returncode == 0, log.read_text()
    assert seen == {frozenset(), *(frozenset({str(process.pid)}) for process in runs)}


def test_host_is_not_timed_while_another_process_uses_a_device(lab_project: Project, tmp_path: Path) -> None:
    """Its answers are there; its timing begins when the device of another run is no longer worked on."""
    log, results = tmp_path / "log", tmp_path / "results"
    with (
        held_elsewhere("shared_host()", lab_project.environment()) as let_go,
        started(lab_project, log, *HOST, "-o", f"edge_results={results}", "-k", "accuracy or latency") as process,
    ):
        until(lambda: list(results.glob("*/measurements/*.outputs.npz")) or process.poll() is not None, LIMIT_S)
        never(lambda: list(results.glob("*/measurements/*.timing.npz")) or process.poll() is not None)
        let_go()
        assert process.wait(LIMIT_S) == 0, log.read_text()
    assert list(results.glob("*/measurements/*.timing.npz"))


def test_no_device_is_used_while_another_process_times_the_host(
    lab_project: Project, phone: Phone, tmp_path: Path
) -> None:
    """The run has its samples and does nothing on the phone until the host's timing has ended."""
    there, log, results = own_folder(lab_project, phone, "quiet"), tmp_path / "log", tmp_path / "results"
    with (
        held_elsewhere("exclusive_host()", lab_project.environment()) as let_go,
        started(lab_project, log, *PHONE, "-o", f"edge_results={results}", "-k", "accuracy") as process,
    ):
        until(lambda: list(results.glob("*/datasets/*.txt")) or process.poll() is not None, LIMIT_S)
        never(lambda: there.exists() or process.poll() is not None)
        let_go()
        assert process.wait(LIMIT_S) == 0, log.read_text()
    assert there.exists()
