"""The runtimes, and an artifact that is loaded in its own."""

from __future__ import annotations

from typing import Any

from .jobs import Job, RunnerError, first_line
from .litert import LiteRtModel
from .onnx import OnnxModel
from .torchscript import TorchModel

MODELS: dict[str, Any] = {"litert": LiteRtModel, "onnxruntime": OnnxModel, "torch": TorchModel}
IMPORTS = {"litert": "ai_edge_litert.interpreter", "onnxruntime": "onnxruntime", "torch": "torch"}


def load(job: Job) -> Any:
    """The job's artifact in its runtime, checked against the inputs."""
    try:
        __import__(IMPORTS[job["runtime"]])
    except ImportError as error:
        raise RunnerError("runtime_missing", f"the runtime {job['runtime']} is not installed ({error})") from error
    try:
        _seed(job)
        return MODELS[job["runtime"]](job)
    except RunnerError:
        raise
    except Exception as error:
        raise RunnerError("artifact_unusable", f"{job['runtime']} cannot load it: {first_line(error, job)}") from error


def _seed(job: Job) -> None:
    """Seed the runtime's generator, where the job has a ``random_seed`` and the runtime one generator for all models."""
    if job.get("random_seed") is None or job["runtime"] not in ("onnxruntime", "torch"):
        return
    runtime = __import__(job["runtime"])
    (runtime.set_seed if job["runtime"] == "onnxruntime" else runtime.manual_seed)(job["random_seed"])
