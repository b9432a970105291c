"""Preparations that fine-tune a copy of the model before it is exported: pruning, clustering, training with rounding.

They train in the source's own framework, Keras or PyTorch, on the dataset's ``train`` split, and keep the epoch with
the least loss on its ``validation`` split. Any recipe exports what they return.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Unpack

from pydantic import Field

from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.recipes.registry import preparation
from edgeworthy.variants.training.fine_tuning import Training, TrainingOptions, fine_tuned
from edgeworthy.variants.training.weight_constraints import Clustering, Pruning, Rounding, Schedule

MINUTES = "a training of some epochs: seconds for the digits, as long as an epoch of yours takes times epochs"
PACKAGES = ("tensorflow", "keras", "torch", "scipy")
trained = partial(preparation, trained=True, packages=PACKAGES, cost=MINUTES)

Sparsity = Annotated[float, Field(gt=0, lt=1)]
Clusters = Annotated[int, Field(ge=2, le=256)]


@trained(
    "pruned",
    reference="Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878",
)
def pruned(
    source: OpenedSource,
    *,
    training: Training,
    sparsity: Sparsity = 0.5,
    schedule: Schedule = "polynomial",
    **options: Unpack[TrainingOptions],
) -> OpenedSource:
    """The source with a share of its weights zero: its file compresses better and is not faster."""
    return fine_tuned(source, training, options, lambda _: Pruning(sparsity, schedule))


@trained(
    "clustered",
    reference="Han et al. 2016, https://arxiv.org/abs/1510.00149",
    undone_by={"pruned": "it makes single weights zero, and clustering made them equal to others"},
)
def clustered(
    source: OpenedSource, *, training: Training, clusters: Clusters = 16, **options: Unpack[TrainingOptions]
) -> OpenedSource:
    """The source with few distinct weights in each layer: its file compresses better and is not faster."""
    return fine_tuned(source, training, options, lambda _: Clustering(clusters))


@trained(
    "qat",
    reference="Jacob et al. 2018, https://arxiv.org/abs/1712.05877",
    weights="int8",
    undone_by={"*": "it changes the weights, which learned to be rounded"},
)
def qat(source: OpenedSource, *, training: Training, **options: Unpack[TrainingOptions]) -> OpenedSource:
    """The source with weights that learned to be rounded, and inputs of layers to be rounded."""
    return fine_tuned(source, training, options, lambda model: Rounding(model.channel_axes()), rounds_inputs=True)
