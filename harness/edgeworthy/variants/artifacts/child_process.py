"""Start the child process that trains or converts, and read its events.

TensorFlow and torch are imported only there: a converter that crashes, hangs or eats the memory takes the child,
and the process that measures stays lean. Whatever a converter starts belongs to the child's process group, which
ends with the child, and with the parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psutil

from edgeworthy.errors import ConfigError, ConversionCrashed
from edgeworthy.storage import LOG_TAIL_LINES, write_json
from edgeworthy.temporary import temporary_folder
from edgeworthy.variants.artifacts.fork_servers import LEAN, WHOLE, ForkServers
from edgeworthy.variants.artifacts.processes import NewProcess, Process, forked

if TYPE_CHECKING:
    from edgeworthy.config import Timeouts

Event = dict[str, Any]

#: Sets how much memory a child may use; without it, this share of the machine's.
MEMORY_VARIABLE = "EDGE_CONVERSION_MEMORY_GB"
MEMORY_SHARE = 0.75
GB = 1024**3
#: How often a child's time and memory are looked at.
POLL_S = 0.2
#: How faulthandler begins; what follows names the stacks, then all extension modules.
FATAL = re.compile(r"^(Fatal Python error|Current thread)", re.MULTILINE)
EXTENSIONS = re.compile(r"^Extension modules:.*$", re.MULTILINE)
CURRENT = re.compile(r"^Current thread .*\n((?:  .*\n)+)", re.MULTILINE)
FRAME = re.compile(r'File "(?P<file>[^<"][^"]*)", line (?P<line>\d+)')
INSTALLED = re.compile(r"(?:site|dist)-packages[/\\](?P<library>[^/\\]+)")
STANDARD_LIBRARY = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
TRACE_LINES = 25


@dataclass(frozen=True)
class Children:
    """Starts children, forked from ``fork_servers`` where these can hold what the child needs."""

    timeouts: Timeouts
    fork_servers: ForkServers

    def events(self, job: dict[str, Any], stop: threading.Event | None = None) -> Iterator[Event]:
        """Run one job in a child process and yield its events as they come; ``stop`` ends it.

        Raises ConversionCrashed, with the end of the child's log, when it died, or was killed because one piece of its
        work took longer than the timeouts say or because it used more memory than it may.
        """
        with temporary_folder() as folder:
            log = folder / "log.txt"
            write_json(folder / "job.json", job)
            limits = _Limits(self.timeouts, memory_limit(), stop or threading.Event())
            with log.open("wb") as stream:
                process = self._started(job, folder / "job.json", stream, limits)
            with _Child(process, limits) as child:
                yield from child.events()
            if child.reason or child.status != 0:
                raise _crash(child, log)

    def close(self) -> None:
        """End the fork servers of this run."""
        self.fork_servers.close()

    def _started(self, job: dict[str, Any], path: Path, log: IO[bytes], limits: _Limits) -> Process:
        environment = {**os.environ, "TMPDIR": str(path.parent), "CUDA_VISIBLE_DEVICES": ""}
        framework = job.get("framework")
        kind = WHOLE if runs_users_code(job) else LEAN
        if framework and (connection := self.fork_servers.connection(framework, kind, environment)):
            process = forked(connection, path, log, environment, limits.allow_to_start)
            if process:
                return process
        return NewProcess(path, log, environment)


def runs_users_code(job: Mapping[str, Any]) -> bool:
    """Whether the job imports files of the user's."""
    return job["action"] == "train" or bool(job.get("recipe_files") or job["source"].get("factory"))


@dataclass
class _Limits:
    """What a child may take."""

    timeouts: Timeouts
    memory_bytes: float
    stop: threading.Event
    since: float = field(default_factory=time.monotonic)

    def allow_to_start(self) -> bool:
        """Whether somebody still wants it to begin."""
        return not self.stop.is_set() and time.monotonic() - self.since < self.timeouts.conversion_s


class _Child:
    """The child's process group, ended when its work takes too long or too much memory, and on leaving the block."""

    def __init__(self, process: Process, limits: _Limits) -> None:
        self.limits = limits
        self.reason: ConversionCrashed | None = None
        self.status = 0
        self._tries = False
        self._process = process
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._watched, name="edgeworthy conversion watch", daemon=True)

    def __enter__(self) -> _Child:
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._end_group()
        self.status = self._process.wait()
        self._ended.set()
        self._watch.join()
        self._end_group()
        self._process.release()

    def events(self) -> Iterator[Event]:
        """What the child writes, until it and all that it started have closed the pipe."""
        with self._process.stdout as stream:
            for line in stream:
                event = json.loads(line)
                if event["event"] in ("started", "trial", "finished"):
                    self.limits.since, self._tries = time.monotonic(), event.get("begins", False)
                yield event

    def _watched(self) -> None:
        """End the group when the child has exited: what it started may hold the pipe open."""
        while not self._ended.wait(POLL_S):
            if self._process.poll() is not None:
                break
            self.reason = self._excess()
            if self.reason:
                break
        self._end_group()

    def _excess(self) -> ConversionCrashed | None:
        limits = self.limits
        if limits.stop.is_set():
            return ConversionCrashed("the run ended before the conversion did", hint="run again")
        what, limit = ("artifact's first inference", "cell_s") if self._tries else ("converter", "conversion_s")
        seconds = getattr(limits.timeouts, limit)
        if time.monotonic() - limits.since > seconds:
            error = ConversionCrashed(
                f"the {what} did not finish within {seconds:g} s and was killed",
                hint=f"raise timeouts.{limit} in models.yaml",
            )
            error.timed_out = True
            return error
        used = _memory_of(self._process.pid)
        if used > limits.memory_bytes:
            return ConversionCrashed(
                f"the converter used {used / GB:.1f} GB of memory, more than the {limits.memory_bytes / GB:.1f} GB that"
                " it may, and was killed",
                hint=f"convert on a machine with more memory, or raise the limit by {MEMORY_VARIABLE}",
            )
        return None

    def _end_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def end_with_parent(pipe: int) -> None:
    """End this process group when the other end of ``pipe`` is closed, by the parent or by its death.

    A process of its own waits for that: a converter that hangs in native code runs no signal handler.
    """
    if os.fork() == 0:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os.read(pipe, 1)
        os.killpg(0, signal.SIGKILL)
    os.close(pipe)


def memory_limit() -> float:
    """How many bytes a child may use. Raises ConfigError for a variable that is no positive number."""
    given = os.environ.get("EDGE_CONVERSION_MEMORY_GB")
    if not given:
        return MEMORY_SHARE * psutil.virtual_memory().total
    with contextlib.suppress(ValueError):
        if float(given) > 0:
            return float(given) * GB
    raise ConfigError(
        f"{MEMORY_VARIABLE}={given} is no positive number", hint="give the gigabytes that a conversion may use"
    )


def _memory_of(pid: int) -> int:
    """The resident bytes of the process and all that it started."""
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total


def _crash(child: _Child, log: Path) -> ConversionCrashed:
    text = log.read_text(errors="replace")
    if child.reason:
        child.reason.log_tail = _tail(text)
        return child.reason
    if child.status > 0:
        return ConversionCrashed(
            f"the converter exited with status {child.status}", hint="see the end of its log", log_tail=_tail(text)
        )
    name = signal.Signals(-child.status).name
    where = _crashed_in(text)
    hint = "see the end of its log; " + (
        "if it dies again, drop this variant or choose another recipe"
        if where
        else "the system may have had no memory left"
    )
    return ConversionCrashed(
        f"the converter was killed by {name}{f' in {where}' if where else ''}", hint=hint, log_tail=_tail(text)
    )


def _crashed_in(log: str) -> str | None:
    """The library, or the user's file and line, whose code ran last, by faulthandler's trace."""
    stack = CURRENT.search(log)
    for frame in FRAME.finditer(stack[1] if stack else ""):
        library = INSTALLED.search(frame["file"])
        if library:
            return library["library"]
        if not frame["file"].startswith(STANDARD_LIBRARY):
            return f"{Path(frame['file']).name}:{frame['line']}"
    return None


def _tail(log: str) -> str:
    """The end of the log, and faulthandler's trace where there is one."""
    fatal = FATAL.search(log)
    if fatal is None:
        return "\n".join(log.splitlines()[-LOG_TAIL_LINES:])
    trace = EXTENSIONS.sub("", log[fatal.start() :]).splitlines()[:TRACE_LINES]
    return "\n".join([*log[: fatal.start()].splitlines()[-LOG_TAIL_LINES:], *trace]).strip()
