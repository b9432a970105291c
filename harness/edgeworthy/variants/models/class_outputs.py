"""The outputs of an artifact that a class of the user's runs, inside the converting process, by the runner's own code."""

from __future__ import annotations

from pathlib import Path

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


def of_class(runtime: Runtime, path: Path, layout: Layout, ends: Ends, scratch: Path) -> Inference:
    """The artifact at ``path``, one sample at a time; ``ends`` are its source's. Raises ArtifactUnusable."""
    names = [each.name for each in ends.inputs]
    job = {
        "runtime": runtime.name,
        "module": runtime.module,
        "class": runtime.class_name,
        "code": unpack_code(runtime, scratch),
        "artifact": str(path),
        "threads": 1,
        "layout": layout,
        "inputs": {"inputs": [each.to_json() for each in ends.inputs]},
        "input_names": dict(zip(names, names, strict=True)),
        "outputs": list(ends.outputs) if len(ends.outputs) > 1 else [],
        "state": {each.name: each.follows for each in ends.inputs if each.follows},
    }
    try:
        model = models.load(job)
    except jobs.RunnerError as error:
        raise ArtifactUnusable(str(error), hint=CORRECT_CLASS) from error

    def infer(images: Images) -> list[Values]:
        try:
            model.feed(model.native(values_of(images, ends.inputs, layout, [()] * len(ends.inputs))))
            model.invoke()
            return [as_stored(np.asarray(each, np.float32), layout) for each in model.output()]
        except jobs.RunnerError as error:
            raise ArtifactUnusable(str(error), hint=CORRECT_CLASS) from error
        except Exception as error:
            raise ArtifactUnusable(str(jobs.failure(job, "failed", error)), hint=CORRECT_CLASS) from error

    return in_batches(infer, 1, ends)
