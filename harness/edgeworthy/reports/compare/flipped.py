"""The samples whose prediction became worse, better, or only another one, from one side to the other."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.cells import CellId
from edgeworthy.errors import EdgeworthyError
from edgeworthy.metrics import TOP_K
from edgeworthy.reports.compare.sides import OneSide
from edgeworthy.reports.html.differing import Predicted
from edgeworthy.reports.html.pairs import Album, pairs_of
from edgeworthy.verdicts.compared_quality import unlike_samples
from edgeworthy.verdicts.sides import Sides
from edgeworthy.verdicts.snapshots import Snapshot

_NOT_KEPT = "not kept"
NAMES = "A", "B"


@dataclass(frozen=True, eq=False)
class Accepted(Predicted):
    """What a baseline keeps of a model's predictions: of each sample its class and whether it is right, or its score."""

    stored: Snapshot

    @functools.cached_property
    def predictions(self) -> Any:
        """Scores of classes that only say which class is the best; of another metric nothing is known but the score."""
        if self.stored.predictions is None:
            return np.full(len(self.values), _NOT_KEPT)
        return np.eye(max(self.values.shape[1], 2), dtype=np.float32)[self.stored.predictions]

    @functools.cached_property
    def correct(self) -> NDArray[np.bool_]:
        """As it was accepted."""
        assert self.stored.correct is not None
        return self.stored.correct

    @functools.cached_property
    def scores(self) -> NDArray[np.float64]:
        """As they were accepted; larger is better."""
        assert self.stored.scores is not None
        found = self.stored.scores.astype(np.float64)
        return found if self.truth.higher_is_better else -found


def flipped(sides: Sides, before: OneSide, after: OneSide, album: Album) -> dict[str, Any] | None:
    """The samples of a cell on both sides, as ``pairs_of`` has them; None where neither side has any.

    Only ``unseen``, a sentence, where they cannot be compared.
    """
    cell = sides.cell
    if not (sides.before.judged or sides.after.judged):
        return None
    if unlike := unlike_samples(sides):
        return {"unseen": unlike}
    found = [_predicted(cell, side, other) for side, other in ((before, after), (after, before))]
    if None in found or sides.before.judged != sides.after.judged:
        return {"unseen": "a side has no single predictions: a baseline of a metric over all samples keeps none"}
    old, new = (each for each in found if each)
    if old.values.shape != new.values.shape:
        return {"unseen": "the outputs have another shape"}
    try:
        return pairs_of(cell.model, old, new, album, NAMES)
    except EdgeworthyError as error:
        return {"unseen": error.message}


def _predicted(cell: CellId, side: OneSide, other: OneSide) -> Predicted | None:
    """What a side predicts; a baseline's samples are those of the ``other``, whose run says what they are judged by."""
    outputs, truth = side.outputs(cell), side.truth(cell.model) or other.truth(cell.model)
    if truth is None:
        return None
    if outputs is not None:
        return Predicted(outputs.values, truth)
    stored, shape = side.snapshots[cell], truth.reference.shape
    kept = stored.correct if truth.metric in TOP_K else stored.scores
    return None if kept is None else Accepted(np.zeros(shape, np.float32), truth, stored)
