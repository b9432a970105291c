"""A cell's samples beside its reference's: which were lost, which were gained, shown, and what is mixed up since."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import EdgeworthyError
from edgeworthy.reports.html.differing import Differing, Indices, Predicted, confusion, differing
from edgeworthy.reports.html.shown.predictions import ClassNames, Shown, shown_prediction, shown_target
from edgeworthy.reports.html.shown.samples import Sample, Samples
from edgeworthy.truth import Truth
from edgeworthy.user_code.functions import users_code

#: Of a cell so many samples of a kind are shown, of a page so many, the worst cells' first.
EACH, ALL = 8, 1600
#: Rows of what is mixed up.
MIXED = 8


@dataclass
class Album:
    """The samples that a page shows, the pictures each once. ``samples`` finds those of a model."""

    samples: Callable[[str], Samples | str]
    pictures: dict[str, str] = field(default_factory=dict)
    _room: int = ALL
    _found: dict[str, Samples | str] = field(default_factory=dict)
    _seen: dict[str, dict[str, Any]] = field(default_factory=dict)

    def admitted(self, indices: Indices) -> list[int]:
        """As many of them as there is room for; asked once for each place in the page."""
        found = [int(index) for index in indices[: self._room]]
        self._room -= len(found)
        return found

    def why_not(self, model: str) -> str:
        """Why samples of a model are not shown; empty where they are."""
        found = self._of(model)
        return found if isinstance(found, str) else "" if self._room else "the page has no room for more of them"

    def class_names(self, model: str) -> Sequence[str]:
        """The names that the model's dataset has for classes; none where it is not at hand."""
        found = self._of(model)
        return () if isinstance(found, str) else found.dataset.class_names

    def sample(self, model: str, index: int) -> dict[str, Any]:
        """A sample: the key of its ``picture`` and its ``shape``, or its ``text``; nothing where it is not at hand."""
        key, found = f"{model}/{index}", self._of(model)
        if key not in self._seen:
            self._seen[key] = {} if isinstance(found, str) else self._taken(key, found[index])
        return self._seen[key]

    def _taken(self, key: str, sample: Sample) -> dict[str, Any]:
        found = {"text": sample.text} if sample.text else {}
        if not sample.picture:
            return found
        self.pictures[key] = sample.picture
        return {**found, "picture": key, "shape": sample.shape}

    def _of(self, model: str) -> Samples | str:
        if model not in self._found:
            self._found[model] = self.samples(model)
        return self._found[model]


class References:
    """The predictions of each model's reference, made once for all of its cells."""

    def __init__(self) -> None:
        self._found: dict[str, Predicted] = {}

    def pairs(self, model: str, truth: Truth, values: NDArray[np.float32], album: Album) -> dict[str, Any]:
        """The cell with these outputs against its reference; only ``unseen``, a sentence, where they cannot be compared."""
        if model not in self._found:
            self._found[model] = Predicted(truth.reference, truth)
        own = users_code(f"showing predictions of {truth.metric}", "give one prediction for each sample, to be indexed")
        try:
            with own if truth.folder else nullcontext():
                return pairs_of(model, self._found[model], Predicted(values, truth), album)
        except EdgeworthyError as error:
            return {"unseen": error.message}


def pairs_of(
    model: str, before: Predicted, after: Predicted, album: Album, names: tuple[str, str] = ("reference", "this cell")
) -> dict[str, Any]:
    """Two models on the same samples, as plain data. Raises EdgeworthyError where a function of the user's fails.

    ``names`` are those of the two. ``groups`` are samples that were lost, gained or changed, with some of them shown; ``unseen``
    says why samples are not shown.
    """
    found = differing(before, after)
    groups = [
        {"title": title, "count": len(indices), "shown": _shown(model, indices[:EACH], before, after, album, names)}
        for title, indices in _titled(found)
        if len(indices)
    ]
    unseen = album.why_not(model) if groups else ""
    classes = _class_names(model, after.truth, album)
    mixed = [[*map(classes.of, each[:3]), each.samples] for each in confusion(before, after, MIXED)]
    return {"samples": found.samples, "groups": groups, "confusion": mixed, "unseen": unseen, "names": names}


def _class_names(model: str, truth: Truth, album: Album) -> ClassNames:
    return ClassNames(truth.texts, album.class_names(model))


def _titled(found: Differing) -> list[tuple[str, Indices]]:
    return [("Lost", found.lost), ("Gained", found.gained), ("Different, neither better nor worse", found.changed)]


def _shown(
    model: str, indices: Indices, before: Predicted, after: Predicted, album: Album, names: tuple[str, str]
) -> list[dict[str, Any]]:
    """These samples, as far as the page has room: what they are, what both models predict of them, and the target."""
    kind, labels, classes = after.kind, after.truth.labels, _class_names(model, after.truth, album)
    with_target = not after.truth.random_weights and (labels.ndim == 1 or labels.shape[1:] != (0,))
    shown = []
    for index in album.admitted(indices):
        sides = zip(names, (before.predictions[index], after.predictions[index]), strict=True)
        told = {"target": shown_target(kind, labels[index], classes)} if with_target else {}
        told |= {name: shown_prediction(kind, prediction, classes) for name, prediction in sides}
        sample = album.sample(model, index)
        shown.append({"index": index, **sample, "told": {name: _plain(each) for name, each in told.items()}})
    return shown


def _plain(shown: Shown) -> dict[str, Any]:
    """Without what is empty."""
    return {"text": shown.text} | {name: value for name, value in asdict(shown).items() if value}
