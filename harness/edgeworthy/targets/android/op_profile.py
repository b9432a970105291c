"""The tool's profile of single ops: the CSV that ``--profiling_output_csv_file`` writes, as a DataFrame."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgeworthy.errors import ToolUnusable
from edgeworthy.targets.op_times import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_PARTS = {
    "Profiling Info for Benchmark Initialization:": "initialization",
    "Operator-wise Profiling Info for Regular Benchmark Runs:": "inference",
    "Delegate internal:": "delegate",
}
_ORDERED = "Run Order"
_NUMBER = r"(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_ROW = re.compile(rf"([^,]+), {_NUMBER}, {_NUMBER}, {_NUMBER}%, {_NUMBER}%, {_NUMBER}, (\d+), (.*)")
_TABLE = re.compile(r"=+ (.+?) =+")
_NODES = re.compile(r"Number of nodes executed: (\d+)")
Row = tuple[str, str, float, float, float, float, int, str]


def parse_profile(text: str) -> pd.DataFrame:
    """The nodes in the order in which they ran, with the columns of COLUMNS. Raises ToolUnusable where some are missing."""
    import pandas as pd

    rows: list[Row] = []
    part, table, whole = "", "", set[str]()
    begun = 0
    for line in text.split("\n")[:-1]:
        if heading := _part(line):
            part, table = heading, ""
        elif found := _TABLE.fullmatch(line):
            table = found[1]
            begun = len(rows) if table == _ORDERED else begun
        elif part and table == _ORDERED and (found := _ROW.fullmatch(line)):
            rows.append(_row(part, found))
        elif (found := _NODES.fullmatch(line)) and int(found[1]) == len(rows) - begun:
            whole.add(part)
    lacking = {"inference", *(row[0] for row in rows)} - whole
    if lacking:
        raise ToolUnusable(
            f"benchmark_model's profile of ops is cut short ({', '.join(sorted(lacking))})",
            hint="check the space left on the device, and that its benchmark_model takes --enable_op_profiling",
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def nodes_left(profile: pd.DataFrame) -> int:
    """How many nodes of the executed graph are no delegate's."""
    inference = profile[profile["part"] == "inference"]
    return int((~inference["node_type"].str.contains("delegate", case=False)).sum())


def _part(line: str) -> str | None:
    if line.startswith("Subgraph (index:") and line.rstrip().endswith(":"):
        return "subgraph"
    return _PARTS.get(line.strip())


def _row(part: str, found: re.Match[str]) -> Row:
    kind, first, mean, percent, _, memory, called, name = found.groups()
    return part, kind, float(first), float(mean), float(percent), float(memory), int(called), name
