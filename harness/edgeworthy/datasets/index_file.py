"""A file that lists samples: text lines, CSV or Parquet."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgeworthy.dataset_schema import Columns
from edgeworthy.errors import SourceError
from edgeworthy.readers import checked_file, reading
from edgeworthy.suggestions import did_you_mean

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Index:
    """A row for each sample, as text: the file's path, its label and, where the file has them, its split.

    Where ``are_texts``, labels are texts to be predicted.
    """

    origin: str
    paths: list[str]
    labels: list[str]
    split_column: str
    are_texts: bool = False
    _splits: list[str] | None = field(default=None, repr=False)

    def splits(self, wanted: str) -> list[str]:
        """Every row's split. Raises SourceError where there is no such column, or no row of the split ``wanted``."""
        if self._splits is None:
            raise SourceError(
                f"{self.origin}: no column {self.split_column!r} to find the split {wanted!r} in",
                hint="name it under 'columns', or leave the split out",
            )
        if wanted not in self._splits:
            raise SourceError(
                f"{self.origin}: no row of split {wanted!r}; {did_you_mean(wanted, sorted(set(self._splits)))}",
                hint="correct the split's name in models.yaml, or add rows of it",
            )
        return self._splits


def read_index(path: Path, columns: Columns, *, texts: bool = False) -> Index:
    """Read an index; with ``texts`` it may have a column of these in place of labels.

    Text (.txt, .lst) has a line for each sample: the path, white space, the label; it has no header.
    Raises SourceError naming the file, and the line or the column, where it is unreadable.
    """
    checked_file(path)
    index = _lines(path) if path.suffix.lower() in (".txt", ".lst") else _columns(path, columns, texts)
    if not index.paths:
        raise SourceError(f"{path}: no samples in it", hint="list at least one")
    seen: set[str] = set()
    for name in index.paths:
        if name in seen:
            raise SourceError(f"{path}: {name!r} is listed twice", hint="remove one of the two")
        seen.add(name)
    return index


def _lines(path: Path) -> Index:
    paths, labels = [], []
    with reading(path, "text file of labels", "give a UTF-8 text, CSV or Parquet file"):
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # splitlines() splits at a dozen other characters
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, *label = line.rsplit(maxsplit=1)
        if not label:
            raise SourceError(
                f"{path}:{number}: unreadable labels: {line[:80]!r} is not a file name and a label",
                hint="write one line for each image: its file name, a space, its label",
            )
        paths.append(name.strip())
        labels.append(label[0])
    return Index(str(path), paths, labels, "split")


def _columns(path: Path, columns: Columns, texts: bool) -> Index:
    table = read_table(path)
    are_texts = texts and columns.text in table.columns
    if are_texts and columns.label in table.columns:
        raise SourceError(
            f"{path}: has a column {columns.text!r} of texts and a column {columns.label!r} of labels",
            hint="remove or rename the one that is not to be predicted",
        )
    target = columns.text if are_texts else columns.label
    for key, column in (("path", columns.path), ("text" if are_texts else "label", target)):
        if column not in table.columns:
            names = [str(name) for name in table.columns]
            separated = len(names) == 1 and re.search(r"[;\t|]", names[0])
            raise SourceError(
                f"{path}: no column {column!r} for the {key}; {did_you_mean(column, names)}",
                hint=f"separate the columns by ',' instead of {separated[0]!r}"
                if separated
                else "name the file's own columns under 'columns'",
            )
        if table[column].isna().any():
            row = int(table[column].isna().to_numpy().argmax())
            raise SourceError(f"{path}: row {row} has no {key}", hint="complete the row or remove it")
    splits = [str(value) for value in table[columns.split]] if columns.split in table.columns else None
    cells = {column: [str(value).strip() for value in table[column]] for column in (columns.path, target)}
    return Index(str(path), cells[columns.path], cells[target], columns.split, are_texts, splits)


def read_table(path: Path) -> pd.DataFrame:
    """A Parquet file, or the texts of a CSV with a header. Raises SourceError where it is unreadable."""
    import pandas as pd  # here: half a second that only those pay who have such a file

    if path.suffix.lower() in (".parquet", ".pq"):
        with reading(path, "Parquet file", "give a CSV with a header, or Parquet"):
            return pd.read_parquet(path, engine="pyarrow")
    with reading(path, "CSV file", "give a UTF-8 CSV with a header, or Parquet"):
        return pd.read_csv(
            path, dtype=str, encoding="utf-8-sig", skipinitialspace=True, keep_default_na=False, na_values=[""]
        )
