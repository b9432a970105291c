"""Recipes that fine-tune a copy of the model before it becomes a .tflite: pruning, clustering, training with rounding.

They train in the source's own framework, Keras or PyTorch, on the dataset's ``train`` split, and keep the epoch with
the least loss on its ``validation`` split. From there on they go the way of ``fp32`` and ``int8``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Unpack

from pydantic import Field

from edgeworthy.records import Layout
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.recipes import litert
from edgeworthy.variants.recipes.litert import Calibration, fp32, int8
from edgeworthy.variants.recipes.registry import recipe
from edgeworthy.variants.training.fine_tuning import Training, TrainingOptions, fine_tuned
from edgeworthy.variants.training.weight_constraints import Clustering, Pruning, Rounding, Schedule

MINUTES = "a training of some epochs: seconds for the digits, as long as an epoch of yours takes times epochs"
litert_recipe = partial(
    recipe,
    runtime="litert",
    framework="tensorflow",
    trained=True,
    packages=(*litert.PACKAGES, "scipy"),
    cost=MINUTES,
)

Sparsity = Annotated[float, Field(gt=0, lt=1)]
Clusters = Annotated[int, Field(ge=2, le=256)]


def prune(
    source: OpenedSource,
    *,
    training: Training,
    sparsity: Sparsity = 0.5,
    schedule: Schedule = "polynomial",
    **options: Unpack[TrainingOptions],
) -> OpenedSource:
    """The source with a share of its weights zero."""
    return fine_tuned(source, training, options, lambda _: Pruning(sparsity, schedule))


def cluster(
    source: OpenedSource, *, training: Training, clusters: Clusters = 16, **options: Unpack[TrainingOptions]
) -> OpenedSource:
    """The source with few distinct weights in each layer."""
    return fine_tuned(source, training, options, lambda _: Clustering(clusters))


def train_with_rounding(
    source: OpenedSource, *, training: Training, **options: Unpack[TrainingOptions]
) -> OpenedSource:
    """The source with weights that learned to be rounded, and inputs of layers to be rounded."""
    return fine_tuned(source, training, options, lambda model: Rounding(model.channel_axes()), rounds_inputs=True)


@litert_recipe("pruned", prepare=prune, reference="Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878")
def pruned(source: OpenedSource, out: Path) -> Layout:
    """float32 with a share of the weights zero: the file compresses better and is not faster; float IO."""
    return fp32(source, out)


@litert_recipe(
    "pruned_int8", calibrated=True, prepare=prune, reference="Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878"
)
def pruned_int8(source: OpenedSource, out: Path, *, calibration: Calibration) -> Layout:
    """``pruned``, then ``int8``: a zero weight stays zero."""
    return int8(source, out, calibration=calibration)


@litert_recipe("clustered", prepare=cluster, reference="Han et al. 2016, https://arxiv.org/abs/1510.00149")
def clustered(source: OpenedSource, out: Path) -> Layout:
    """float32 with few distinct weights in each layer: the file compresses better and is not faster; float IO."""
    return fp32(source, out)


@litert_recipe(
    "qat_int8",
    calibrated=True,
    prepare=train_with_rounding,
    reference="Jacob et al. 2018, https://arxiv.org/abs/1712.05877",
)
def qat_int8(source: OpenedSource, out: Path, *, calibration: Calibration) -> Layout:
    """``int8`` of weights that were trained with rounded kernels and rounded inputs of layers; ranges from calibration."""
    return int8(source, out, calibration=calibration)
