"""This machine as a device: ``host:<backend>``."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeworthy.device_schema import RunnerBackend
from edgeworthy.emulator_schema import EmulatedBackend
from edgeworthy.errors import BackendUnused
from edgeworthy.installed import installed_version
from edgeworthy.runtimes import Runtime
from edgeworthy.targets import host_state
from edgeworthy.targets.runner_server import RunnerServer
from edgeworthy.targets.runner_target import RunnerTarget, versions_in_words


class HostTarget(RunnerTarget):
    """Runs artifacts in lean child processes of this machine; those that run at once each have a server of their own."""

    def __init__(self, device: str, backend_name: str, backend: RunnerBackend | EmulatedBackend) -> None:
        super().__init__(device, backend_name, backend)
        self._servers: list[RunnerServer] = []
        self._idle: dict[str, list[RunnerServer]] = defaultdict(list)
        self._lock = threading.Lock()

    def identity(self) -> dict[str, str]:
        """The machine and this backend's options."""
        return {**host_state.hardware(), **{name: str(value) for name, value in self._settings().items()}}

    def governor(self) -> str:
        """The frequency governor of the first core, or ``unknown``."""
        return host_state.governor()

    def version_of(self, runtime: Runtime) -> str:
        """The runtime's name and its version here, and those of the backend's own packages."""
        engine = self.backend.engine(runtime)
        beside = {package: installed_version(package) for package in self.backend.packages(runtime)}
        return versions_in_words(engine, host_state.runtime_version(engine), beside)

    def state(self) -> dict[str, float]:
        """Load, clock, temperature and battery, where the system reports them."""
        return host_state.state()

    def environment(self) -> dict[str, str]:
        """Variables of the runner's processes beside this one's own: none."""
        return {}

    def close(self) -> None:
        """End the runner processes."""
        with self._lock:
            servers, self._servers = self._servers, []
            self._idle.clear()
        for server in servers:
            server.close()

    def _placed(self, path: Path) -> str:
        return str(path)

    def _execute(self, runtime: Runtime, job: dict[str, Any], folder: Path, timeout_s: float) -> dict[str, float]:
        if reason := runtime.why_not_here():
            size_kb = Path(job["artifact"]).stat().st_size / 1e3
            raise BackendUnused(
                f"{self.name}: cannot be run here: {reason}",
                hint=f"its file of {size_kb:.1f} KB was converted and checked; name at the variant's 'needs' a feature of devices"
                " that run it",
            )
        with self._server(runtime) as server:
            server.run(job, folder, timeout_s)
        return {}

    @contextlib.contextmanager
    def _server(self, runtime: Runtime) -> Iterator[RunnerServer]:
        """A server that no other thread uses; one that was closed meanwhile is not used again."""
        with self._lock:
            if idle := self._idle[runtime.name]:
                server = idle.pop()
            else:
                server = RunnerServer(runtime, self.environment())
                self._servers.append(server)
        try:
            yield server
        finally:
            with self._lock:
                if server in self._servers:
                    self._idle[runtime.name].append(server)
