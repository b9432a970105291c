"""The task that a model's outputs are judged by, and what it makes of them."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.measurements.groups import Group, Grouped, groups_of, merged
from edgeworthy.records import Truth
from edgeworthy.tasks.corpus import Corpus
from edgeworthy.tasks.own import OWN
from edgeworthy.tasks.table import TASKS
from edgeworthy.tasks.task import Evidence, Measure, Predictions, Task
from edgeworthy.user_code.function_copies import load_copy
from edgeworthy.user_code.functions import load_function, users_code

Values = NDArray[np.float32]
SEED = 0
#: Models whose variants may be judged in turns.
_RECENT: deque[tuple[Truth, Judged]] = deque(maxlen=4)


def judged(truth: Truth) -> Judged:
    """The task of a truth; one and the same for the variants of a model, which are judged one after the other."""
    found = next((one for known, one in _RECENT if known is truth), None)
    if found is None:
        found = Judged(truth)
        _RECENT.append((truth, found))
    return found


class Judged:
    """A truth with a task: what the task makes of outputs (samples, values). Raises SourceError where there is none such."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.task = _task(truth)
        self._groups = groups_of(truth)

    def fitted(self, inputs: tuple[int, ...]) -> dict[str, Any]:
        """The task's options, as the truth has them, with those that follow from the shapes of outputs and ``inputs``.

        Raises SourceError where outputs or targets do not fit the task.
        """
        with self._users():
            fitted = self.task.fitted(self._truth.outputs, self._truth.labels, inputs).model_dump(mode="json")
        return {**self._truth.task, "options": fitted} if self._truth.task["kind"] == OWN else fitted

    def decode(self, values: Values) -> Predictions:
        """The predictions of all samples; where their sizes differ, those of each group of one size."""
        with self._users():
            if self._groups:
                return Grouped(self._groups, [self.task.decode(group.outputs(values)) for group in self._groups])
            return self.task.decode(self._truth.named(values))

    def of(self, predictions: Predictions) -> Corpus:
        """The metric that is judged, of these predictions."""
        with self._users():
            measure = self.task.measure(self._truth.metric)
            if self._groups:
                parts = [_evidence(measure, *pair) for pair in zip(predictions.parts, self._groups, strict=True)]
                evidence = merged(self._truth.metric, parts, self._groups)
            else:
                evidence = measure.evidence(predictions, self._truth.labels)
        return Corpus(measure, evidence, len(self._truth.labels))

    @functools.cached_property
    def reference(self) -> Corpus:
        """The metric of the reference's predictions."""
        return self.of(self.decode(self._truth.reference))

    @functools.cached_property
    def shuffled(self) -> Corpus:
        """The metric of the reference's outputs, each given to another sample: what a model has that knows nothing."""
        return self.of(self.decode(np.random.default_rng(SEED).permutation(self._truth.reference)))

    def same(self, first: Predictions, other: Predictions) -> NDArray[np.bool_]:
        """Whether two models' predictions are the same, sample by sample."""
        with self._users():
            if not self._groups:
                return self.task.agree(first, other)
            same = np.zeros(len(self._truth.labels), np.bool_)
            for group, one, another in zip(self._groups, first.parts, other.parts, strict=True):
                same[group.rows] = self.task.agree(one, another)
            return same

    def _users(self) -> AbstractContextManager[None]:
        own = bool(self._truth.folder)
        return users_code(f"task {self._truth.metric}", "correct the task's class") if own else nullcontext()


def _evidence(measure: Measure, predictions: Predictions, group: Group) -> Evidence:
    """The evidence of a group's samples. Raises SourceError where their outputs do not fit their targets."""
    try:
        return measure.evidence(predictions, group.labels)
    except (ValueError, IndexError) as error:
        raise SourceError(
            f"{group.described()}, which do not fit each other",
            hint="give each sample a target of the size of its output",
        ) from error


def _task(truth: Truth) -> Task:
    kind = truth.task["kind"]
    if kind == OWN:
        return _own(truth)
    if kind not in TASKS:
        raise SourceError(f"unknown task {kind!r}", hint="judge the run with the edgeworthy that made it")
    return TASKS[kind].model_validate(dict(truth.task))


def _own(truth: Truth) -> Task:
    """An instance of the user's class. Raises SourceError where it cannot be made, or is no task."""
    folder = Path(truth.folder)
    made: Callable[..., Any] = load_copy(truth.copy, folder) if truth.copy else load_function(truth.metric, folder)
    with users_code(f"task {truth.metric}", "correct the task's class, or its options in models.yaml"):
        task = made(**truth.task["options"])
    if not isinstance(task, Task):
        raise SourceError(f"{truth.metric} is no subclass of edgeworthy.Task", hint="derive it from edgeworthy.Task")
    return task
