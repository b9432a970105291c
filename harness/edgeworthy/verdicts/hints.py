"""What to do about lost accuracy: it depends on what the variant's recipe does to the model."""

from __future__ import annotations

from dataclasses import replace

from edgeworthy.records import Verdict
from edgeworthy.variants.recipes.parts import Recipe
from edgeworthy.verdicts.accuracy import INVALID, REPAIR

_REFERENCE = "this is the model's reference: check the model, its labels and its preprocessing, or the budget"
_FLOAT = "this variant is not quantized: check its conversion, and the preprocessing and layout of its input"
_TRAINED = "train for more epochs, or ask for less: a lower sparsity, more clusters, a larger student"
_VNNI = "set its option reduce_range if the target is an x86 processor without VNNI, where 8-bit products saturate"
_FLOAT16 = "values beyond 65504 are lost in float16: keep this model in float32, or quantize it to int8"


def quantizes(recipe: Recipe) -> bool:
    """Whether the recipe makes integers of weights or activations: not where it converts, trains or halves alone."""
    if recipe.weights:
        return not recipe.weights.startswith("float")
    return recipe.calibrated or not (recipe.lossless or recipe.trained)


def fit_hint(verdict: Verdict, recipe: Recipe, *, is_reference: bool) -> Verdict:
    """The verdict with the hint for a variant of this recipe, where its hint was one for lost accuracy or invalid outputs."""
    if verdict.hint != REPAIR and not (verdict.hint == INVALID and _halves(recipe)):
        return verdict
    return replace(verdict, hint=_REFERENCE if is_reference else _hint(recipe))


def _hint(recipe: Recipe) -> str:
    if recipe.trained:
        return _TRAINED
    if recipe.lossless:
        return _FLOAT
    if _halves(recipe):
        return _FLOAT16
    mixed = recipe.runtime.mixed
    leave = f"leave sensitive ops float with the {mixed!r} recipe" if mixed else ""
    if recipe.calibrated:
        calibrate = "calibrate on real samples, preprocessed as the evaluation samples are"
        ways = [calibrate, leave, _VNNI if "reduce_range" in recipe.options else ""]
        return ", or ".join(way for way in ways if way)
    return f"use a recipe with more bits, or {leave}" if leave else "use a recipe with more bits"


def _halves(recipe: Recipe) -> bool:
    return recipe.weights == "float16"
