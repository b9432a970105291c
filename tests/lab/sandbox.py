"""A namespace in which a device of the lab lives: processes and mounts of its own, gone when the test run is gone."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.lab.tiers import LabError

#: The first process of the namespace: it mounts, says so, and from then on collects what has ended.
INIT = """
set -e
{mounts}
echo ready
trap '' INT TERM HUP
while :; do sleep 86400 & wait; done
"""


class Program:
    """A program that runs in a sandbox, seen from outside."""

    def __init__(self, helper: subprocess.Popen[bytes], process: psutil.Process) -> None:
        self._helper = helper  # it entered the namespace; it stops and ends when the program does
        self.pid = process.pid

    def freeze(self) -> None:
        """Stop the program and its children of the same name, which hold the connections; they have stopped by then."""
        for process in self._signal(signal.SIGSTOP):
            while goes_on(process):
                time.sleep(0.002)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)
        self._helper.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill them, and wait until they are gone."""
        self._signal(signal.SIGKILL)
        self._helper.send_signal(signal.SIGCONT)
        self._helper.wait(timeout=60)

    def running(self) -> bool:
        """Whether the program has not ended."""
        return self._helper.poll() is None

    def _signal(self, number: signal.Signals) -> list[psutil.Process]:
        """Signal the program and its children that carry its name, all found before the first of them is signalled."""
        found, sent = [], []
        with contextlib.suppress(psutil.NoSuchProcess):
            program = psutil.Process(self.pid)
            name = program.name()
            found = [program, *program.children(recursive=True)]
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name().startswith(name):  # sshd-session is sshd's
                    process.send_signal(number)
                    sent.append(process)
        return sent


def goes_on(process: psutil.Process) -> bool:
    """Whether it can still run: neither stopped nor ended. What ended stays a zombie while its parent is stopped."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    return False


class Sandbox:
    """``mounts`` are arguments of mount, run in this order before anything else; programs then run inside ``root``."""

    def __init__(self, root: Path, mounts: Sequence[Sequence[str]]) -> None:
        self.root = root
        script = INIT.format(mounts="\n".join(shlex.join(["mount", *mount]) for mount in mounts))
        # The namespace must not outlive the tests, however they end.
        bound = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
        self._holder = subprocess.Popen(
            [*bound, "bash", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            raise LabError(f"the namespace could not be made: {self._holder.communicate(timeout=10)[1]}")
        self._init = psutil.Process(self._holder.pid).children()[0]

    def at(self, inside: str) -> str:
        """A path inside, as this machine's own tools see it in the namespace."""
        return str(self.root / inside.lstrip("/"))

    def command(self, *command: str) -> list[str]:
        """The command line that runs ``command`` inside."""
        return self._enter("chroot", str(self.root), *command)

    def start(self, *command: str, log: Path) -> Program:
        """Start a program inside; what it says is added to ``log``. Raises LabError."""
        with log.open("ab") as sink:
            helper = subprocess.Popen(self.command(*command), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        while helper.poll() is None:
            if started := psutil.Process(helper.pid).children():
                return Program(helper, started[0])
        raise LabError(f"'{shlex.join(command)}' ended at once: {log.read_text()[-500:]}")

    def mount(self, *arguments: str) -> None:
        """Mount in the namespace, with the paths of :meth:`at`. Raises LabError."""
        self._run("mount", *arguments)

    def unmount(self, inside: str) -> None:
        """Take away what was mounted last at the path, at once, whoever still uses it."""
        self._run("umount", "--lazy", self.at(inside))

    def kill_everything(self) -> None:
        """What a power cut does to processes: all but the namespace's first die at once."""
        self._run("bash", "-c", "kill -KILL -1")

    def close(self) -> None:
        """Kill all that runs inside; the mounts go with it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._init.kill()
        self._holder.communicate(timeout=60)

    def _enter(self, *command: str) -> list[str]:
        return ["nsenter", f"--target={self._init.pid}", "--mount", "--pid", *command]

    def _run(self, *command: str) -> None:
        done = subprocess.run(self._enter(*command), capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"'{shlex.join(command)}' failed: {done.stderr.strip()}")
