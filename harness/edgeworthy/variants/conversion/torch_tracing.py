"""A trace of a PyTorch module that recorded the whole of it, or a refusal that names the line where it did not.

A tracer runs the module on one example: of an ``if`` on the values of the input it records the branch that the example
takes, and only warns. An ``if`` on shapes gives the same warning and is harmless, for shapes are fixed. The two are
distinguished by running the module on tensors that have a shape and no values.
"""

from __future__ import annotations

import copy
import linecache
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeworthy.errors import RecipeRefused


@contextmanager
def whole_trace(module: Any, *examples: Any) -> Iterator[None]:
    """Raise RecipeRefused where what is traced or exported inside the block branches on the values of ``examples``."""
    import torch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", torch.jit.TracerWarning)
        try:
            yield
        except Exception:
            refuse_branches(module, examples)
            raise
    warned = [warning for warning in caught if issubclass(warning.category, torch.jit.TracerWarning)]
    if warned:
        refuse_branches(module, examples, warned[0])


def refuse_branches(module: Any, examples: Sequence[Any], warned: warnings.WarningMessage | None = None) -> None:
    """Raise RecipeRefused where ``module`` branches on values, or ``warned`` of it cannot be shown to be harmless."""
    from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

    valueless = FakeTensorMode(allow_non_fake_inputs=True)
    try:
        apart = copy.deepcopy(module)  # outside of the mode, in which tensors have no storage to copy
        with valueless:
            apart(*(valueless.from_tensor(each) for each in examples))
    except DataDependentOutputException as error:
        raise RecipeRefused(
            f"the module branches on the values of its input{_place(error)}, and an export records one branch only",
            hint="compute both branches and choose with torch.where, or use torch.cond",
        ) from error
    except Exception as error:  # it cannot be shown that the warning is harmless
        if warned is not None:
            raise RecipeRefused(
                f"the trace is not the whole module: {Path(warned.filename).name}, line {warned.lineno}:"
                f" {str(warned.message).split('. ')[0]}",
                hint="compute with tensors there, not with Python values",
            ) from error


def _place(error: BaseException) -> str:
    """The innermost line outside of torch, as `` at net.py, line 14 (if x.mean() > 0.5:)``."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/torch/" not in frame.filename]
    frames = [frame for frame in frames if frame.filename != __file__]
    if not frames:
        return ""
    line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
    return f" at {Path(frames[-1].filename).name}, line {frames[-1].lineno}{f' ({line})' if line else ''}"
