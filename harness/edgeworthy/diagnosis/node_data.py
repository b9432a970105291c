"""What a diagnosis says of single nodes, as files that Model Explorer shows on an artifact's graph.

The format is that of its ``node_data_builder``: values by a node's output, and a gradient from the least to the largest.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeworthy.diagnosis.records import Diagnosis, LayerError
from edgeworthy.storage import write_atomically

if TYPE_CHECKING:
    import pandas as pd

_WHITE, _RED = "#ffffff", "#d7301f"
#: Of nodes on an accelerator, and of others.
_TAKEN, _LEFT = "#a6d96a", "#fdae61"
#: Where nodes run that no delegate took.
_CPU = "CPU"


@dataclass(frozen=True)
class _Shown:
    """What a file shows of a layer, None where nothing is known, and whether the largest is the worst."""

    of: Callable[[LayerError], float | str | None]
    largest_is_worst: bool = True


#: By the name of the file.
_OF_LAYERS = {
    "error-share-percent": _Shown(lambda layer: layer.share_percent),
    "added-sqnr-db": _Shown(lambda layer: layer.added_sqnr_db, largest_is_worst=False),
    "total-sqnr-db": _Shown(lambda layer: layer.sqnr_db, largest_is_worst=False),
    "range-used-percent": _Shown(lambda layer: layer.used_percent, largest_is_worst=False),
    "saturated-percent": _Shown(lambda layer: layer.saturated_percent),
    "ranges": _Shown(lambda layer: _ranges(layer)),
}


def node_data(found: Diagnosis, times_ms: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Name of a file -> its content; those of which nothing is known are left out. ``times_ms`` are by a node's output."""
    files = {name: _graph(_values(found, shown), shown.largest_is_worst) for name, shown in _OF_LAYERS.items()}
    files["accelerator"] = {"results": _accelerators(found)}
    files["time-ms"] = _graph(times_ms, largest_is_worst=True)
    return {name: content for name, content in files.items() if content["results"]}


def write_node_data(artifact: Path, found: Diagnosis, times_ms: Mapping[str, float]) -> list[Path]:
    """Write ``<artifact>.<name>.nodes.json`` for each of them. Raises StoreError."""
    written = []
    for name, content in node_data(found, times_ms).items():
        path = artifact.with_name(f"{artifact.name}.{name}.nodes.json")
        write_atomically(path, json.dumps(content, indent=1, allow_nan=False).encode())
        written.append(path)
    return written


def times_by_tensor(profile: pd.DataFrame, artifact: Path) -> dict[str, float]:
    """Mean ms of each node of a target's profile, by the node's outputs; the work within a delegate's node is in the node's.

    Nodes that ONNX Runtime made, of several or between others, have no place in the artifact and are left out.
    """
    found: dict[str, float] = {}
    named = _outputs_of_nodes(artifact)
    for name, time in profile.loc[profile["part"] == "inference", ["name", "mean_ms"]].itertuples(index=False):
        listed = re.fullmatch(r"\[(.*)\]:\d+", name)
        outputs = named.get(name, []) if named else listed[1].split(", ") if listed else [name]
        found.update(dict.fromkeys(outputs, float(time)))
    return found


def _outputs_of_nodes(artifact: Path) -> dict[str, list[str]]:
    """By the names that ONNX Runtime gives the nodes of an .onnx file; of other files nothing."""
    if artifact.suffix != ".onnx":
        return {}
    import onnx

    nodes = onnx.load(artifact, load_external_data=False).graph.node
    return {node.name or f"{node.op_type}_{index}": list(node.output) for index, node in enumerate(nodes)}


def _accelerators(found: Diagnosis) -> dict[str, Any]:
    """Where each node ran, of a graph whose delegate the host can report on."""
    delegated = found.traced.delegated
    if delegated is None:
        return {}
    left = [tensor for ops in delegated.left for tensor in ops.tensors]
    return {
        **{tensor: {"value": delegated.delegate, "bgColor": _TAKEN} for tensor in delegated.tensors},
        **{tensor: {"value": _CPU, "bgColor": _LEFT} for tensor in left},
    }


def _values(found: Diagnosis, shown: _Shown) -> dict[str, float | str]:
    """By the layer's output in the artifact; JSON has no infinity."""
    values = {layer.origin: shown.of(layer) for layer in found.traced.layers}
    known = {tensor: value for tensor, value in values.items() if value is not None}
    return {name: value for name, value in known.items() if isinstance(value, str) or math.isfinite(value)}


def _graph(values: Mapping[str, float | str], largest_is_worst: bool) -> dict[str, Any]:
    """Numbers have a gradient, texts have none."""
    results = {tensor: {"value": value} for tensor, value in values.items()}
    if any(isinstance(value, str) for value in values.values()):
        return {"results": results}
    ends = (_WHITE, _RED) if largest_is_worst else (_RED, _WHITE)
    return {"results": results, "gradient": [{"stop": stop, "bgColor": color} for stop, color in enumerate(ends)]}


def _ranges(layer: LayerError) -> str:
    seen = f"seen {layer.seen[0]:.4g} to {layer.seen[1]:.4g}"
    return f"calibrated {layer.calibrated[0]:.4g} to {layer.calibrated[1]:.4g}, {seen}" if layer.calibrated else seen
