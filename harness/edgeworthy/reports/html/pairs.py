"""A cell's samples beside its reference's: which were lost, which were gained, shown, and what is mixed up since."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import EdgeworthyError
from edgeworthy.records import Truth
from edgeworthy.reports.html.differing import Differing, Indices, Mixed, Predicted, confusion, differing
from edgeworthy.reports.html.shown.predictions import Shown, shown_prediction, shown_target
from edgeworthy.reports.html.shown.samples import Sample, Samples

#: Of a cell so many samples of a kind are shown, of a page so many different ones, the worst cells' first.
EACH, ALL = 8, 400
#: Rows of what is mixed up.
MIXED = 8


@dataclass(frozen=True)
class ShownSample:
    """One sample: its number in the evaluation split, a key of the page's pictures, and what is predicted of it."""

    index: int
    key: str
    sample: Sample | None
    target: Shown | None
    before: Shown
    after: Shown


@dataclass(frozen=True)
class Group:
    """Samples of one kind: how many there are, and some of them shown."""

    title: str
    count: int
    shown: Sequence[ShownSample]


@dataclass(frozen=True)
class Pairs:
    """A cell against its reference. ``unseen`` says why samples are not shown, where they are not."""

    samples: int
    groups: Sequence[Group]
    confusion: Sequence[Mixed]
    unseen: str = ""


@dataclass
class Album:
    """The pictures of a page, each once: ``pictures`` are data URIs by their keys. ``samples`` finds those of a model."""

    samples: Callable[[str], Samples | str]
    pictures: dict[str, str] = field(default_factory=dict)
    _found: dict[str, Samples | str] = field(default_factory=dict)
    _seen: dict[str, Sample] = field(default_factory=dict)

    def why_not(self, model: str) -> str:
        """Why the samples of a model cannot be shown; empty where they can."""
        found = self._of(model)
        return found if isinstance(found, str) else ""

    def sample(self, model: str, index: int) -> tuple[str, Sample | None]:
        """A sample and its picture's key; None where it is not at hand, or the page has ALL others."""
        key, found = f"{model}/{index}", self._of(model)
        if key not in self._seen and not isinstance(found, str) and len(self._seen) < ALL:
            self._seen[key] = found[index]
            if self._seen[key].picture:
                self.pictures[key] = self._seen[key].picture
        return key, self._seen.get(key)

    def _of(self, model: str) -> Samples | str:
        if model not in self._found:
            self._found[model] = self.samples(model)
        return self._found[model]


class References:
    """The predictions of each model's reference, made once for all of its cells."""

    def __init__(self) -> None:
        self._found: dict[str, Predicted] = {}

    def pairs(self, model: str, truth: Truth, values: NDArray[np.float32], album: Album) -> Pairs | str:
        """The cell with these outputs against its reference; a sentence where they cannot be compared."""
        if model not in self._found:
            self._found[model] = Predicted(truth.reference, truth)
        before, after = self._found[model], Predicted(values, truth)
        try:
            return pairs_of(model, before, after, album)
        except EdgeworthyError as error:
            return error.message


def pairs_of(model: str, before: Predicted, after: Predicted, album: Album) -> Pairs:
    """Two models on the same samples. Raises EdgeworthyError where a function of the user's fails."""
    found = differing(before, after)
    groups = [
        Group(title, len(indices), [_shown(model, int(index), before, after, album) for index in indices[:EACH]])
        for title, indices in _titled(found)
        if len(indices)
    ]
    unseen = album.why_not(model) if groups else ""
    return Pairs(found.samples, groups, confusion(before, after, MIXED), unseen)


def _titled(found: Differing) -> list[tuple[str, Indices]]:
    return [("Lost", found.lost), ("Gained", found.gained), ("Different, neither better nor worse", found.changed)]


def _shown(model: str, index: int, before: Predicted, after: Predicted, album: Album) -> ShownSample:
    key, sample = album.sample(model, index)
    kind, labels = after.kind, after.truth.labels
    told = not after.truth.random_weights and (labels.ndim == 1 or labels.shape[1:] != (0,))
    return ShownSample(
        index,
        key,
        sample,
        shown_target(kind, labels[index]) if told else None,
        shown_prediction(kind, before.predictions[index]),
        shown_prediction(kind, after.predictions[index]),
    )
