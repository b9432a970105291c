"""The process that runs both graphs: ``python -m edgeworthy.diagnosis.child JOB.json``.

A job has ``runtime``, ``float`` and ``quantized`` (``path`` and ``layout``), ``inputs`` (.npy, float32, images NHWC), ``seconds``
and ``out``; the result is a ``Traced`` as JSON, or ``{"error": ...}`` with its hint.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.datasets.samples import in_layout
from edgeworthy.diagnosis.trace import opened, trace
from edgeworthy.errors import EdgeworthyError
from edgeworthy.runners.python_runner.lifetime import die_with_parent
from edgeworthy.storage import write_atomically


def main(arguments: list[str]) -> None:
    """Do the job that the file ``arguments[0]`` describes."""
    die_with_parent()
    job = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        answer = _traced(job)
    except EdgeworthyError as error:
        answer = json.dumps({"error": error.message, "hint": error.hint})
    write_atomically(Path(job["out"]), answer.encode())


def _traced(job: dict[str, Any]) -> str:
    floats, quantized = (
        opened(job["runtime"], Path(job[side]["path"]), job[side]["layout"]) for side in ("float", "quantized")
    )
    inputs = np.load(job["inputs"], allow_pickle=False)
    both = [in_layout(inputs, job[side]["layout"]) for side in ("float", "quantized")]
    delegated = quantized.delegated(Path(job["float"]["path"]))
    return trace(floats, quantized, (both[0], both[1]), job["seconds"], delegated).model_dump_json()


if __name__ == "__main__":
    main(sys.argv[1:])
