"""The inputs and outputs of a model, and those that a job means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .jobs import IMAGE_RANK, Array, Job, RunnerError, Shape


def check_signature(job: Job, inputs: list[tuple[str, str]], outputs: list[tuple[str, Any]]) -> None:
    """Raise RunnerError unless there are the job's inputs, (name, shape), and its outputs, (name, dtype), of numbers or texts."""
    if not inputs:
        raise RunnerError("input_mismatch", "the model takes no input")
    wanted = len(varying_inputs(job))
    if len(inputs) != wanted:
        names = ", ".join(f"{name} ({shape})" for name, shape in inputs)
        given = "one" if wanted == 1 else str(wanted)
        raise RunnerError("input_mismatch", f"the model takes {len(inputs)} inputs, not {given}: {names}")
    outputs_of_job = all_outputs(job)
    for name, kind in [each for each in outputs if each[0] in outputs_of_job] or outputs[:1]:
        if not isinstance(kind, np.dtype) or kind.kind not in "biufU":
            raise RunnerError("input_mismatch", f"the model's output {name!r} is {kind}, not real numbers")


def wanted_inputs(job: Job, found: dict[str, Any]) -> list[Any]:
    """A model's inputs by name in the order of the job's; the only one where that names none. Raises RunnerError."""
    names = [job["input_names"].get(each["name"]) for each in job["inputs"]["inputs"]]
    missing = [str(name) for name in names if name not in found]
    if missing:
        raise RunnerError("input_mismatch", f"the model has no input {missing[0]!r}; it has {', '.join(found)}")
    return [found[name] for name in names or list(found)[:1]]


def all_outputs(job: Job) -> list[str]:
    """The outputs that are wanted, and then those that are only a state."""
    return list(dict.fromkeys([*job["outputs"], *job["state"].values()]))


def varying_inputs(job: Job) -> list[bool]:
    """Of each input whether it is another for each sample, and not a number that all of them have."""
    return [each["constant"] is None for each in job["inputs"]["inputs"]] or [True]


def keeps_inside(job: Job) -> bool:
    """Whether samples are sequences whose state the artifact keeps in its variables, from one step to the next."""
    return not job["state"] and any(each["stepped"] for each in job["inputs"]["inputs"])


def with_state_shapes(job: Job, declared: list[Shape]) -> list[Shape]:
    """The shapes of the inputs, where the model leaves sizes of a state open that which the job gives it."""
    given = [each["follows"] and tuple(each["shape"]) for each in job["inputs"]["inputs"]] or [None]
    return [stated if stated and None in shape else shape for shape, stated in zip(declared, given, strict=True)]


def undeclared_shapes(job: Job) -> list[Shape]:
    """The shapes of the inputs of a model that declares none; a number that all samples have has no axes, if it is no state."""
    return [tuple(each["shape"]) if each["follows"] else () for each in job["inputs"]["inputs"]] or [()]


def undeclared_types(job: Job) -> list[Any]:
    """The types of the inputs of a model that declares none: float32, and of several those that are whole numbers, no images,
    int64; texts as they are."""
    batch = 0 if job["state"] else 1  # in place of the batch a sequence has its steps

    def type_of(named: dict[str, Any]) -> Any:
        if named["width"]:
            return str
        whole = not named["dtype"].startswith("float") and len(named["shape"]) + batch != IMAGE_RANK
        return np.int64 if whole else np.float32

    return [type_of(each) for each in job["inputs"]["inputs"]] or [np.float32]


def shaped(given: list[Any], shapes: Sequence[Shape]) -> list[Array]:
    """What the inputs are given, a number that all samples have in the shape that is declared for it; open sizes are 1."""
    return [
        values if isinstance(values, np.ndarray) else np.full([size or 1 for size in shape], values)
        for values, shape in zip(given, shapes, strict=True)
    ]


def wanted_outputs(names: Sequence[str], found: dict[str, Any]) -> list[Any]:
    """Of a model's outputs by name, those of ``names`` in their order; the first where none is named. Raises RunnerError."""
    missing = [name for name in names if name not in found]
    if missing:
        raise RunnerError("input_mismatch", f"the model has no output {missing[0]!r}; it has {', '.join(found)}")
    return [found[name] for name in names or list(found)[:1]]
