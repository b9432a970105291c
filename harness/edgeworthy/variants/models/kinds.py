"""What kind of model a source is; the parent and the converting child agree on it here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgeworthy.errors import SourceError
from edgeworthy.source_schema import Source

Kind = Literal["keras", "torch", "onnx", "saved_model", "frozen_graph", "tflite"]
SUFFIXES: dict[str, Kind] = {
    ".keras": "keras",
    ".h5": "keras",
    ".pt2": "torch",
    ".onnx": "onnx",
    ".pb": "frozen_graph",
    ".tflite": "tflite",
}
#: How a sentence calls a source of the kind.
TITLES: dict[Kind, str] = {
    "keras": "a Keras model",
    "torch": "a PyTorch module",
    "onnx": "an ONNX file",
    "saved_model": "a SavedModel",
    "frozen_graph": "a frozen graph",
    "tflite": "a finished .tflite",
}


def kind_of(source: Source, base: Path) -> Kind:
    """The kind of model that the source is, or becomes once it is trained. Raises SourceError for an unknown file."""
    if source.factory or source.torchvision:
        return "torch"
    if source.path is None:
        return "keras"
    path = base / source.path
    if path.name == "saved_model.pb":
        raise SourceError(f"{path}: a SavedModel is a folder", hint="give the folder in which saved_model.pb stands")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES and path.is_dir():
        return "saved_model"
    if not suffix and not path.exists():
        raise SourceError(f"{path}: no such file or folder", hint="correct the path in models.yaml")
    if suffix not in SUFFIXES:
        raise SourceError(
            f"{path}: {suffix or 'no suffix'} is not a known kind of model file",
            hint=f"give a {', '.join(SUFFIXES)} file or the folder of a SavedModel",
        )
    return SUFFIXES[suffix]
