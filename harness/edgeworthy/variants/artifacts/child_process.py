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
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from edgeworthy.errors import ConfigError, ConversionCrashed
from edgeworthy.storage import LOG_TAIL_LINES, write_json
from edgeworthy.temporary import temporary_folder

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


def child_events(job: dict[str, Any], timeouts: Timeouts, stop: threading.Event | None = None) -> Iterator[Event]:
    """Run one job in a child process and yield its events as they come; ``stop`` ends it.

    Raises ConversionCrashed, with the end of the child's log, when it died, or was killed because one piece of its
    work took longer than ``timeouts`` say or because it used more memory than it may.
    """
    with temporary_folder() as folder:
        log = folder / "log.txt"
        write_json(folder / "job.json", job)
        with log.open("wb") as stream:
            child = _Child(folder / "job.json", stream, timeouts, stop or threading.Event())
        with child:
            yield from child.events()
        if child.reason or child.status != 0:
            raise _crash(child, log)


class _Child:
    """The child's process group, ended when its work takes too long or too much memory, and on leaving the block."""

    def __init__(self, job: Path, log: Any, timeouts: Timeouts, stop: threading.Event) -> None:
        self.timeouts = timeouts
        self.stop = stop
        self.memory_bytes = memory_limit()
        self.reason: ConversionCrashed | None = None
        self.status = 0
        self._since, self._tries = time.monotonic(), False
        read_end, self._held = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgeworthy.variants.artifacts.child", str(job), str(read_end)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "TMPDIR": str(job.parent), "CUDA_VISIBLE_DEVICES": ""},
            start_new_session=True,
            pass_fds=[read_end],
        )
        os.close(read_end)
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
        os.close(self._held)

    def events(self) -> Iterator[Event]:
        """What the child writes, until it and all that it started have closed the pipe."""
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                event = json.loads(line)
                if event["event"] in ("started", "trial", "finished"):
                    self._since, self._tries = time.monotonic(), event.get("begins", False)
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
        if self.stop.is_set():
            return ConversionCrashed("the run ended before the conversion did", hint="run again")
        what, limit = ("artifact's first inference", "cell_s") if self._tries else ("converter", "conversion_s")
        seconds = getattr(self.timeouts, limit)
        if time.monotonic() - self._since > seconds:
            error = ConversionCrashed(
                f"the {what} did not finish within {seconds:g} s and was killed",
                hint=f"raise timeouts.{limit} in models.yaml",
            )
            error.timed_out = True
            return error
        used = _memory_of(self._process.pid)
        if used > self.memory_bytes:
            return ConversionCrashed(
                f"the converter used {used / GB:.1f} GB of memory, more than the {self.memory_bytes / GB:.1f} GB that"
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
