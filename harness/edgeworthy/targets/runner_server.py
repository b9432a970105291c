"""A runner process that has imported one runtime and forks a lean child for every job.

Importing a runtime costs 0.1 to 1.2 s; forking from a process that has done so costs 10 ms, and a crash, a hang or
a kill still takes only the child.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edgeworthy import runners
from edgeworthy.errors import RunnerCrashed, RunnerTimeout
from edgeworthy.runtimes import Runtime
from edgeworthy.storage import log_tail
from edgeworthy.temporary import temporary_folder
from edgeworthy.user_code.own_runtimes import unpack_code

#: Importing torch on a cold disk takes 20 s and more.
START_SECONDS = 120.0


def describe_exit(status: int) -> str:
    """An exit status in words; a negative one is the signal that killed the process."""
    if status >= 0:
        return f"exited with status {status}"
    name = signal.Signals(-status).name
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


class RunnerServer:
    """The server process of one runtime, started on first use and again after it was lost.

    ``variables`` are set in its environment.
    """

    def __init__(self, runtime: Runtime, variables: Mapping[str, str] = MappingProxyType({})) -> None:
        self.runtime, self.variables = runtime, variables
        self._open = contextlib.ExitStack()
        self._code: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def run(self, job: dict[str, Any], folder: Path, timeout_s: float) -> None:
        """Run one job in a forked child; its result is then in ``folder``.

        Raises RunnerCrashed when the child died, RunnerTimeout when it had to be killed.
        """
        log = folder / "runner.log"
        path = folder / "job.json"
        process = self._started()
        path.write_text(json.dumps({**job, "code": self._code, "out": str(folder), "log": str(log)}))
        try:
            assert process.stdin is not None
            process.stdin.write(f"{path}\n".encode())
            child = int(self._answer(process, START_SECONDS)["pid"])
        except (BrokenPipeError, EOFError, TimeoutError) as error:
            self.close()
            raise RunnerCrashed(
                f"the {self.runtime} runner did not start",
                log_tail=log_tail(log),
                hint="see the end of its log, and check that the runtime is installed",
            ) from error
        status = self._wait(process, child, timeout_s, log)
        if status != 0:
            raise RunnerCrashed(
                f"the runner {describe_exit(status)}",
                log_tail=log_tail(log),
                hint="see the end of its log; an out-of-memory kill needs a smaller model or batch",
            )

    def close(self) -> None:
        """End the server and any child of it."""
        process, self._process, self._unread = self._process, None, b""
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        self._open.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            if self.runtime.packed:
                self._code = unpack_code(self.runtime, self._open.enter_context(temporary_folder()))
            code = [self._code] if self._code else []
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **self.variables}
            self._process = subprocess.Popen(
                [sys.executable, str(Path(runners.__file__).parent), "serve", self.runtime.module, *code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env=environment,
            )
        return self._process

    def _wait(self, process: subprocess.Popen[bytes], child: int, timeout_s: float, log: Path) -> int:
        try:
            return int(self._answer(process, timeout_s)["status"])
        except EOFError as error:
            self.close()
            raise RunnerCrashed(
                f"the {self.runtime} runner was lost",
                log_tail=log_tail(log),
                hint="run again; if it stays, see the end of its log",
            ) from error
        except TimeoutError as error:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            self.close()
            raise RunnerTimeout(
                f"the runner did not finish within {timeout_s:g} s and was killed",
                hint="raise timeouts.cell_s in models.yaml if the model is that slow",
                log_tail=log_tail(log),
            ) from error
        except BaseException:  # ctrl-C: leave no child measuring
            self.close()
            raise

    def _answer(self, process: subprocess.Popen[bytes], timeout_s: float) -> dict[str, Any]:
        """One line of the server. Two may come at once, so what is read beyond the first is kept for the next call."""
        assert process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            ready, _, _ = select.select([process.stdout], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise TimeoutError
            read = os.read(process.stdout.fileno(), 4096)
            if not read:
                raise EOFError
            self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply
