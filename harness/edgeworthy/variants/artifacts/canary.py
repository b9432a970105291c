"""The canary: what is bad by construction, and must be rejected by the gate in every run. It is two things.

The reference's outputs, scrambled, are as good as chance: a budget that accepts them accepts anything. And the model's
own static int8 quantization, calibrated on real inputs times TOO_WIDE, is run as any variant is: the classic mistake of
feeding unscaled images to the calibrator, taken so far that every real input rounds to the same level. The process that
converts it checks that its outputs no longer depend on its inputs; where they do (the recipe left the model in float),
or where it cannot be made at all, the scrambled outputs stand alone, and the message says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import RecipeRefused
from edgeworthy.runtimes import Runtime
from edgeworthy.variants.models.same_model import ROUNDING, Infer, singly
from edgeworthy.variants.models.source_outputs import SourceOutputs
from edgeworthy.variants.recipes.parts import Recipe

#: One int8 step becomes four times as wide as all real inputs.
TOO_WIDE = 1000.0
SCRAMBLED = "the reference's outputs, scrambled"
HOW = f"int8 calibrated on inputs {TOO_WIDE:g} times too wide"
#: Calibration samples, of which this many bytes at most.
COUNT, MAX_BYTES = 16, 2**26
#: Samples on which it is looked at, and the share of the source's spread that its outputs may keep.
LOOKED_AT, MAX_SPREAD = 16, 0.1
SEED = 0


def canary_recipe(runtime: Runtime, recipes: Iterable[Recipe]) -> Recipe:
    """The recipe of the canary for a model whose reference runs in ``runtime``; of a user's own their first that may serve.

    Raises RecipeRefused where there is none.
    """
    for recipe in recipes:
        named = recipe.runtime == runtime and runtime.canary in (None, recipe.name)
        if named and recipe.calibrated and not recipe.trained and not recipe.needs_options:
            return recipe
    raise RecipeRefused(
        f"no recipe of the runtime {runtime} calibrates, so that none can be calibrated wrongly",
        hint="none is needed: the run's canary is the reference with its outputs in another order",
    )


def wrong_calibration(inputs: Samples) -> Samples:
    """Real ``inputs``, far too wide; the same file with one step more."""
    return replace(inputs, steps=(*inputs.steps, ("multiply", (TOO_WIDE,))))


def calibration_count(input_shape: tuple[int, ...]) -> int:
    """How many samples of this shape the canary is calibrated on."""
    return max(1, min(COUNT, MAX_BYTES // (4 * int(np.prod(input_shape)))))


def check_bad(source: SourceOutputs, infer: Infer) -> None:
    """Raise RecipeRefused where the canary's outputs still depend on its inputs: then it is not bad."""
    images, expected = source.probe(LOOKED_AT)
    given = singly(infer, images)
    least = ROUNDING * float(np.abs(expected).max()) or 1.0
    kept = float((np.ptp(given, axis=0) / np.maximum(np.ptp(expected, axis=0), least)).max())
    if kept > MAX_SPREAD:
        raise RecipeRefused(
            f"{HOW}, this model still computes: its outputs keep {100 * min(kept, 1):.0f} % of their spread",
            hint="none is needed: the run's canary is the reference with its outputs in another order",
        )


def scrambled(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """``outputs`` (samples, columns) of other samples, their columns in another order; a single column is mirrored.

    Another order alone may change little: of a map that is mostly empty, of the steps of a silence.
    """
    if outputs.shape[1] == 1:
        mirrored: NDArray[np.float32] = outputs.min() + outputs.max() - outputs
        return mirrored
    return np.random.default_rng(SEED).permuted(np.roll(outputs, len(outputs) // 2, axis=0), axis=1)
