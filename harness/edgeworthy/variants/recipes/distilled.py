"""A preparation in which another, smaller model takes the model's place: a student, which learns from its outputs.

It is built in its own framework, Keras or PyTorch, trained on the dataset's ``train`` split, and kept as it was after the epoch
in which it came nearest to the teacher on the ``validation`` split.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Unpack

from pydantic import AfterValidator

from edgeworthy.source_schema import RANDOM, FixedSource
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.recipes.registry import preparation
from edgeworthy.variants.recipes.trained import MINUTES, PACKAGES
from edgeworthy.variants.training import distilling
from edgeworthy.variants.training.distilling import DistillingOptions
from edgeworthy.variants.training.fine_tuning import Training

SUFFIXES = (".keras", ".h5")


def _one_way(given: dict[str, str]) -> dict[str, str]:
    if set(given) not in ({"path"}, {"factory"}, {"factory", "weights"}):
        raise ValueError(
            "a student is {path: student.keras}, or {factory: 'file.py:function'} and, if it has any, its weights"
        )
    if "path" in given and Path(given["path"]).suffix.lower() not in SUFFIXES:
        raise ValueError(f"a student's file is one that can be trained: {' or '.join(SUFFIXES)}")
    return given


def student_of(options: Mapping[str, Any]) -> FixedSource:
    """The student as a source: of a factory without weights, with those that it is built with."""
    given = options["student"]
    return FixedSource.model_validate(given if "path" in given else {"weights": RANDOM, **given})


@preparation(
    "distilled",
    trained=True,
    packages=PACKAGES,
    another=student_of,
    cost=MINUTES,
    reference="Hinton et al. 2015, https://arxiv.org/abs/1503.02531",
)
def distilled(
    source: OpenedSource,
    *,
    training: Training,
    student: Annotated[dict[str, str], AfterValidator(_one_way)],
    **options: Unpack[DistillingOptions],
) -> OpenedSource:
    """The student in the source's place, with what it learned of the source's outputs."""
    scratch = Path(tempfile.mkdtemp(dir=source.scratch))
    opened = OpenedSource(student_of({"student": student}), source.base_dir, source.samples, source.classes, scratch)
    return distilling.distilled(source, opened, training, options)
