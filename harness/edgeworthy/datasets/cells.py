"""Cells of a table as numbers or texts: none is left out, and none is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.suggestions import did_you_mean

if TYPE_CHECKING:
    import pandas as pd


def numbers(table: pd.DataFrame, columns: Sequence[str], path: Path) -> NDArray[np.float32]:
    """The columns as float32 (rows, columns). Raises SourceError with row and column of what is no finite number."""
    import pandas as pd

    found = np.empty((len(table), len(columns)), np.float32)
    for number, column in enumerate(columns):
        cells = _complete(table, column, path)
        with np.errstate(over="ignore"):
            found[:, number] = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
        wrong = np.flatnonzero(~np.isfinite(found[:, number]))
        if len(wrong):
            raise SourceError(
                f"{path}: row {wrong[0]} of column {column!r} is {str(cells.iloc[wrong[0]])[:40]!r}, no number of float32",
                hint="give a number, or leave the column out of 'inputs'",
            )
    return found


def texts(table: pd.DataFrame, column: str, path: Path) -> list[str]:
    """The cells of a column. Raises SourceError with row and column where one is empty."""
    found = [str(cell).strip() for cell in _complete(table, column, path)]
    if "" in found:
        raise _empty(path, found.index(""), column)
    return found


def _complete(table: pd.DataFrame, column: str, path: Path) -> pd.Series[Any]:
    if column not in table.columns:
        names = [str(name) for name in table.columns]
        raise SourceError(
            f"{path}: no column {column!r}; {did_you_mean(column, names)}", hint="name the file's own columns"
        )
    empty = table[column].isna().to_numpy()
    if empty.any():
        raise _empty(path, int(empty.argmax()), column)
    return table[column]


def _empty(path: Path, row: int, column: str) -> SourceError:
    return SourceError(f"{path}: row {row} of column {column!r} is empty", hint="complete the row or remove it")
