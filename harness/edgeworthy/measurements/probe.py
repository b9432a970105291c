"""Which backends of a device really work: a tiny model is run on each, and must give its known output."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeworthy.config import LatencyPlan
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import Device
from edgeworthy.errors import EdgeworthyError, RuntimeMissing
from edgeworthy.records import Artifact, Delegation
from edgeworthy.runtimes import RUNTIMES, Runtime
from edgeworthy.storage import file_digest
from edgeworthy.targets.base import Job, Target
from edgeworthy.targets.device_lock import device_lock
from edgeworthy.targets.open_targets import Targets
from edgeworthy.temporary import temporary_folder

#: The tiny model's output for the ramp from 0 to 1; see tiny/README.md.
RAMP_OUTPUT = (-0.0666681, 0.0687147, 0.0237044, -0.0779215)
#: What a delegate that computes in float16 may differ by.
TOLERANCE = 2e-3
PLAN = LatencyPlan(loads=3, samples_per_load=5, min_load_ms=0, warmup=1)
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class BackendReport:
    """What became of the tiny model on one target in one runtime."""

    target: str
    runtime: str
    works: bool
    said: str
    hint: str = ""
    #: It lacks the runtime and nothing else.
    runtime_missing: bool = False


@dataclass(frozen=True)
class DeviceReport:
    """A device as it now is: its identity, its readings (units in their names) and its backends; or its ``problem``."""

    device: str
    required: bool
    identity: dict[str, str] = field(default_factory=dict)
    state: dict[str, float] = field(default_factory=dict)
    backends: tuple[BackendReport, ...] = ()
    problem: str = ""
    hint: str = ""


def probe(name: str, device: Device, targets: Targets, tell: Callable[[str], None]) -> DeviceReport:
    """Look at a device and try its backends. What goes wrong is part of the report."""
    try:
        with device_lock(device.connection, tell), temporary_folder() as folder:
            first = targets[f"{name}:{next(iter(device.backends))}"]
            identity, state = first.identity(), first.state()
            ramp = _ramp(folder)
            found = tuple(
                _try(targets[f"{name}:{backend}"], runtime, ramp, timed=entry.timed)
                for backend, entry in device.backends.items()
                for runtime in RUNTIMES.values()
                if runtime.tiny and not entry.why_not(runtime)
            )
    except EdgeworthyError as error:
        return DeviceReport(name, device.required, problem=error.message, hint=error.hint)
    except Exception as error:  # it must not keep the other devices from being looked at
        at = traceback.extract_tb(error.__traceback__)[-1]
        return DeviceReport(
            name, device.required,
            problem=f"{type(error).__name__} in {Path(at.filename).name}, line {at.lineno}: {error}",
            hint="this is a defect of edgeworthy: report it with this line",
        )  # fmt: skip
    return DeviceReport(name, device.required, identity, state, found)


def tiny_artifact(runtime: Runtime) -> Artifact:
    """The tiny model for a runtime that has one."""
    assert runtime.tiny is not None
    path = Path(__file__).with_name("tiny") / runtime.tiny
    size = path.stat().st_size
    return Artifact(file_digest(path), path, "tiny", runtime, "nhwc", size, size)


def _ramp(folder: Path) -> Samples:
    np.save(folder / "ramp.npy", np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8, 1))
    return Samples(folder / "ramp.npy")


def _try(target: Target, runtime: Runtime, ramp: Samples, *, timed: bool) -> BackendReport:
    job = Job(tiny_artifact(runtime), ramp, TIMEOUT_S)
    try:
        outputs = target.outputs(job)
        timing = target.timing(job, PLAN) if timed else None
    except EdgeworthyError as error:
        lacking = isinstance(error, RuntimeMissing)
        return BackendReport(target.name, runtime.name, False, error.message, error.hint, lacking)
    output = outputs.values[0]
    if not np.allclose(output, RAMP_OUTPUT, rtol=0, atol=TOLERANCE):
        return BackendReport(
            target.name, runtime.name, False, f"its output is {output.round(4).tolist()}, expected {list(RAMP_OUTPUT)}",
            "update the driver or the runtime, or drop this backend: it computes another model",
        )  # fmt: skip
    said = f"{float(np.median(timing.samples_ns)) / 1e6:.3f} ms" if timing else "emulated"
    return BackendReport(target.name, runtime.name, True, said + _took((timing or outputs).delegation))


def _took(delegation: Delegation | None) -> str:
    return f", {delegation.delegate} took {delegation.taken} of {delegation.total} nodes" if delegation else ""
