"""Datasets of a test's folder, prepared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeworthy.dataset_schema import Dataset
from edgeworthy.datasets.prepared import PreparedDataset, prepare
from edgeworthy.storage import Store

Prepare = Callable[..., PreparedDataset]


def preparing(folder: Path) -> Prepare:
    """Prepare a dataset called ``mine``, whose files are in ``folder``, from the keys of its entry."""
    store = Store(folder / "store")
    return lambda **keys: prepare(store, "mine", Dataset.model_validate(keys), folder)
