"""Which backends of a device really work: a tiny model is run on each, and must answer what it is known to answer."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.config import LatencyPlan
from harness.device_schema import Device
from harness.errors import EdgegateError, RuntimeMissing
from harness.records import Artifact, Delegation
from harness.schema import RuntimeName
from harness.sources.samples import Samples
from harness.storage import file_digest
from harness.targets.base import Job, Target
from harness.targets.device_lock import device_lock
from harness.targets.open_targets import Targets

#: The tiny model's answer to the ramp from 0 to 1; see tiny/README.md.
RAMP_ANSWER = (-0.0666681, 0.0687147, 0.0237044, -0.0779215)
#: What a delegate that computes in float16 may differ by.
TOLERANCE = 2e-3
FILES: dict[RuntimeName, str] = {"litert": "tiny.tflite", "onnxruntime": "tiny.onnx"}
PLAN = LatencyPlan(loads=3, samples_per_load=5, min_load_ms=0, warmup=1)
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class BackendReport:
    """What became of the tiny model on one target in one runtime."""

    target: str
    runtime: str
    works: bool
    said: str
    next_step: str = ""
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
    next_step: str = ""


def probe(name: str, device: Device, targets: Targets, tell: Callable[[str], None]) -> DeviceReport:
    """Look at a device and try its backends. What goes wrong is part of the report."""
    try:
        with device_lock(device.connection, tell), tempfile.TemporaryDirectory(prefix="edgegate-") as folder:
            first = targets[f"{name}:{next(iter(device.backends))}"]
            identity, state = first.identity(), first.state()
            ramp = _ramp(Path(folder))
            found = tuple(
                _try(targets[f"{name}:{backend}"], runtime, ramp)
                for backend, entry in device.backends.items()
                for runtime in entry.runtimes
                if runtime in FILES
            )
    except EdgegateError as error:
        return DeviceReport(name, device.required, problem=error.message, next_step=error.next_step)
    except Exception as error:  # it must not keep the other devices from being looked at
        at = traceback.extract_tb(error.__traceback__)[-1]
        return DeviceReport(
            name, device.required,
            problem=f"{type(error).__name__} in {Path(at.filename).name}, line {at.lineno}: {error}",
            next_step="this is a defect of edgegate: report it with this line",
        )  # fmt: skip
    return DeviceReport(name, device.required, identity, state, found)


def tiny_artifact(runtime: RuntimeName) -> Artifact:
    """The tiny model for a runtime."""
    path = Path(__file__).with_name("tiny") / FILES[runtime]
    size = path.stat().st_size
    return Artifact(file_digest(path), path, "tiny", runtime, "nhwc", size, size)


def _ramp(folder: Path) -> Samples:
    np.save(folder / "ramp.npy", np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8, 1))
    return Samples(folder / "ramp.npy")


def _try(target: Target, runtime: RuntimeName, ramp: Samples) -> BackendReport:
    job = Job(tiny_artifact(runtime), ramp, TIMEOUT_S)
    try:
        answer = target.outputs(job).values[0]
        timing = target.timing(job, PLAN)
    except EdgegateError as error:
        lacking = isinstance(error, RuntimeMissing)
        return BackendReport(target.name, runtime, False, error.message, error.next_step, lacking)
    if not np.allclose(answer, RAMP_ANSWER, rtol=0, atol=TOLERANCE):
        return BackendReport(
            target.name, runtime, False, f"it answers {answer.round(4).tolist()} where {list(RAMP_ANSWER)} is right",
            "update the driver or the runtime, or drop this backend: it computes another model",
        )  # fmt: skip
    return BackendReport(target.name, runtime, True, _in_words(float(np.median(timing.samples_ns)), timing.delegation))


def _in_words(median_ns: float, delegation: Delegation | None) -> str:
    took = f", {delegation.delegate} took {delegation.taken} of {delegation.total} nodes" if delegation else ""
    return f"{median_ns / 1e6:.3f} ms{took}"
