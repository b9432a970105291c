"""Times of single ops, from the trace that ONNX Runtime writes of a session.

The trace counts whole microseconds and cuts off the rest, so half a microsecond is added to each time, and a reload's median is
that of grouped data (``statistics.median_grouped``): the average of many cut-off times is no longer too short.
"""

from __future__ import annotations

import gc
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .jobs import Array, Facts, Job, RunnerError
from .models import load
from .timing import native_samples, time_inferences

#: What the trace ends the name of a node with, where the event is the node's own work.
_KERNEL = "_kernel_time"
#: The events that end a graph, the model's or one inside of a node, and an inference.
_GRAPH, _INFERENCE = "SequentialExecutor::Execute", "model_run"
#: A node: its part of the profile, its op, its name and its index, since names may repeat.
Node = tuple[str, str, str, str]


class Inference:
    """What the nodes took in one inference: us together, and how often each ran."""

    def __init__(self) -> None:
        self.us: dict[Node, float] = {}
        self.calls: dict[Node, int] = {}
        self.kb: dict[Node, float] = {}

    def add(self, part: str, event: dict[str, Any]) -> None:
        """Count one event of a node."""
        about = event["args"]
        node = part, about["op_name"], event["name"].removesuffix(_KERNEL), about["node_index"]
        self.us[node] = self.us.get(node, 0.0) + event["dur"] + 0.5
        self.calls[node] = self.calls.get(node, 0) + 1
        self.kb[node] = int(about.get("output_size", 0)) / 1024


def op_times(job: Job) -> tuple[dict[str, Array], Facts]:
    """Microseconds of every node in each of several reloads: arrays (nodes, loads) of the first and of the later inferences."""
    from statistics import median_grouped  # here: it imports what no other job needs

    gc.disable()
    loads = [_traced(job) for _ in range(job["loads"])]
    nodes = list(dict.fromkeys(node for load in loads for inference in load for node in inference.us))
    later = [inference for _, *rest in loads for inference in rest]

    def over_loads(statistic: Any, chosen: slice) -> Array:
        return np.array(
            [[statistic([each.us.get(node, 0.0) for each in load[chosen]]) for load in loads] for node in nodes]
        )

    arrays = {
        "first_us": over_loads(np.mean, slice(0, 1)),
        "mean_us": over_loads(np.mean, slice(1, None)),
        "median_us": over_loads(median_grouped, slice(1, None)),
        "output_kb": np.array([max(each.kb.get(node, 0.0) for each in later) for node in nodes]),
        "calls": np.array([np.mean([each.calls.get(node, 0) for each in later]) for node in nodes]),
    }
    return arrays, {"nodes": [node[:3] for node in nodes]}


def _traced(job: Job) -> list[Inference]:
    """The first inference of a session, and those that are timed."""
    with tempfile.TemporaryDirectory(dir=job["out"]) as folder:
        model = load({**job, "trace": str(Path(folder) / "trace")})
        natives, fitted = native_samples(job, model)
        model.fit(fitted)
        model.feed(natives[0])
        for _ in range(1 + job["warmup"]):
            model.invoke()
        time_inferences(model, natives, job["samples_per_load"], job["min_load_ms"])
        events = json.loads(Path(model.session.end_profiling()).read_text())
    found = [each for each in inferences(events) if each.us]
    del model
    gc.collect()
    wanted = 1 + job["warmup"] + job["samples_per_load"]
    if len(found) < wanted:
        raise RunnerError("artifact_unusable", f"onnxruntime's trace has nodes of {len(found)} of {wanted} inferences")
    return [found[0], *found[1 + job["warmup"] :]]


def inferences(events: Iterable[dict[str, Any]]) -> Iterable[Inference]:
    """Each inference of a trace. Events stand in the order of their ends: a graph's nodes before the graph."""
    open_nodes: list[dict[str, Any]] = []
    graphs: list[list[dict[str, Any]]] = []
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            open_nodes.append(event)
        elif event["name"] == _GRAPH:
            graphs.append([node for node in open_nodes if node["ts"] >= event["ts"]])
            open_nodes = [node for node in open_nodes if node["ts"] < event["ts"]]
        elif event["name"] == _INFERENCE:
            yield _inference(graphs)
            open_nodes, graphs = [], []


def _inference(graphs: list[list[dict[str, Any]]]) -> Inference:
    """The nodes in the order in which they began; the last graph to end is the model's own."""
    *_, model = graphs or [[]]
    found = Inference()
    for node in sorted((node for nodes in graphs for node in nodes), key=lambda node: int(node["ts"])):
        found.add("inference" if node in model else "subgraph", node)
    return found
