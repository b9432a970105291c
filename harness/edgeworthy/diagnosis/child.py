"""The process that runs both graphs: ``python -m edgeworthy.diagnosis.child JOB.json``.

A job has ``runtime``, ``float`` and ``quantized`` (``path``, ``layout``, and what it calls several ``inputs`` and ``outputs``),
``samples`` (.npy, float32, images NHWC) and the ``inputs`` whose values stand in its rows, the ``outputs``' names, ``seconds``
and ``out``; the result is a ``Traced`` as JSON, or ``{"error": ...}`` with its hint.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.diagnosis.trace import Rows, VisibleGraph, opened, trace
from edgeworthy.errors import EdgeworthyError
from edgeworthy.records import Layout
from edgeworthy.runners.python_runner.lifetime import die_with_parent
from edgeworthy.storage import write_atomically
from edgeworthy.tensors import NamedInput


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
    floats, quantized = (_opened(job["runtime"], **job[side]) for side in ("float", "quantized"))
    rows = Rows(np.load(job["samples"], allow_pickle=False), tuple(map(NamedInput.from_json, job["inputs"])))
    delegated = quantized.delegated(Path(job["float"]["path"]))
    return trace(floats, quantized, rows, job["outputs"], job["seconds"], delegated).model_dump_json()


def _opened(runtime: str, *, path: str, layout: Layout, inputs: list[str], outputs: list[str]) -> VisibleGraph:
    return opened(runtime, Path(path), layout, inputs, outputs)


if __name__ == "__main__":
    main(sys.argv[1:])
