"""Detached jobs: what they answer, what they survive, and that nothing of them stays, in a board's and a phone's shell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from edgeworthy.errors import CommandFailed, DeviceAbsent, DeviceRebooted, LinkLost, RunnerCrashed, RunnerTimeout
from edgeworthy.targets import telemetry_samples
from edgeworthy.targets.device_jobs import _START, WAIT, job_folder, once_more, run_detached
from edgeworthy.targets.links import patience
from edgeworthy.targets.links.base import Done

from tests.local_link import LocalLink
from tests.waiting import until, within

HOSTILE = "a b'c\"d;$(touch pwned)`touch pwned`\n&|<>*?~!#"


@pytest.fixture(params=["sh", "mksh and toybox"])
def link(request: pytest.FixtureRequest, tmp_path: Path) -> LocalLink:
    """A link to this machine; the second one has Android's own shell and tools before all others."""
    if request.param == "sh":
        return LocalLink(tmp_path)
    if not (shutil.which("mksh") and shutil.which("toybox")):
        pytest.skip("mksh and toybox are not installed")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in subprocess.run(["toybox"], capture_output=True, text=True, check=True).stdout.split():
        if name not in ("sh", "env", "bash"):
            (tools / name).symlink_to(shutil.which("toybox"))
    (tools / "sh").symlink_to(shutil.which("mksh"))
    return LocalLink(tmp_path, shell=[str(tools / "sh")], path=f"{tools}:{os.environ['PATH']}")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 0.02)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[str]:
    """A work folder with a hostile name; no job is left in it."""
    folder = tmp_path / HOSTILE.replace("/", "")
    yield str(folder)
    assert not list((folder / "jobs").glob("*"))
    assert not list(tmp_path.rglob("pwned"))


def marked(mark: str) -> list[str]:
    """Processes whose environment holds MARK=mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def nothing_left(mark: str) -> bool:
    """Whether no process of the job is left within 20 s."""
    deadline = time.monotonic() + 20
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not marked(mark)


def test_telemetry_is_sampled_only_while_a_job_runs(link: LocalLink, work: str) -> None:
    """At once and every second; samples end with the job, with a kill from the device and with the time limit."""
    telemetry, limit_s = 'echo "load $MARK"; exit 1', 1
    with job_folder(link, work) as folder:
        run_detached(link, ["sleep", "1.5"], folder, 20, telemetry=telemetry)
        assert (Path(folder) / telemetry_samples.FILE).read_text() == f"load \n{telemetry_samples.MARK}\n" * 2
    ends = (["sh", "-c", "kill -s KILL $$"], RunnerCrashed), (["sleep", "30"], RunnerTimeout)
    for index, (words, error) in enumerate(ends):
        link.environment["MARK"] = f"look-{os.getpid()}-{index}"
        with job_folder(link, work) as folder:
            with pytest.raises(error):
                run_detached(link, words, folder, limit_s, telemetry=telemetry)
            assert nothing_left(link.environment["MARK"])


def kill_job(work: str) -> None:
    """All processes of the one job die."""
    (pid,) = Path(work).glob("jobs/*/pid")
    job = int(pid.read_text())
    until(lambda: os.getpgid(job) == job)
    os.killpg(job, signal.SIGKILL)


def test_job_gets_arguments_and_environment_and_returns_status_and_log(link: LocalLink, work: str) -> None:
    """Any exit status is an answer; stdout and stderr are its log; words and variables arrive as they were given."""
    words = ["sh", "-c", 'printf "%s|" "$@" "$VALUE"; echo said >&2; exit 3', "sh", HOSTILE, "", "*"]
    with job_folder(link, work) as folder:
        finished = run_detached(link, words, folder, 20, env={"VALUE": HOSTILE})
    assert finished.status == 3
    assert finished.log == f"{HOSTILE}||*|{HOSTILE}|said\n"


def test_child_processes_end_with_their_job(link: LocalLink, work: str) -> None:
    """A process that the command left in the background is ended, and so is the job's own watch."""
    mark = os.urandom(8).hex()
    with job_folder(link, work) as folder:
        assert run_detached(link, ["sh", "-c", "sleep 300 & exit 0"], folder, 200, env={"MARK": mark}).status == 0
        assert nothing_left(mark)


def test_time_limit_kills_every_process_of_the_job(link: LocalLink, work: str) -> None:
    """RunnerTimeout with the log's end; neither the command nor its children live on."""
    mark = os.urandom(8).hex()
    script = "trap '' TERM; echo begun; sleep 300 & sleep 300"
    with job_folder(link, work) as folder:
        start = time.monotonic()
        with pytest.raises(RunnerTimeout, match="within 1 s") as raised:
            run_detached(link, ["sh", "-c", script], folder, 1, env={"MARK": mark})
        assert time.monotonic() - start < 30
        assert raised.value.log_tail == "begun"
        assert nothing_left(mark)


def test_killed_job_says_low_memory(link: LocalLink, work: str) -> None:
    """SIGKILL from elsewhere, of the command or of the whole job, is RunnerCrashed with the memory that is left."""
    for victim in ("$$", "0"):
        with (
            job_folder(link, work) as folder,
            pytest.raises(RunnerCrashed, match=r"killed by the device \(low memory\?\); \d+ MB"),
        ):
            run_detached(link, ["sh", "-c", f"kill -s KILL {victim}; sleep 9"], folder, 20)


def test_dropped_links_lose_nothing(link: LocalLink, work: str) -> None:
    """Starting and waiting are each lost before, and after, the device heard them: the job runs once and answers."""
    faults = ["away", "lost", "lost after", None, "lost", "lost after"]

    run = link.run

    def lossy(words: Sequence[str], timeout_s: float) -> Done:
        fault = faults.pop(0) if faults else None
        if fault == "away":
            raise DeviceAbsent("here: nothing answers", hint="plug it in")
        if fault == "lost":
            raise LinkLost("here: lost", hint="run again")
        done = run(words, timeout_s)
        if fault == "lost after":
            raise LinkLost("here: lost after it was heard", hint="run again")
        return done

    with job_folder(link, work) as folder:
        link.run = lossy  # type: ignore[method-assign]
        finished = run_detached(link, ["sh", "-c", "echo ran >>ran; sleep 1; cat ran"], folder, 20)
    assert finished.log == "ran\n"
    assert not faults


def test_device_that_stays_away_is_absent(link: LocalLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience ends, with the next step of what was wrong."""

    def away(words: object) -> None:
        raise DeviceAbsent("here: nothing answers", hint="plug it in")

    monkeypatch.setattr(patience, "PATIENCE_S", 0.2)
    link.before = away
    with pytest.raises(DeviceAbsent, match=r"(?s)connecting again for 0\.2 s did not help.*plug it in"):
        run_detached(link, ["true"], str(tmp_path), 20)


def test_next_run_ends_jobs_of_a_killed_run(link: LocalLink, work: str) -> None:
    """A run that was killed by SIGKILL leaves a job; the next run from this machine ends and removes it."""
    mark = os.urandom(8).hex()
    killed = os.fork()
    if killed == 0:
        with job_folder(link, work) as folder:
            run_detached(link, ["sleep", "300"], folder, 300, env={"MARK": mark})
        os._exit(1)
    until(lambda: any("sleep 300" in process for process in marked(mark)))
    with job_folder(link, work):
        assert marked(mark)  # its process still lives
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    with job_folder(link, work) as folder:
        assert list(Path(folder).parent.iterdir()) == [Path(folder)]
        assert nothing_left(mark)


def test_restart_is_reported_and_retried_once(link: LocalLink, work: str) -> None:
    """Another boot_id is DeviceRebooted; the attempt is made once more, and a second restart ends it."""

    def restarts(words: Sequence[str]) -> None:
        if WAIT in words:
            link.before = lambda words: None
            kill_job(work)
            link.reboot()
            raise LinkLost("here: lost", hint="run again")

    def attempt(words: Sequence[str]) -> str:
        with job_folder(link, work) as folder:
            return run_detached(link, words, folder, 20).log

    def attempts(*commands: Sequence[str]) -> str:
        left = list(commands)
        link.before = restarts
        return once_more(lambda: attempt(left.pop(0)))

    assert attempts(["sleep", "9"], ["echo", "answered"]) == "answered\n"

    def again() -> str:
        link.before = restarts
        return attempt(["sleep", "9"])

    with pytest.raises(DeviceRebooted, match="started anew while it was running sleep, twice"):
        once_more(again)


def test_restart_before_the_start_is_confirmed_is_reported(link: LocalLink, work: str) -> None:
    """The device starts anew while its answer to the start is on the way: the job was another boot's, not killed."""
    run = link.run

    def lost_once(words: Sequence[str], timeout_s: float) -> Done:
        done = run(words, timeout_s)
        if _START in words:
            link.run = run  # type: ignore[method-assign]
            kill_job(work)
            link.reboot()
            raise LinkLost("here: lost", hint="run again")
        return done

    link.run = lost_once  # type: ignore[method-assign]
    with (
        job_folder(link, work) as folder,
        pytest.raises(DeviceRebooted, match="started anew while it was running sleep"),
    ):
        run_detached(link, ["sleep", "300"], folder, 300)


def test_vanished_folder_and_garbage_are_reported(link: LocalLink, tmp_path: Path) -> None:
    """A job's folder that somebody removed, and an answer that is none, are CommandFailed: within 30 s."""

    def removed(words: Sequence[str]) -> None:
        if WAIT in words:
            # At once, whatever the job is writing into it.
            (tmp_path / "work" / "jobs").rename(tmp_path / "removed")

    link.before = removed
    with job_folder(link, str(tmp_path / "work")) as folder, pytest.raises(CommandFailed, match=r"here no longer has"):
        run_detached(link, ["true"], folder, 20)
    link.before = lambda words: None
    run = link.run
    link.run = lambda words, timeout_s: Done(0, b"rubbish", b"") if WAIT in words else run(words, timeout_s)  # type: ignore[method-assign]
    with (
        within(30),
        job_folder(link, str(tmp_path / "work")) as folder,
        pytest.raises(CommandFailed, match="cannot be read: 'rubbish'"),
    ):
        run_detached(link, ["true"], folder, 20)


def test_folder_that_cannot_be_created_is_reported(link: LocalLink, tmp_path: Path) -> None:
    """A work folder below a file is CommandFailed with what the device says."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandFailed, match="Not a directory"), job_folder(link, str(tmp_path / "file")):
        raise AssertionError("there is no such folder")
