"""No sample may be in two splits: calibrating or training on evaluation samples makes the evaluation worthless."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError

#: An error names at most this many samples.
NAMED = 3
#: Pairs of splits that must share no sample.
APART = (
    ("calibration", "evaluation"),
    ("train", "evaluation"),
    ("validation", "evaluation"),
    ("train", "validation"),  # early stopping uses these
)


def row_digests(values: Iterable[NDArray[Any]]) -> list[str]:
    """The sha256 of each sample of an array (N, ...), or of each of several arrays."""
    return [hashlib.sha256(np.ascontiguousarray(row).data).hexdigest() for row in values]


def refuse_overlap(names: Mapping[str, Sequence[str]], digests: Mapping[str, Sequence[str]]) -> None:
    """Raise SourceError where two splits of APART hold the same content, naming both samples of each pair."""
    for split, other in APART:
        if split not in digests or other not in digests:
            continue
        where = dict(zip(digests[other], names[other], strict=True))
        shared = [
            f"{name} = {where[content]}"
            for name, content in zip(names[split], digests[split], strict=True)
            if content in where
        ]
        if shared:
            more = ", ..." if len(shared) > NAMED else ""
            raise SourceError(
                f"{len(shared)} of {len(names[split])} {split} samples are {other} samples too:"
                f" {', '.join(shared[:NAMED])}{more}",
                hint=f"choose other {split} samples: the {other} samples must be unseen",
            )
