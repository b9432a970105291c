"""The outputs of an artifact by the runner's own code, inside the converting process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgeworthy.datasets.samples import as_stored
from edgeworthy.errors import ArtifactUnusable
from edgeworthy.records import Layout
from edgeworthy.runners.python_runner import jobs, models
from edgeworthy.runtimes import Runtime
from edgeworthy.user_code.own_runtimes import CORRECT_CLASS, unpack_code
from edgeworthy.variants.models.model_inputs import Ends, values_of
from edgeworthy.variants.models.model_outputs import Inference, in_batches
from edgeworthy.variants.models.same_model import Images, Values


class Called(NamedTuple):
    """What an artifact calls its source's inputs, its outputs, () of one, and the outputs that become a state, by input."""

    inputs: Mapping[str, str]
    outputs: Sequence[str]
    state: Mapping[str, str]


def of_runner(runtime: Runtime, path: Path, layout: Layout, ends: Ends, called: Called, scratch: Path) -> Inference:
    """The artifact at ``path``, one sample at a time; ``ends`` are its source's.

    Raises RunnerError, or ArtifactUnusable where a class of the user's runs it.
    """
    job = {
        "runtime": runtime.name,
        "module": runtime.module,
        "class": runtime.class_name,
        "code": unpack_code(runtime, scratch),
        "artifact": str(path),
        "threads": 1,
        "layout": layout,
        "inputs": {"inputs": [each.to_json() for each in ends.inputs]},
        "input_names": dict(called.inputs),
        "outputs": list(called.outputs),
        "state": dict(called.state),
    }
    with _naming_users_class(runtime):
        model = models.load(job)

    def infer(images: Images) -> list[Values]:
        with _naming_users_class(runtime):
            try:
                model.feed(model.native(values_of(images, ends.inputs, layout, model.input_shapes)))
                model.invoke()
                return [as_stored(np.asarray(each, np.float32), layout) for each in model.output()]
            except jobs.RunnerError:
                raise
            except Exception as error:
                raise jobs.failure(job, "failed", error) from error

    return in_batches(infer, 1, ends)


@contextmanager
def _naming_users_class(runtime: Runtime) -> Iterator[None]:
    """Turn a RunnerError inside the block into ArtifactUnusable where it is one of a class of the user's."""
    try:
        yield
    except jobs.RunnerError as error:
        if runtime.class_name is None:
            raise
        raise ArtifactUnusable(str(error), hint=CORRECT_CLASS) from error
