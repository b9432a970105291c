"""Samples that are the rows of a CSV or Parquet table: numbers, or a text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeworthy.dataset_schema import Dataset, Split
from edgeworthy.datasets import cells, labels, tokens
from edgeworthy.datasets.arrays import INPUT, TARGETS, Arrays, Chosen, in_rows
from edgeworthy.datasets.index_file import read_table
from edgeworthy.datasets.overlap import refuse_overlap, row_digests
from edgeworthy.datasets.splits import Indices, Pool, Request, assign
from edgeworthy.errors import SourceError
from edgeworthy.readers import checked_file
from edgeworthy.storage import digest, file_digest
from edgeworthy.suggestions import did_you_mean

if TYPE_CHECKING:
    import pandas as pd


def origin(dataset: Dataset, base: Path) -> str:
    """A digest of what the samples are made from. Raises SourceError."""
    assert dataset.path
    made_by = [tokens.version()] if dataset.text else []
    files = [checked_file(base / name) for name in (dataset.path, dataset.tokenizer) if name]
    return digest([*map(file_digest, files), *made_by])


def chosen_rows(dataset: Dataset, base: Path) -> Chosen:
    """The samples of each split. Raises SourceError with row and column of what cannot be read."""
    assert dataset.path
    path = base / dataset.path
    table = read_table(path)
    if table.empty:
        raise SourceError(f"{path}: no rows in it", hint="give at least one")
    inputs, sizes, truncated = _inputs(dataset, base, table)
    targets = _targets(dataset, path, table)
    assigned = _assigned(dataset, path, table, targets)
    whole = inputs if targets is None else {**inputs, TARGETS: targets.values}
    made, named = in_rows(
        {f"{split}_{name}": values[rows] for split, rows in assigned.items() for name, values in whole.items()},
        {f"{split}_{name}": sizes[rows] for split, rows in assigned.items() for name in inputs}
        if dataset.ragged
        else {},
    )
    names = {split: [f"row {row}" for row in rows] for split, rows in assigned.items()}
    refuse_overlap(names, {split: row_digests(made[f"{split}_{INPUT}"]) for split in assigned})
    return Chosen(made, named, targets.classes if targets else dataset.classes, {"truncated": truncated})


def _inputs(dataset: Dataset, base: Path, table: pd.DataFrame) -> tuple[Arrays, NDArray[np.int64], int]:
    """The inputs of all rows, how long their texts are, (rows, 1), and how many of these were truncated."""
    assert dataset.path
    path = base / dataset.path
    if dataset.inputs:
        return {INPUT: cells.numbers(table, dataset.inputs, path)}, np.zeros((len(table), 1), np.int64), 0
    assert dataset.text
    assert dataset.tokenizer
    found = tokens.tokens(cells.texts(table, dataset.text, path), base / dataset.tokenizer, dataset.length)
    return {"ids": found.ids, "mask": found.mask}, found.sizes, found.truncated


def _targets(dataset: Dataset, path: Path, table: pd.DataFrame) -> labels.Targets | None:
    if dataset.target is None:
        return None
    texts = cells.texts(table, dataset.target, path)
    return labels.numbered(texts, dataset.label_offset, dataset.classes, f"{path}: column {dataset.target!r}")


def _assigned(
    dataset: Dataset, path: Path, table: pd.DataFrame, targets: labels.Targets | None
) -> Mapping[str, Indices]:
    """The rows of each split, as numbers of the table's rows."""
    asked = {"evaluation": Split(split=dataset.split, count=dataset.count, seed=dataset.seed), **dataset.splits()}
    rows = {entry.split: _rows_of(dataset, path, table, entry.split) for entry in asked.values()}
    classes = targets.values if targets and targets.classes else None
    pools = {
        str(split): Pool(list(map(str, found)), None if classes is None else classes[found])
        for split, found in rows.items()
    }
    requests = {name: Request(str(entry.split), entry.count, entry.seed) for name, entry in asked.items()}
    return {name: rows[asked[name].split][found] for name, found in assign(pools, requests).items()}


def _rows_of(dataset: Dataset, path: Path, table: pd.DataFrame, split: str | None) -> Indices:
    if split is None:
        return np.arange(len(table))
    found = cells.texts(table, dataset.columns.split, path)
    if split not in found:
        raise SourceError(
            f"{path}: no row of split {split!r}; {did_you_mean(split, sorted(set(found)))}",
            hint="correct the split's name in models.yaml, or add rows of it",
        )
    return np.flatnonzero([value == split for value in found])
