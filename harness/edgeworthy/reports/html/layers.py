"""The layers of a cell's artifact, from a diagnosis in the run's folder: what each adds to the error, and its ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.storage import read_json, readable

#: So many layers are shown, those that add most.
MOST = 8


@dataclass(frozen=True)
class Layer:
    """One layer: its ``share`` of the error in percent, and the ranges that it was calibrated to and that were seen."""

    tensor: str
    op: str
    share: float
    sqnr: str
    calibrated: str
    seen: str
    cause: str


@dataclass(frozen=True)
class Layers:
    """What a diagnosis on ``target`` says; ``left`` are the ops that its delegate did not take, and how many of each."""

    target: str
    findings: Sequence[tuple[str, str]]
    layers: Sequence[Layer]
    left: Sequence[tuple[str, int]]


def layers_of(run: Path, cell: CellId) -> Layers | None:
    """The variant's diagnosis, on this target or on another, where the artifact is the same; None where there is none."""
    own = run / "diagnosis" / f"{cell.slug()}.json"
    others = sorted((run / "diagnosis").glob("*.json"))
    for path in (own, *others):
        with readable(path, "not a readable diagnosis", "delete it, and diagnose again: edgeworthy diagnose"):
            found = read_json(path) if path.is_file() else {}
            if (found.get("model"), found.get("variant")) == (cell.model, cell.variant):
                return _layers(found)
    return None


def _layers(found: dict[str, Any]) -> Layers:
    traced = found["traced"]
    ranked = sorted(traced["layers"], key=lambda layer: -layer["share_percent"])[:MOST]
    left = traced["delegated"]["left"] if traced["delegated"] else []
    return Layers(
        found["target"],
        [(finding["message"], finding["hint"]) for finding in found["findings"]],
        [_layer(layer) for layer in ranked if layer["share_percent"] > 0],
        [(each["op"], len(each["tensors"])) for each in left],
    )


def _layer(layer: dict[str, Any]) -> Layer:
    sqnr = layer["added_sqnr_db"]
    return Layer(
        layer["tensor"],
        layer["op"],
        float(layer["share_percent"]),
        "" if sqnr is None else f"{sqnr:.1f} dB",
        _range(layer["calibrated"]),
        _range(layer["seen"]),
        layer["cause"],
    )


def _range(ends: Sequence[float] | None) -> str:
    return "not quantized" if ends is None else f"{ends[0]:.4g} to {ends[1]:.4g}"
