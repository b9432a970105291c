"""What runs artifacts, and an artifact that is loaded in it."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from .compiled import CompiledLiteRtModel
from .coreml import CoreMlModel
from .executorch import ExecuTorchModel
from .jobs import Job, RunnerError, failure
from .litert import LiteRtModel
from .onnx import OnnxModel
from .openvino import OpenVinoModel
from .own import OwnModel
from .tflm import TflmModel
from .torchscript import TorchModel
from .vela import EthosUModel

#: Those that come with edgeworthy; the artifacts of any other are run by a class of the user's.
MODELS: dict[str, Any] = {
    "litert": LiteRtModel,
    "onnxruntime": OnnxModel,
    "torch": TorchModel,
    "litert_compiled": CompiledLiteRtModel,
    "tflm": TflmModel,
    "ethos_u": EthosUModel,
    "openvino": OpenVinoModel,
    "executorch": ExecuTorchModel,
    "coreml": CoreMlModel,
}


def load(job: Job) -> Any:
    """The job's artifact in its runtime, checked against the inputs."""
    try:
        import_runtime(job["module"], job["code"])
    except (Exception, SystemExit) as error:
        # An own class that cannot import a name of an installed package has an error; a library that cannot is not installed.
        missing = ImportError if job["runtime"] in MODELS else ModuleNotFoundError
        if isinstance(error, missing):
            raise RunnerError("runtime_missing", f"the runtime {job['runtime']} is not installed ({error})") from error
        raise failure(job, "cannot be imported", error) from error
    try:
        _seed(job)
        return MODELS.get(job["runtime"], OwnModel)(job)
    except RunnerError:
        raise
    except (Exception, SystemExit) as error:
        raise failure(job, "cannot load it", error) from error


def import_runtime(module: str, code: str | None) -> None:
    """Import what runs artifacts; ``code`` is a folder of the user's files that it is found in, after all that is installed."""
    if code and code not in sys.path:
        sys.path.append(code)
    importlib.import_module(module)


def _seed(job: Job) -> None:
    """Seed the runtime's generator, where the job has a ``random_seed`` and the runtime one generator for all models."""
    if job.get("random_seed") is None or job["runtime"] not in ("onnxruntime", "torch"):
        return
    runtime = __import__(job["runtime"])
    (runtime.set_seed if job["runtime"] == "onnxruntime" else runtime.manual_seed)(job["random_seed"])
