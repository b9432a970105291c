"""Where a cell's time goes, by op, from the profile that a test of the run asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeworthy.records import OpTime

#: Of these parts of a profile -> what is said of an op's place. The rest is no inference, or another graph's.
_PARTS = {"inference": "the graph", "delegate": "within a delegate's node"}
#: So many rows of a part are shown, those that take longest.
MOST = 8


def times_of(profile: Sequence[OpTime]) -> list[list[Any]]:
    """For each op of each part, the slowest first: its name, its place, how many nodes, their time together, and its share."""
    return [row for part in _PARTS for row in _rows(part, [node for node in profile if node.part == part])]


def _rows(part: str, nodes: Sequence[OpTime]) -> list[list[Any]]:
    by_op: dict[str, list[OpTime]] = {}
    for node in nodes:
        by_op.setdefault(node.op, []).append(node)
    rows = [(op, own, sum(node.mean_ms for node in own)) for op, own in by_op.items()]
    return [
        [op, _PARTS[part], str(len(own)), f"{took:.4g} ms", min(100.0, round(sum(node.percent for node in own), 1))]
        for op, own, took in sorted(rows, key=lambda row: -row[2])[:MOST]
    ]
