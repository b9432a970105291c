"""Long runs on a device that a dropped link does not end.

A job is started in a session of its own and goes on whatever becomes of the link. In its folder lie ``log``, ``pid``,
``boot`` (the boot id at its start), ``rc`` (its exit status, once it has ended) and ``lock``, which is held for as long
as any process of the job lives. Waiting for that lock costs the device nothing, as polling would. At its time limit the
job ends itself, all processes of it, also when nobody is connected any more. Beside it the device may be sampled
every second, as long as the job lives (see telemetry_samples). Only POSIX sh and words
that toybox and coreutils share are used.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edgeworthy.errors import CommandFailed, DeviceError, DeviceRebooted, RunnerCrashed, RunnerTimeout
from edgeworthy.storage import LOG_TAIL_LINES
from edgeworthy.targets import telemetry_samples
from edgeworthy.targets.links.base import Done, Link
from edgeworthy.targets.links.patience import patiently
from edgeworthy.targets.links.reading import reading

COMMAND_S = 30.0
#: The file in a job's folder that its processes write to.
LOG = "log"
#: One wait on the device; the link notices within it that nobody answers any more.
WAIT_S = 20
#: How much later than the device itself we stop waiting.
GRACE_S = 30.0
KILLED = 137
#: A device that shuts down kills its jobs first, and answers for a moment longer.
SHUTDOWN_S = 3.0
LOG_BYTES = 20_000
#: How often a device is sampled while a job runs; a sample takes a few milliseconds of one core.
TELEMETRY_S = 1

_SUPERVISE = f"""
limit=$1 telemetry=$2; shift 2
{{ sleep "$limit"; : >expired; kill -s KILL 0; }} &
[ -z "$telemetry" ] || while :; do
  (eval "$telemetry"); echo '{telemetry_samples.MARK}'; sleep {TELEMETRY_S}
done >{telemetry_samples.FILE} 2>/dev/null &
"$@"
echo $? >rc.part; mv rc.part rc
kill -s KILL 0
"""
# The lock is taken before the job is let go, so that a job that is not locked has ended. Starting may be said twice:
# whoever asks may have lost the link before the first answer, and the device may have started anew since.
_START = """
cd "$1" || exit 1
for tool in setsid flock timeout; do
  command -v $tool >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done
supervise=$2; shift 2
if [ -f pid ]; then
  cat boot
  [ -s boot ] || echo lost
  exit 0
fi
cat /proc/sys/kernel/random/boot_id >boot && cat boot || exit 1
{ flock -n 9 || exit 0
  setsid sh -c "$supervise" sh "$@" >log 2>&1 </dev/null &
  echo $! >pid
} 9>lock
"""
#: What waits for a job on the device.
WAIT = """
cat /proc/sys/kernel/random/boot_id
cd "$1" 2>/dev/null || { echo gone; exit 0; }
[ -f rc ] || timeout -s KILL "$2" flock -s 9 9<lock 2>/dev/null || { [ -f rc ] || { echo running; exit 0; }; }
if [ -f rc ]; then echo ended; cat rc; elif [ -f expired ]; then echo expired; else echo killed; fi
if [ -f log ]; then tail -c "$3" log; fi
"""
_SAID = re.compile(r"(?P<boot_id>\S+)\n(?P<word>running|ended\n(?P<status>\d+)|expired|killed|gone)\n")
_NEW = 'mkdir -p "$1" && cd "$1" && cd .. && ls -1'
# A process id means the job only while the lock is held: after a restart it may be somebody else's. A job that has
# just been started may not lead a group of its own yet.
_END = """
cd "$1" 2>/dev/null || exit 0
if [ -f pid ] && ! flock -n -s 9 9<lock; then
  read -r pid <pid
  kill -s KILL -- "-$pid" "$pid" 2>/dev/null
fi
cd / && rm -rf "$1"
"""
_END_ALL = 'for folder in "$1/$2"*; do sh -c "$3" sh "$folder"; done'
_MEMORY = "grep MemAvailable /proc/meminfo"

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Finished:
    """A job that ended by itself: its exit status, and the end of what it wrote to stdout and stderr."""

    status: int
    log: str

    @property
    def log_tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.splitlines()[-LOG_TAIL_LINES:])


@contextlib.contextmanager
def job_folder(link: Link, work_folder: str) -> Iterator[str]:
    """A new folder on the device for one job. When the block ends, so does the job, and the folder is removed.

    What killed runs of this machine have left behind is ended and removed first. Raises DeviceError.
    """
    folder = f"{work_folder}/jobs/{_owner()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    for leftover in _leftovers(patiently(lambda: _shell(link, _NEW, folder)).text.splitlines()):
        patiently(lambda: _shell(link, _END, f"{work_folder}/jobs/{leftover}"))  # noqa: B023 - called at once
    try:
        yield folder
    finally:
        with contextlib.suppress(DeviceError):  # the next run from here removes it
            _shell(link, _END, folder)


def run_detached(
    link: Link,
    words: Sequence[str],
    folder: str,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    telemetry: str = "",
) -> Finished:
    """Run a command in ``folder`` on the device (see job_folder) to its end, across lost connections; returns any exit status.

    ``env`` is added to the device's environment. What the shell script ``telemetry`` prints, run again and again, is kept there.
    Raises RunnerTimeout at the time limit, RunnerCrashed where it was killed, DeviceRebooted, DeviceAbsent or LinkLost.
    """
    variables = [f"{name}={value}" for name, value in (env or {}).items()]
    command = [str(math.ceil(timeout_s)), telemetry, *(["env", *variables] if variables else []), *words]
    started = patiently(lambda: _shell(link, _START, folder, _SUPERVISE, *command))
    with reading(link.device, "'cat /proc/sys/kernel/random/boot_id'", started.stdout):
        boot_id = started.text.splitlines()[0]
    deadline = time.monotonic() + timeout_s + GRACE_S
    while True:
        state = patiently(lambda: _state(link, folder))
        if state.word == "ended" and state.finished.status != KILLED:
            return state.finished
        if state.boot_id != boot_id:
            raise DeviceRebooted(
                f"{link.device} started anew while it was running {words[0]}",
                hint="check its power supply and temperature, then run again",
            )
        if state.word == "expired" or time.monotonic() > deadline:
            raise RunnerTimeout(
                f"{link.device}: {words[0]} did not finish within {timeout_s:g} s and was killed there",
                hint="raise timeouts.cell_s in models.yaml if the model is that slow",
                log_tail=state.finished.log_tail,
            )
        if state.word == "gone":
            raise CommandFailed(f"{link.device} no longer has {folder}", hint="check what else uses its work folder")
        if state.word != "running":
            time.sleep(SHUTDOWN_S)
            if patiently(lambda: _state(link, folder)).boot_id == boot_id:
                raise _killed(link, words, state)


def end_jobs(link: Link, work_folder: str) -> None:
    """End every job that this process has on the device. Raises DeviceError."""
    _shell(link, _END_ALL, f"{work_folder}/jobs", f"{_owner()}-{os.getpid()}-", _END)


def once_more(attempt: Callable[[], Answer]) -> Answer:
    """Do it again, from the first file on, where the device started anew meanwhile. Raises DeviceRebooted at the second time."""
    try:
        return attempt()
    except DeviceRebooted:
        pass
    try:
        return attempt()
    except DeviceRebooted as error:
        raise DeviceRebooted(
            f"{error.message}, twice", hint="check its power supply and its log (dmesg, logcat)"
        ) from error


@dataclass(frozen=True)
class _State:
    boot_id: str
    word: str
    finished: Finished


def _state(link: Link, folder: str) -> _State:
    said = _shell(link, WAIT, folder, str(WAIT_S), str(LOG_BYTES), timeout_s=WAIT_S + COMMAND_S)
    text = said.stdout.decode(errors="replace")
    found = _SAID.match(text)
    if found is None:
        raise CommandFailed(
            f"{link.device}: asked for its job, its reply cannot be read: {text[:100]!r}",
            hint="check that the device's shell prints nothing at login",
        )
    status = int(found["status"] or KILLED)
    return _State(found["boot_id"], found["word"].split()[0], Finished(status, text[found.end() :]))


def _killed(link: Link, words: Sequence[str], state: _State) -> RunnerCrashed:
    memory = re.search(r"(\d+) kB", patiently(lambda: link.run(["sh", "-c", _MEMORY], COMMAND_S)).text)
    left = f"; {int(memory[1]) / 1024:.0f} MB are available there now" if memory else ""
    return RunnerCrashed(
        f"{link.device}: {words[0]} was killed by the device (low memory?){left}",
        hint="close what else runs on the device, or measure a smaller model there",
        log_tail=state.finished.log_tail,
    )


def _shell(link: Link, script: str, *arguments: str, timeout_s: float = COMMAND_S) -> Done:
    done = link.run(["sh", "-c", script, "sh", *arguments], timeout_s)
    if done.status != 0:
        said = done.why
        raise CommandFailed(
            f"{link.device}: a job cannot be kept in {arguments[0]}: {said}",
            hint="the device needs sh, setsid, flock and timeout, and a work_folder that its user may write in",
        )
    return done


def _owner() -> str:
    return re.sub(r"[^A-Za-z0-9]", "", platform.node()) or "host"


def _leftovers(names: Sequence[str]) -> list[str]:
    """Folders of jobs whose process on this machine has ended without removing them."""
    found = [re.fullmatch(rf"{_owner()}-(\d+)-[0-9a-f]{{8}}", name) for name in names]
    return [match[0] for match in found if match and not _alive(int(match[1]))]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
