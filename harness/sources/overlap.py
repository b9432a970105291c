"""No sample may serve two purposes: quantization ranges, or weights, made on what is judged make the judgement worthless."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import SourceError

#: An error names so many of the samples.
NAMED = 3
#: What each part must share nothing with.
APART = (
    ("calibration", "evaluation"),
    ("train", "evaluation"),
    ("validation", "evaluation"),
    ("train", "validation"),  # epochs are chosen on these
)


def row_digests(values: NDArray[Any]) -> list[str]:
    """The sha256 of each sample of an array (N, ...)."""
    return [hashlib.sha256(np.ascontiguousarray(row).data).hexdigest() for row in values]


def refuse_overlap(names: Mapping[str, Sequence[str]], digests: Mapping[str, Sequence[str]]) -> None:
    """Raise SourceError where two parts of APART hold the same content, naming both samples of each pair."""
    for part, other in APART:
        if part not in digests or other not in digests:
            continue
        where = dict(zip(digests[other], names[other], strict=True))
        shared = [
            f"{name} = {where[content]}"
            for name, content in zip(names[part], digests[part], strict=True)
            if content in where
        ]
        if shared:
            more = ", ..." if len(shared) > NAMED else ""
            raise SourceError(
                f"{len(shared)} of {len(names[part])} {part} samples are {other} samples too:"
                f" {', '.join(shared[:NAMED])}{more}",
                next_step=f"take other {part} samples: what is judged must not have been seen",
            )
