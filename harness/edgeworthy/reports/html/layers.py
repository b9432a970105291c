"""The layers of a cell's artifact, from a diagnosis in the run's folder: what each adds to the error, and its ranges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.storage import read_json, readable

#: So many layers are shown, those that add most.
MOST = 8


def layers_of(run: Path, cell: CellId) -> dict[str, Any] | None:
    """The variant's diagnosis, on this target or on another, where the artifact is the same; None where there is none.

    ``layers`` are tensor, op, share of the error in percent, added SQNR, calibrated and seen range, and cause; ``left`` are the
    ops that the delegate did not take, and how many of each.
    """
    own = run / "diagnosis" / f"{cell.slug()}.json"
    others = sorted((run / "diagnosis").glob("*.json"))
    for path in (own, *others):
        with readable(path, "not a readable diagnosis", "delete it, and diagnose again: edgeworthy diagnose"):
            found = read_json(path) if path.is_file() else {}
            if (found.get("model"), found.get("variant")) == (cell.model, cell.variant):
                return _layers(found)
    return None


def _layers(found: dict[str, Any]) -> dict[str, Any]:
    traced = found["traced"]
    ranked = sorted(traced["layers"], key=lambda layer: -layer["share_percent"])[:MOST]
    left = traced["delegated"]["left"] if traced["delegated"] else []
    return {
        "target": found["target"],
        "findings": [[finding["message"], finding["hint"]] for finding in found["findings"]],
        "layers": [_layer(layer) for layer in ranked if layer["share_percent"] > 0],
        "left": [[each["op"], len(each["tensors"])] for each in left],
    }


def _layer(layer: dict[str, Any]) -> list[Any]:
    sqnr = layer["added_sqnr_db"]
    return [
        layer["tensor"],
        layer["op"],
        layer["share_percent"],
        "" if sqnr is None else f"{sqnr:.1f} dB",
        _range(layer["calibrated"]),
        _range(layer["seen"]),
        layer["cause"],
    ]


def _range(ends: Sequence[float] | None) -> str:
    return "not quantized" if ends is None else f"{ends[0]:.4g} to {ends[1]:.4g}"
