"""A board as a target: the host's own runner, pushed as one file and run there as a detached job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeworthy.device_schema import RunnerBackend
from edgeworthy.errors import CommandFailed, RunnerCrashed, RuntimeMissing
from edgeworthy.runtimes import Runtime
from edgeworthy.targets import telemetry_samples
from edgeworthy.targets.base import Job, Side
from edgeworthy.targets.device_jobs import LOG, Finished, job_folder, once_more, run_detached
from edgeworthy.targets.links.patience import patiently
from edgeworthy.targets.linux.board import Board
from edgeworthy.targets.linux.packed_runner import packed_runner
from edgeworthy.targets.linux.telemetry import SAMPLE_SCRIPT, parse_state
from edgeworthy.targets.runner_server import describe_exit
from edgeworthy.targets.runner_target import Answer, RunnerTarget, versions_in_words

COMMAND_S = 30.0
#: A job is a few hundred letters: as words of a command they take one round trip, as a pushed file half a dozen.
_WRITE_JOB = 'printf %s "$2" >"$1/job.json"'


class LinuxTarget(RunnerTarget):
    """Runs artifacts on a board, one job at a time; a job goes on while the link is down."""

    def __init__(self, board: Board, backend_name: str, backend: RunnerBackend) -> None:
        super().__init__(board.device, backend_name, backend)
        self.board, self.board_name = board, board.device

    def identity(self) -> dict[str, str]:
        """The board and this backend's options. Raises DeviceError."""
        return {**self.board.facts.identity, **{name: str(value) for name, value in self._settings().items()}}

    def governor(self) -> str:
        """The frequency governor of the board. Raises DeviceError."""
        return self.board.state().governor

    def version_of(self, runtime: Runtime) -> str:
        """The runtime's name and its version on the board, and those of the backend's own packages. Raises DeviceError."""
        engine = self.backend.engine(runtime)
        beside = {package: self.board.package_version(package) for package in self.backend.packages(runtime)}
        return versions_in_words(engine, self.board.version(engine), beside)

    def state(self) -> dict[str, float]:
        """Load, memory, clock, temperature and throttling, where the board tells. Raises DeviceError."""
        return self.board.state().readings

    def close(self) -> None:
        """Nothing: the board outlives its backends."""

    def _run(self, job: Job, mode: dict[str, Any], sides: Sequence[Side] = ()) -> Answer:
        return once_more(lambda: super(LinuxTarget, self)._run(job, mode, sides))

    def _placed(self, path: Path) -> str:
        return self.board.files.put(path)

    def _execute(self, runtime: Runtime, job: dict[str, Any], folder: Path, timeout_s: float) -> dict[str, float]:
        board, link = self.board, self.board.link
        runner, code = board.files.put(packed_runner(folder)), board.put_code(runtime)
        with job_folder(link, board.facts.work_folder) as remote:
            words = [
                "sh",
                "-c",
                _WRITE_JOB,
                "sh",
                remote,
                json.dumps({**job, "code": code, "out": remote, "log": f"{remote}/{LOG}"}),
            ]
            if patiently(lambda: link.run(words, COMMAND_S)).status != 0:
                raise CommandFailed(
                    f"{self.device}: {remote}/job.json cannot be written", hint="see whether its disk is full"
                )
            words = [board.entry.python, runner, "run", f"{remote}/job.json"]
            environment = {"PYTHONPATH": board.facts.packages, "OPENBLAS_NUM_THREADS": "1"}
            self._check(run_detached(link, words, remote, timeout_s, environment, telemetry=SAMPLE_SCRIPT), runtime)
            patiently(lambda: link.pull(f"{remote}/result.json", folder / "result.json"))
            if "error" not in self._facts(folder):
                patiently(lambda: link.pull(f"{remote}/arrays.npz", folder / "arrays.npz"))
            sampled = patiently(lambda: link.run(["cat", f"{remote}/{telemetry_samples.FILE}"], COMMAND_S))
        return telemetry_samples.parse_samples(
            sampled.stdout.decode(errors="replace"), lambda text: parse_state(text).readings
        )

    def _check(self, finished: Finished, runtime: Runtime) -> None:
        """Raise what the runner's exit status means."""
        if finished.status == 0:
            return
        if finished.status in (126, 127):
            raise CommandFailed(
                f"{self.device}: {self.board.entry.python} cannot be started",
                log_tail=finished.log_tail,
                hint="set python of the device in devices.yaml to an interpreter that is there",
            )
        if "No module named 'numpy'" in finished.log:
            raise RuntimeMissing(f"{self.device}: numpy is not installed", hint=runtime.how_to_install(self.board_name))
        status = finished.status if finished.status < 128 else 128 - finished.status
        raise RunnerCrashed(
            f"{self.device}: the runner {describe_exit(status)}",
            log_tail=finished.log_tail,
            hint="see the end of its log; an illegal instruction means a runtime built for another processor",
        )
