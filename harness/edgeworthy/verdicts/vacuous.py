"""Limits that cannot fail on a model's data. Each is refused with its reason: it would pass anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from edgeworthy.config import DEFAULT_LIMITS
from edgeworthy.errors import ConfigError
from edgeworthy.measurements.tasks import judged
from edgeworthy.metrics import in_points
from edgeworthy.truth import Truth
from edgeworthy.verdicts import columns, fidelity, scoring


def refuse_vacuous(model: str, truth: Truth, limits: Mapping[str, float]) -> None:
    """Raise ConfigError for the first limit that no outputs, or constant ones, would break."""
    for name, reason in _reasons(truth, limits):
        raise ConfigError(
            f"model {model!r}: the limit {name}: {limits[name]:g} cannot fail: {reason}",
            hint=f"tighten or remove {name} in models.yaml",
        )


def _reasons(truth: Truth, limits: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    if truth.random_weights:
        return
    if limits.get("max_nmse", 0.0) >= 1:
        yield "max_nmse", "an output that is the same for every sample has 1"
    if truth.classifies:
        yield from _of_classes(truth, limits)
    spread = float(np.ptp(truth.reference))
    if spread and limits.get("max_output_difference", -1.0) >= spread:
        yield "max_output_difference", f"all outputs of the reference lie within {spread:.4g}"
    if truth.task:
        yield from _of_predictions(truth, limits)
    elif truth.metric in ("mse", "psnr") and columns.has_targets(truth):
        yield from _of_targets(truth, limits)


def _of_classes(truth: Truth, limits: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    scores = truth.class_scores(truth.reference)
    classes = scores.shape[1]
    if "min_top5_percent" in limits and classes <= 5:
        yield "min_top5_percent", f"every label is among the best 5 of {classes} classes"
    if "min_agreement_percent" in limits and len(np.unique(fidelity.top1(scores))) == 1 < len(scores):
        yield "min_agreement_percent", "the reference predicts one class for all samples, as a constant output would"


def _of_targets(truth: Truth, limits: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Limits that the mean of the targets keeps, where the reference is better than that."""
    mean = np.broadcast_to(truth.labels.mean(axis=0), truth.labels.shape)
    constant, reference = (float(scoring.scores(values, truth).mean()) for values in (mean, truth.reference))
    if (reference <= constant) if truth.higher_is_better else (reference >= constant):
        return
    allowed = {
        "max_mse": limits.get("max_mse"),
        "max_metric_drop": _plus(reference, limits.get("max_metric_drop")),
        "max_metric_drop_percent": _plus(reference, limits.get("max_metric_drop_percent"), abs(reference) / 100),
    }
    if truth.metric == "psnr":
        if limits.get("min_psnr_db", constant + 1) <= constant:
            yield "min_psnr_db", f"the mean of the targets as output for every sample has {constant:.4g} dB"
        return
    for name, most in allowed.items():
        if most is not None and most >= constant and limits[name] != DEFAULT_LIMITS.given().get(name):
            yield name, f"the mean of the targets as output for every sample has a mean squared error of {constant:.4g}"


def _of_predictions(truth: Truth, limits: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Limits that predictions keep which belong to other samples, where the reference's own are better."""
    task = judged(truth)
    own, others = task.reference.value, task.shuffled.value
    lost = own - others if truth.higher_is_better else others - own
    if not lost > 0:
        return
    reason = f"the outputs for other samples have {truth.metric} {others:.4g} {truth.unit}".rstrip()
    name = scoring.column(truth)
    kept = {
        **({"max_drop_points": lost} if in_points(truth.metric) else {}),
        "max_metric_drop": lost,
        "max_metric_drop_percent": 100 * lost / abs(own) if own else np.inf,
        f"max_{name}": others,
        f"min_{name}": -others,
    }
    for limit, most in kept.items():
        given = limits.get(limit)
        if given is None or given == DEFAULT_LIMITS.given().get(limit):
            continue
        if (-given if limit.startswith("min_") else given) >= most:
            yield limit, reason


def _plus(reference: float, drop: float | None, unit: float = 1.0) -> float | None:
    return None if drop is None else reference + drop * unit
