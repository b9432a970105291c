"""What a job is, and what goes wrong with one."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Job = dict[str, Any]
Facts = dict[str, Any]
Array = NDArray[Any]
#: As a model declares it, with the batch; None where a size is open.
Shape = tuple[int | None, ...]
#: Images, (samples, height, width, channels), have so many axes; other arrays are taken as they are.
IMAGE_RANK = 4
#: How OpenVINO begins the lines before the one that says what is wrong: which of its own lines raised it.
OPENVINOS_CODE = ("Exception from ", "Check '")
#: A line of the user's code is cut to this many characters.
MAX_LINE = 80


class RunnerError(Exception):
    """What the job cannot do; ``kind`` becomes the harness's error type."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def shape_text(shape: Any) -> str:
    """A shape as messages show it."""
    return "x".join(str(size) if isinstance(size, (int, np.integer)) and size >= 0 else "?" for size in shape)


def failure(job: Job, problem: str, error: BaseException) -> RunnerError:
    """What the runtime's exception becomes; ``problem`` is what it prevented. A class of the user's is named with its line."""
    if not job["class"]:
        return RunnerError("artifact_unusable", f"{job['runtime']} {problem}: {first_line(error, job)}")
    own = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(job["code"] or "\0")
    ]
    place = f" ({Path(own[-1].filename).name}:{own[-1].lineno}: {(own[-1].line or '')[:MAX_LINE]})" if own else ""
    raised = type(error).__name__ + (f": {first_line(error, job)}" if str(error).strip() else "")
    return RunnerError("users_code", f"{job['runtime']} {problem}: {job['class']} raised {raised}{place}")


def first_line(error: BaseException, job: Job) -> str:
    """The first line of a library's message, the artifact by its name: its path would push the reason out of sight."""
    message = str(error).replace(job.get("artifact", "\0"), Path(job.get("artifact", "\0")).name).strip()
    lines = (message or type(error).__name__).splitlines()
    return next((line for line in lines if not line.startswith(OPENVINOS_CODE)), lines[0])[:300]
