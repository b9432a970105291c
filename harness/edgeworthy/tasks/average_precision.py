"""COCO's average precision, of any resampling of the samples: the mean over classes and thresholds of similarity.

Equals COCOeval of pycocotools (stats[0], and with the one threshold 0.5 stats[1]), in percent: area range "all", the best 100
detections of a class in an image, precision interpolated at 101 recalls.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.tasks.matching import MOST_OF_A_CLASS, Matches, Pairing, match
from edgeworthy.tasks.task import Evidence, Measure, Predictions, Targets, Weights

#: Numbers of detections or objects, (these, resamplings).
Counts = NDArray[np.int32]
#: Makes of a sample's prediction and its targets what is matched.
Pair = Callable[[Any, NDArray[Any]], Pairing]

#: COCO's thresholds of IoU or OKS, made as pycocotools makes them: comparisons at the border come out alike.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
HALF = THRESHOLDS[:1]
_RECALLS = np.linspace(0.0, 1.0, 101)
#: So many numbers of an array of (detections, resamplings) at once: what the processor's cache holds.
_NUMBERS_AT_ONCE = 2**16


def average_precision(pair: Pair, thresholds: NDArray[np.float64] = THRESHOLDS) -> Measure:
    """The mean average precision, percent. NaN where no sample that counts has an object that is not ignored.

    A sample that counts several times is like as many equal samples: exactly COCOeval's value of these, but where an image has
    several detections of a class with the same score, which there alternate, and here come one after the other.
    """
    return Measure(functools.partial(_evidence, pair, thresholds), _value)


def _evidence(pair: Pair, thresholds: NDArray[np.float64], predictions: Predictions, targets: Targets) -> Evidence:
    """Of each detection its ``samples`` index, class, and at each threshold whether it ``found`` something; of objects too.

    Sorted by class; detections then by descending score, and among equals in the order of the samples.
    """
    pairings = [pair(*one).within(MOST_OF_A_CLASS) for one in zip(predictions, targets, strict=True)]
    matched = [match(one, thresholds) for one in pairings]
    return {**_detections(pairings, matched), **_objects(pairings)}


def _detections(pairings: list[Pairing], matched: list[Matches]) -> Evidence:
    samples = np.repeat(np.arange(len(pairings)), [len(one.scores) for one in pairings])
    classes = np.concatenate([one.classes for one in pairings])
    order = np.lexsort((-np.concatenate([one.scores for one in pairings]), classes))  # stable
    return {
        "samples": samples[order],
        "classes": classes[order],
        "found": np.concatenate([one.found for one in matched])[order],
        "ignored": np.concatenate([one.ignored for one in matched])[order],
    }


def _objects(pairings: list[Pairing]) -> Evidence:
    samples = np.repeat(np.arange(len(pairings)), [int((~one.ignored).sum()) for one in pairings])
    classes = np.concatenate([one.object_classes[~one.ignored] for one in pairings])
    order = np.argsort(classes, kind="stable")
    return {"object_samples": samples[order], "object_classes": classes[order]}


def _value(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    counts = np.ascontiguousarray(weights.T, np.int32)  # (samples, resamplings): what is added up lies side by side
    total, present = np.zeros((2, len(weights)))
    for one in _by_class(evidence):
        at_once = max(1, _NUMBERS_AT_ONCE // max(1, len(one["samples"])))
        for start in range(0, len(weights), at_once):
            block = slice(start, start + at_once)
            objects = counts[one["object_samples"], block].sum(axis=0)
            total[block] += _of_class(one, counts[:, block], objects)
            present[block] += objects > 0
    return np.asarray(np.divide(100 * total, present, out=np.full(len(weights), np.nan), where=present > 0))


def _by_class(evidence: Evidence) -> Iterator[Evidence]:
    """The evidence of each class that has objects."""
    for one in np.unique(evidence["object_classes"]):
        detections = slice(*np.searchsorted(evidence["classes"], [one, one + 1]))
        objects = slice(*np.searchsorted(evidence["object_classes"], [one, one + 1]))
        yield {
            "samples": evidence["samples"][detections],
            "found": evidence["found"][detections],
            "ignored": evidence["ignored"][detections],
            "object_samples": evidence["object_samples"][objects],
        }


def _of_class(one: Evidence, counts: Counts, objects: NDArray[np.int64]) -> NDArray[np.float64]:
    """A class's average precision, the mean over thresholds, (resamplings,); 0 where it has no ``objects``."""
    found, weights, reached = one["found"], counts[one["samples"]], _reached(objects)
    detected = weights.cumsum(axis=0, dtype=np.int32)
    values = np.zeros(len(objects))
    for threshold in range(found.shape[1]):
        places = np.flatnonzero(found[:, threshold])
        if len(places):
            ignored = np.flatnonzero(one["ignored"][:, threshold])
            counted = detected[places] - _before(places, ignored, weights[ignored])
            values += _interpolated(weights[places].cumsum(axis=0, dtype=np.int32), counted, reached)
    return np.asarray(values / found.shape[1])


def _before(places: NDArray[np.int64], ignored: NDArray[np.int64], weights: Counts) -> Counts:
    """How many detections at the places ``ignored`` come before each of ``places``; ``weights`` are (ignored, resamplings)."""
    if not len(ignored):
        return np.zeros((1, 1), np.int32)
    total = np.zeros((len(ignored) + 1, weights.shape[1]), np.int32)
    weights.cumsum(axis=0, out=total[1:])
    return total[np.searchsorted(ignored, places)]


def _reached(objects: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the 101 recalls are reached where 0, 1, 2, ... of the objects are found, (resamplings, most objects + 1)."""
    recall = np.arange(objects.max() + 1) / np.maximum(objects, 1)[:, None]
    return np.searchsorted(_RECALLS, recall, side="right")


def _interpolated(found: Counts, counted: Counts, reached: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean over COCO's 101 recalls of the best precision at this recall or a higher one, (resamplings,).

    ``found`` and ``counted`` are numbers of detections up to each that finds an object, (these, resamplings): only there does
    the recall rise. The best precision from there on counts for the recalls that are reached there first.
    """
    precision = found / np.maximum(counted, 1)
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    rows = np.arange(0, reached.size, reached.shape[1])
    recalls = reached.ravel().take(found + rows)  # faster than take_along_axis
    first = np.diff(recalls, axis=0, prepend=0)
    return np.asarray(np.einsum("ij,ij->j", best, first)) / len(_RECALLS)
