"""What a model's outputs are judged by, and whether the two fit each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.folders import TEXT_ORDER
from edgeworthy.datasets.labels import shifted
from edgeworthy.datasets.model_sizes import ROWS
from edgeworthy.datasets.prepared import PreparedDataset
from edgeworthy.datasets.ragged import sizes_in
from edgeworthy.datasets.samples import IMAGE_RANK, Samples
from edgeworthy.errors import InputMismatch, SourceError
from edgeworthy.measurements.tasks import Judged
from edgeworthy.metrics import CLASSIFICATION, TOP_K
from edgeworthy.model_schema import Model
from edgeworthy.records import Artifact, Outputs
from edgeworthy.runners.python_runner.texts import FINGERPRINT
from edgeworthy.tasks.task import Task
from edgeworthy.truth import Truth

#: Texts are right or wrong, and none is second best.
TEXT_METRIC = "top1"


def truth_of(
    model: str,
    entry: Model,
    dataset: PreparedDataset,
    reference: NDArray[np.float32],
    outputs: Mapping[str, tuple[int, ...]],
    base: Path,
    sizes: NDArray[np.int64] | None = None,
) -> Truth:
    """What outputs are judged by. Raises SourceError where metric, targets and the reference's outputs do not fit.

    ``outputs`` are the reference's, name -> the shape of a sample; ``sizes`` are each sample's own where they differ.
    """
    metric, folder = entry.metric, str(base) if entry.metric.function else ""
    labels = dataset.targets() if entry.decodes else dataset.labels()
    name, better, unit = metric.title, metric.higher_is_better, metric.unit_of_value
    truth = Truth(labels, reference, name, dataset.checksum, better, unit, folder, outputs=outputs)
    truth = replace(truth, sizes=sizes, label_sizes=dataset.target_sizes())
    if entry.decodes:
        return _of_task(entry, dataset, truth, base)
    truth = replace(truth, threshold=threshold_of(reference, dataset.classes))
    if truth.by_fidelity:
        return truth
    if truth.several:
        raise SourceError(
            f"the model {model!r} has {len(outputs)} outputs: {', '.join(outputs)}, and none is chosen",
            hint="choose the one that is judged at the model's source in models.yaml, as 'output: NAME', name the model's 'task',"
            " or judge all of them without labels, by 'metric: fidelity'",
        )
    if truth.metric == TEXT_METRIC and dataset.targets().dtype.kind == "U":
        return _of_texts(model, dataset, reference, outputs)
    _check_targets(entry, dataset, reference, 2 if truth.threshold is not None else reference.shape[1])
    return _of_own_sizes(replace(truth, channels=dataset.target_channels()))


def _of_own_sizes(truth: Truth) -> Truth:
    """A truth whose outputs are compared with targets value by value, over each sample's own values.

    Raises SourceError for a function of the user's, and for outputs of other sizes than their targets.
    """
    sizes, targets = truth.sizes, truth.label_sizes
    if truth.folder and not (sizes is None and targets is None):
        raise SourceError(
            f"metric {truth.metric}: outputs or targets have different sizes, which a function is not given",
            hint="pad samples and targets to one size, or write a task of your own, which is given those of one size at a time",
        )
    if sizes is not None and targets is not None and not np.array_equal(sizes, targets):
        first = int((sizes != targets).any(axis=1).argmax()) if sizes.shape == targets.shape else 0
        raise SourceError(
            f"metric {truth.metric}: sample {first} has an output of {sizes[first].tolist()},"
            f" and a target of {targets[first].tolist()}",
            hint="give targets of the shape of the model's output; images as (height, width, channels)",
        )
    return replace(truth, sizes=targets if sizes is None else sizes)


def _check_targets(entry: Model, dataset: PreparedDataset, reference: NDArray[np.float32], classes: int) -> None:
    """Raise SourceError where the metric does not fit the targets, or these the reference's outputs for ``classes``."""
    name, labels, predicts = entry.metric.title, dataset.labels(), dataset.classes is None
    if name in TOP_K and predicts:
        raise SourceError(
            f"metric {name}: the targets of dataset {dataset.name!r} are numbers to predict, not class numbers",
            hint="set the model's metric to mse, psnr or a function of your own",
        )
    most = TOP_K.get(name, 0)
    if most > 1 and classes <= most:
        raise SourceError(
            f"metric {name}: dataset {dataset.name!r} has {classes} classes, and every label is among the best {most} of them",
            hint="set the model's metric to top1",
        )
    if not entry.metric.function and name not in TOP_K:
        if not predicts:
            raise SourceError(
                f"metric {name}: the targets of dataset {dataset.name!r} are class numbers, not numbers to predict",
                hint="give the targets as floating-point numbers and no 'classes', or judge by top1",
            )
        if labels.shape != reference.shape:
            raise SourceError(
                f"metric {name}: the model gives {reference.shape[1]} numbers for a sample, "
                f"the targets of dataset {dataset.name!r} are {labels.shape[1]}",
                hint="give targets of the shape of the model's output; images as (height, width, channels)",
            )


def _of_texts(
    model: str, dataset: PreparedDataset, reference: NDArray[np.float32], outputs: Mapping[str, tuple[int, ...]]
) -> Truth:
    """Labels that are texts, for a model whose one output is a text. Raises SourceError where it is none."""
    if list(outputs.values()) != [(FINGERPRINT,)]:
        raise SourceError(
            f"metric {TEXT_METRIC}: the targets of dataset {dataset.name!r} are texts, and what the model {model!r} gives is not"
            " one text for a sample",
            hint="choose the output that is the label, as 'output: NAME' at the model's source, or give class numbers as targets",
        )
    texts, labels = np.unique(dataset.targets(), return_inverse=True)
    kinds = tuple(map(str, texts))
    return Truth(labels.astype(np.int64), reference, TEXT_METRIC, dataset.checksum, outputs=outputs, texts=kinds)


def _of_task(entry: Model, dataset: PreparedDataset, truth: Truth, base: Path) -> Truth:
    """What the predictions of a task are judged by, its options completed. Raises SourceError where something does not fit."""
    task = entry.task.with_files(base) if isinstance(entry.task, Task) else entry.task
    assert task is not None
    truth = replace(truth, task=task.model_dump(mode="json"))
    if getattr(Judged(truth).task, "image_size", ()) is None:
        truth = replace(truth, image_sizes=_image_sizes(dataset.samples("evaluation")))
    if truth.sizes is None and truth.label_sizes is not None:  # the samples were padded, their targets were not
        labels = Judged(truth).task.padded(truth.labels, truth.label_sizes, truth.outputs)
        truth = replace(truth, labels=labels, label_sizes=None)
    return replace(truth, task=Judged(truth).fitted(dataset.input_shape))


def _image_sizes(samples: Samples) -> NDArray[np.int64] | None:
    """Height, width and channels of each sample's image, (samples, 3); None where all are alike, or none is the only one."""
    differing = [each for each in samples.inputs if each.ragged]
    if len(differing) != 1 or len(differing[0].shape) != IMAGE_RANK - 1:
        return None
    (image,), starts = differing, range(0, len(samples), ROWS)
    return np.concatenate([sizes_in(samples.read(row, row + ROWS), image) for row in starts])


def threshold_of(reference: NDArray[np.float32], classes: int | None) -> float | None:
    """Above which value the one output of a binary classifier means class 1; None for any other model.

    Outputs of the float reference within [0, 1] are probabilities, others are logits.
    """
    if classes != 2 or reference.shape[1] != 1:
        return None
    return 0.5 if reference.min() >= 0 and reference.max() <= 1 else 0.0


def check_labels(model: str, outputs: Outputs, dataset: PreparedDataset, entry: Model) -> None:
    """Raise SourceError where a float model's predictions are right once the labels are shifted: then these are wrong."""
    values = outputs.values
    if not _are_classes(outputs, dataset, entry) or not dataset.labelled or values.shape[1] == 1:
        return
    shift = shifted(values.argmax(axis=1), dataset.labels())
    if shift:
        raise SourceError(
            f"dataset {dataset.name!r}: labels off by one: {model!r} predicts label {-shift:+d} far more often than the label",
            hint=f"with a labels file, add {shift} to 'label_offset'; else correct the labels"
            + (
                f" (class folders {TEXT_ORDER}; named 01 to 10 they keep the order of the numbers)"
                if TEXT_ORDER in dataset.description
                else ""
            ),
        )


def check_outputs(artifact: Artifact, outputs: Outputs, dataset: PreparedDataset, entry: Model) -> None:
    """Raise InputMismatch where the model has another number of classes than the dataset; one output may mean two."""
    values = outputs.values
    if _are_classes(outputs, dataset, entry) and outputs.shapes == ((FINGERPRINT,),) and (np.abs(values) == 1).all():
        raise InputMismatch(
            f"{artifact.path.name} ({artifact.recipe}): the model gives texts, the targets of dataset {dataset.name!r} are class"
            " numbers",
            hint="give texts as targets, an array of dtype '<U', or choose the output of scores at the model's source",
        )
    if _are_classes(outputs, dataset, entry) and values.shape[1] not in _outputs_of(dataset.classes or 0):
        raise InputMismatch(
            f"{artifact.path.name} ({artifact.recipe}): the model gives {values.shape[1]} classes, "
            f"the dataset {dataset.name!r} has {dataset.classes}",
            hint="set the dataset's 'classes', or give the dataset that the model was trained for",
        )


def check_sizes(artifact: Artifact, outputs: Outputs, sizes: NDArray[np.int64] | None) -> None:
    """Raise InputMismatch where a sample's outputs have another size than the reference's, which has ``sizes``."""
    if sizes is None and outputs.sizes is None:
        return
    if sizes is None or outputs.sizes is None or sizes.shape != outputs.sizes.shape:
        problem = "its outputs do not follow the sizes of the samples as the reference's do"
    elif np.array_equal(sizes, outputs.sizes):
        return
    else:
        first = int((sizes != outputs.sizes).any(axis=1).argmax())
        own, wanted = ("x".join(map(str, each[first])) for each in (outputs.sizes, sizes))
        problem = f"sample {first} has outputs of {own}, by the reference {wanted}"
    raise InputMismatch(
        f"{artifact.path.name} ({artifact.recipe}): {problem}",
        hint="pad the samples to one size, with 'ragged: pad' in the model's entry",
    )


def _are_classes(outputs: Outputs, dataset: PreparedDataset, entry: Model) -> bool:
    """Whether the outputs are to be scores of the dataset's classes."""
    kind = entry.task.kind if entry.task else CLASSIFICATION
    return dataset.classes is not None and len(outputs.shapes) == 1 and kind == CLASSIFICATION


def _outputs_of(classes: int) -> tuple[int, ...]:
    return (1, 2) if classes == 2 else (classes,)
