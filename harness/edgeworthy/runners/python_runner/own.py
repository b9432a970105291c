"""A file that a class of the user's runs."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .jobs import Array, Job, RunnerError
from .signatures import all_outputs, wanted_inputs, wanted_outputs
from .undeclared import Undeclared

#: The method of the class that a runner calls for every inference.
RUN = "run"


class OwnModel(Undeclared):
    """An artifact in the user's class, which is made with its path and ``threads``, and declares nothing of itself."""

    def __init__(self, job: Job) -> None:
        made = getattr(sys.modules[job["module"]], job["class"], None)
        if not callable(made):
            raise RunnerError("users_code", f"the runtime {job['runtime']}: its file has no class {job['class']!r}")
        super().__init__(job)
        #: What the class calls its several inputs; [] of a single one, which is given as it is.
        self.names: list[str] = wanted_inputs(job, {name: name for name in job["input_names"].values()})
        self.run: Any = getattr(made(job["artifact"], threads=job["threads"]), RUN, None)
        if not callable(self.run):
            raise RunnerError("users_code", f"the runtime {job['runtime']}: {job['class']} has no method {RUN}")
        self.samples = 0
        self.given: Any = None
        self.result: Any = None

    def native(self, given: list[Array], first: int = 0) -> list[Array]:
        """Samples as the class takes them, by input."""
        return self.typed(given)

    def feed(self, native: list[Array]) -> None:
        """Set the inputs."""
        self.samples = max((len(each) for each in native if each.ndim), default=1)
        self.given = dict(zip(self.names, native, strict=True)) if len(self.names) > 1 else native[0]

    def invoke(self) -> None:
        """One inference."""
        self.result = self.run(self.given)

    def output(self) -> list[Array]:
        """The wanted outputs, as the class gives them. Raises RunnerError where they are no arrays of numbers, (n, ...)."""
        names = all_outputs(self.job)
        if isinstance(self.result, dict):
            found = {str(name): np.asarray(each) for name, each in self.result.items()}
        else:
            several = list(self.result) if names and isinstance(self.result, (tuple, list)) else [self.result]
            found = {name: np.asarray(each) for name, each in zip(names or [""], several, strict=False)}
        wanted: list[Array] = wanted_outputs(names, found)
        for each in wanted:
            # A model with state runs one step, and its states may have no axis of samples.
            whole = self.job["state"] or each.shape[:1] == (self.samples,)
            if each.dtype.kind not in "biuf" or not whole:
                raise RunnerError(
                    "users_code",
                    f"{self.job['runtime']}: {RUN} of {self.job['class']} returned {each.dtype} {each.shape} for"
                    f" {self.samples} sample{'s' if self.samples > 1 else ''}, not numbers of shape ({self.samples}, ...)",
                )
        return wanted
