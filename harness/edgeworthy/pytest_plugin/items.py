"""Which cells a collected test judges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from edgeworthy.cells import CellId
    from edgeworthy.pytest_plugin.cell import CellHandle, PairHandle

#: Fixtures that a test is parametrized by.
CELL, PAIR = "edge_cell", "edge_pair"


def held_by(item: pytest.Item) -> list[CellHandle | PairHandle]:
    """The fixtures of ours that a test has."""
    held: dict[str, CellHandle | PairHandle] = getattr(item, "funcargs", {})
    return [held[fixture] for fixture in (CELL, PAIR) if fixture in held]


def cells_of(item: pytest.Item) -> tuple[CellId, ...]:
    """The cell that a collected test, or a canary, judges: none, or one."""
    if isinstance(cell := getattr(item, "cell", None), tuple):
        return (cell,)  # type: ignore[return-value]
    parameters: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    if CELL in parameters:
        return (parameters[CELL],)  # type: ignore[return-value]
    pair = parameters.get(PAIR)  # pytest's NOTSET where there is no pair to test
    return pair[:1] if isinstance(pair, tuple) else ()
