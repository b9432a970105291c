"""Samples made ready in a thread of their own, while the runtime computes those before them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .inputs import Inputs
from .signatures import varying_inputs

#: So much of what is stored is made ready at once: handing it over then costs little, and no cache overflows.
READY_BYTES = 4 << 20


def batches_ahead(model: Any, inputs: Inputs, starts: list[int], batch: int) -> Iterator[list[Any]]:
    """The ``batch`` samples from each of ``starts`` on, as the model takes them. Raises RunnerError."""
    varying = varying_inputs(model.job)
    together = max(1, READY_BYTES // max(1, batch * inputs.bytes_of_sample))
    parts = [starts[first : first + together] for first in range(0, len(starts), together)]

    def ready(part: list[int]) -> list[Any]:
        made: list[Any] = model.native(inputs[part[0] : part[-1] + batch], part[0])
        return made

    with ThreadPoolExecutor(1) as thread:
        coming = [thread.submit(ready, part) for part in parts[:1]]
        for place, part in enumerate(parts):
            made = coming.pop().result()
            coming += [thread.submit(ready, following) for following in parts[place + 1 : place + 2]]
            for start in part:
                rows = slice(start - part[0], start - part[0] + batch)
                yield [each[rows] if varies else each for each, varies in zip(made, varying, strict=True)]
