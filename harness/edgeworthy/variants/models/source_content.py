"""What stands for a model's files in the address of its artifacts: all of their bytes, wherever they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeworthy.errors import SourceError
from edgeworthy.storage import file_digest
from edgeworthy.variants.models.kinds import SUFFIXES
from edgeworthy.variants.models.onnx_data_files import data_files


def content_digest(path: Path, what: str) -> Any:
    """What stands for a file, for an .onnx with its second files, or for a SavedModel's folder. Raises SourceError."""
    suffix = path.suffix.lower()
    if path.is_dir() and suffix not in SUFFIXES:
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): file_digest(file) for file in files}
    digest = file_digest(existing(path, what))
    beside = data_files(path) if suffix == ".onnx" else []
    return [digest, *(_data_digest(file, f"{what}: {path}") for file in beside)] if beside else digest


def existing(path: Path, what: str) -> Path:
    """``path``, if it is a file with something in it. Raises SourceError."""
    if not path.is_file():
        raise SourceError(f"{what}: {path}: no such file", hint="correct the path in models.yaml")
    if path.stat().st_size == 0:
        raise SourceError(f"{what}: {path}: the file is empty", hint="export the model again")
    return path


def _data_digest(path: Path, what: str) -> str:
    if not path.is_file():
        raise SourceError(
            f"{what}: its weights lie in {path}, and there is no such file",
            hint="put the data file beside the .onnx, under the name that it was exported with",
        )
    return file_digest(path)
