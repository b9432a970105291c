"""edgeworthy: accuracy and latency gates for quantized models.

What users import comes from here: ``from edgeworthy import recipe, load_run, device_clock``. Each name is loaded when it
is first asked for, so that importing the package costs nothing.

The folders tell the story of the data, each importing only what stands before it:
``sources -> variants -> targets -> measurements -> verdicts -> reports``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeworthy.cells import CellId
    from edgeworthy.errors import EdgeworthyError, RecipeRefused
    from edgeworthy.pytest_plugin.device_clock import device_clock
    from edgeworthy.records import Estimate, Verdict
    from edgeworthy.reports.frames import RunFrames, load_run
    from edgeworthy.tasks.task import Measure, Task, mean_of, of_sums
    from edgeworthy.variants.recipes.registry import preparation, recipe

__all__ = [
    "CellId",
    "EdgeworthyError",
    "Estimate",
    "Measure",
    "RecipeRefused",
    "RunFrames",
    "Task",
    "Verdict",
    "device_clock",
    "load_run",
    "mean_of",
    "of_sums",
    "preparation",
    "recipe",
]

#: The module of each public name.
_MODULES = {
    "CellId": "cells",
    "EdgeworthyError": "errors",
    "Estimate": "records",
    "Measure": "tasks.task",
    "RecipeRefused": "errors",
    "RunFrames": "reports.frames",
    "Task": "tasks.task",
    "Verdict": "records",
    "device_clock": "pytest_plugin.device_clock",
    "load_run": "reports.frames",
    "mean_of": "tasks.task",
    "of_sums": "tasks.task",
    "preparation": "variants.recipes.registry",
    "recipe": "variants.recipes.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'edgeworthy' has no attribute {name!r}")
    return getattr(importlib.import_module(f"edgeworthy.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
