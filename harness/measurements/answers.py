"""A model's answers beside what they are judged by: whether the two fit each other at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.config import Metric
from harness.errors import InputMismatch, SourceError
from harness.records import Artifact, Truth
from harness.sources.datasets import PreparedDataset
from harness.sources.labels import shifted

ACCURACIES = ("top1", "top5")


def truth_of(metric: Metric, dataset: PreparedDataset, reference: NDArray[np.float32], base: Path) -> Truth:
    """What answers are judged by. Raises SourceError where metric, targets and the reference's answers do not fit."""
    labels, name, predicts = dataset.labels(), metric.title, dataset.classes is None
    if name in ACCURACIES and predicts:
        raise SourceError(
            f"metric {name}: the targets of dataset {dataset.name!r} are numbers to predict, not class numbers",
            next_step="set the model's metric to mse, psnr or a function of your own",
        )
    if not metric.function and name not in ACCURACIES:
        if not predicts:
            raise SourceError(
                f"metric {name}: the targets of dataset {dataset.name!r} are class numbers, not numbers to predict",
                next_step="give the targets as floating-point numbers and no 'classes', or judge by top1",
            )
        if labels.shape != reference.shape:
            raise SourceError(
                f"metric {name}: the model answers {reference.shape[1]} numbers for a sample, "
                f"the targets of dataset {dataset.name!r} are {labels.shape[1]}",
                next_step="give targets of the shape of the model's output; images as (height, width, channels)",
            )
    folder = str(base) if metric.function else ""
    return Truth(labels, reference, name, dataset.checksum, metric.higher_is_better, metric.unit_of_value, folder)


def check_labels(model: str, values: NDArray[np.float32], dataset: PreparedDataset) -> None:
    """Raise SourceError where a float model's answers are right once the labels are shifted: then these are wrong."""
    shift = shifted(values.argmax(axis=1), dataset.labels()) if dataset.classes else None
    if shift:
        raise SourceError(
            f"dataset {dataset.name!r}: labels off by one: {model!r} answers label {-shift:+d} far more often than the label",
            next_step=f"with a labels file, add {shift} to 'label_offset'; else correct the labels",
        )


def check_answers(artifact: Artifact, values: NDArray[np.float32], dataset: PreparedDataset) -> None:
    """Raise InputMismatch where the model has another number of classes than the dataset."""
    if dataset.classes is not None and values.shape[1] != dataset.classes:
        raise InputMismatch(
            f"{artifact.path.name} ({artifact.recipe}): the model answers {values.shape[1]} classes, "
            f"the dataset {dataset.name!r} has {dataset.classes}",
            next_step="set the dataset's 'classes', or give the dataset that the model was trained for",
        )
