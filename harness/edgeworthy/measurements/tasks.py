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
from edgeworthy.measurements.groups import Group, Grouped, groups_of, labels_of, merged
from edgeworthy.tasks.corpus import Corpus
from edgeworthy.tasks.own import OWN
from edgeworthy.tasks.table import TASKS
from edgeworthy.tasks.task import Evidence, Measure, NothingToFind, Predictions, Task
from edgeworthy.truth import Truth
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
        truth = self._truth
        with self._users():
            images = truth.image_sizes is not None
            task = self._fitted_to_images() if images else self.task.fitted(truth.outputs, truth.labels, inputs)
            fitted = task.model_dump(mode="json")
        return {**truth.task, "options": fitted} if truth.task["kind"] == OWN else fitted

    def _fitted_to_images(self) -> Task:
        """The task, fitted to the images of each size, which stays each group's. Raises SourceError as ``fitted`` does."""
        found: list[Task] = []
        nothing: NothingToFind | None = None
        for group in self._groups or []:
            try:
                task = self.task.fitted(group.shapes, group.labels, group.image or ())
            except NothingToFind as error:
                nothing = error
            except SourceError as error:
                where = (
                    f"{error.message} (counted among the samples like sample {group.rows[0]}, which are of one size)"
                )
                raise SourceError(where, hint=error.hint) from error
            else:
                found.append(task.model_copy(update={"image_size": None}))
        if nothing and not found:
            raise nothing
        if any(each != found[0] for each in found):
            raise SourceError(
                "the outputs of samples of different sizes would be decoded in different ways",
                hint="give the task's options, such as 'classes', or pad the samples: 'ragged: pad' in the model's entry",
            )
        return found[0]

    def decode(self, values: Values) -> Predictions:
        """The predictions of all samples; where their sizes differ, those of each group of one size."""
        with self._users():
            if self._groups:
                parts = [group.of(self.task).decode(group.outputs(values)) for group in self._groups]
                return Grouped(self._groups, parts)
            return self.task.decode(self._truth.named(values))

    def of(self, predictions: Predictions) -> Corpus:
        """The metric that is judged, of these predictions."""
        with self._users():
            measure = self.task.measure(self._truth.metric)
            if self._groups and measure.together:
                evidence = _evidence(measure, predictions.joined(), labels_of(self._truth))
            elif self._groups:
                evidence = merged(
                    [self._evidence_of(*pair) for pair in zip(predictions.parts, self._groups, strict=True)],
                    self._groups,
                )
            else:
                evidence = measure.evidence(predictions, self._truth.labels)
        return Corpus(measure, evidence, len(self._truth.labels))

    def _evidence_of(self, predictions: Predictions, group: Group) -> Evidence:
        """The evidence of a group's samples. Raises SourceError where their outputs do not fit their targets."""
        measure = group.of(self.task).measure(self._truth.metric)
        return _evidence(measure, predictions, group.labels, group.described())

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
                same[group.rows] = group.of(self.task).agree(one, another)
            return same

    def _users(self) -> AbstractContextManager[None]:
        own = bool(self._truth.folder)
        return users_code(f"task {self._truth.metric}", "correct the task's class") if own else nullcontext()


def _evidence(
    measure: Measure, predictions: Predictions, labels: Any, what: str = "outputs and targets of different sizes"
) -> Evidence:
    """The evidence of samples. Raises SourceError where ``what`` they are do not fit each other."""
    try:
        return measure.evidence(predictions, labels)
    except (ValueError, IndexError) as error:
        raise SourceError(
            f"{what}, which do not fit each other",
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
