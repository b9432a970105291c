"""The times of single ops, as every target gives them: a DataFrame with a row for each, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from edgeworthy.config import LatencyPlan
from edgeworthy.statistics.percentiles import over_loads

if TYPE_CHECKING:
    import pandas as pd

#: Every column of a profile.
COLUMNS = {
    "part": "initialization, inference, subgraph (another than the first), or delegate: a delegate's work within its nodes",
    "node_type": "the op, or the delegate that executed the node",
    "first_ms": "time in the first inference",
    "mean_ms": "mean time over the inferences",
    "percent": "share of the part's time; of ONNX Runtime of its median",
    "memory_kb": "memory that the node took, KB of 1,024 bytes; of ONNX Runtime its outputs",
    "times_called": "how often it ran in one inference",
    "name": "names of the node's outputs, and its index; of ONNX Runtime the node's name",
}
#: What a profile has beside these, where the artifact was loaded several times.
INTERVALS = {
    "median_ms": "median over the reloads of each one's median",
    "low_ms": "lower end of its 95 % interval",
    "high_ms": "upper end of its 95 % interval",
}
#: How the runner profiles: each inference adds some 700 bytes for every node to ONNX Runtime's trace.
PLAN = LatencyPlan(loads=10, samples_per_load=20, min_load_ms=0, warmup=2)


def of_runner(arrays: Mapping[str, NDArray[Any]], nodes: Sequence[Sequence[str]]) -> pd.DataFrame:
    """The columns of COLUMNS and INTERVALS, from what the runner's mode ``op_times`` returned."""
    import pandas as pd

    frame = pd.DataFrame(nodes, columns=["part", "node_type", "name"])
    frame["first_ms"] = arrays["first_us"].mean(axis=1) / 1000
    frame["mean_ms"] = arrays["mean_us"].mean(axis=1) / 1000
    medians = [over_loads(reloads / 1000) for reloads in arrays["median_us"]]
    frame[list(INTERVALS)] = [(each.value, each.low, each.high) for each in medians]
    # Of medians: a single inference that was interrupted would make most of a sum of means.
    frame["percent"] = 100 * frame["median_ms"] / frame.groupby("part")["median_ms"].transform("sum")
    frame["memory_kb"], frame["times_called"] = arrays["output_kb"], arrays["calls"]
    return frame[[*COLUMNS, *INTERVALS]]
