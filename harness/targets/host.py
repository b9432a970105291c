"""This machine as a device: ``host:<backend>``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.device_schema import RunnerBackend
from harness.targets import host_state
from harness.targets.runner_server import RunnerServer
from harness.targets.runner_target import RunnerTarget

_EXTRAS = {"litert": "litert", "onnxruntime": "onnx", "torch": "torch"}


class HostTarget(RunnerTarget):
    """Runs artifacts in lean child processes of this machine, one at a time."""

    def __init__(self, device: str, backend_name: str, backend: RunnerBackend) -> None:
        super().__init__(device, backend_name, backend)
        self._servers: dict[str, RunnerServer] = {}

    def identity(self) -> dict[str, str]:
        """The machine and this backend's options."""
        return {**host_state.hardware(), **{name: str(value) for name, value in self._settings().items()}}

    def fingerprint(self, runtime: str) -> dict[str, str]:
        """Machine, system, backend options, governor and runtime version."""
        return {
            **self.identity(),
            "governor": host_state.governor(),
            "runtime": f"{runtime} {host_state.runtime_version(runtime)}",
        }

    def state(self) -> dict[str, float]:
        """Load, clock, temperature and battery, where the system tells."""
        return host_state.state()

    def close(self) -> None:
        """End the runner processes."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def _placed(self, path: Path) -> str:
        return str(path)

    def _execute(self, runtime: str, job: dict[str, Any], folder: Path, timeout_s: float) -> dict[str, float]:
        self._servers.setdefault(runtime, RunnerServer(runtime)).run(job, folder, timeout_s)
        return {}

    def _how_to_install(self, runtime: str) -> str:
        return f"pip install 'edgegate[{_EXTRAS[runtime]}]'"
