"""What of models.yaml the children that convert read too: a model's source, and runtimes of the user's own."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from edgeworthy.schema import Strict

RANDOM = "random"


def _packaged(given: str) -> str:
    """``package:file`` is a file that an installed package carries; anything else is returned as it is."""
    named = re.fullmatch(r"([A-Za-z_]\w+):([^/\\].*)", given)
    spec = importlib.util.find_spec(named[1]) if named else None
    folders = spec.submodule_search_locations if spec else None
    return str(Path(folders[0]) / named[2]) if named and folders else given


def _no_json(suffix: str) -> str:
    if suffix == ".json":
        raise ValueError("the store keeps what it knows of an artifact in a .json beside it; choose another suffix")
    return suffix


Suffix = Annotated[str, Field(pattern=r"^\.[A-Za-z0-9_]{1,20}$"), AfterValidator(_no_json)]
#: A file relative to models.yaml, or ``package:file``.
ModelFile = Annotated[str, AfterValidator(_packaged)]


class Source(Strict):
    """Where a float model comes from: a file, a model by name with its weights, or a function that trains it."""

    path: ModelFile | None = Field(
        None,
        description=".keras, .h5, .onnx, .pt2 (torch.export), .tflite, .pb (frozen graph) or a SavedModel's folder, "
        "relative to models.yaml; 'package:file' is a file of an installed package",
    )
    factory: str | None = Field(
        None, description="'module:function' or 'file.py:function' that builds a torch.nn.Module"
    )
    torchvision: str | None = Field(None, description="a model of torchvision, by name: mobilenet_v3_small")
    keras_application: str | None = Field(None, description="a model of keras.applications, by name: MobileNetV2")
    weights: ModelFile | None = Field(
        None,
        description="file of weights: a state_dict, loaded with weights_only, or Keras' own .weights.h5, found as path is; "
        "'random': accuracy is refused as meaningless",
    )
    trainer: str | None = Field(
        None,
        description="'module:function' or 'file.py:function', called once with the dataset's splits and an output path",
    )
    signature: str | None = Field(
        None,
        description="SavedModel, .tflite: the signature to take; default: the only one, of a SavedModel serving_default",
    )
    input: str | None = Field(None, description="frozen graph: the input's array, 'input:0'")
    output: str | None = Field(
        None,
        description="the output that is kept and judged, of a model with several; default: all; frozen graph: the output's "
        "array, 'scores:0'",
    )
    opset: int | None = Field(
        None, ge=11, le=23, description="of the ONNX file that a source becomes: exactly this one or none"
    )
    route: Literal["litert_torch"] | None = Field(
        None, description="PyTorch: straight to LiteRT by litert-torch; default: by way of ONNX and TensorFlow"
    )

    @property
    def random(self) -> bool:
        """Whether the weights say nothing, and accuracy with them."""
        return self.weights == RANDOM

    @model_validator(mode="after")
    def _one_way(self) -> Source:
        given = {key for key in _WAYS_KEYS if getattr(self, key)}
        if given not in _WAYS:
            raise ValueError(f"give one of: {'; '.join(' and '.join(sorted(way)) for way in _WAYS)}")
        suffix = Path(self.path or "").suffix.lower()
        if (suffix == ".pb") != bool(self.input) or (suffix == ".pb" and not self.output):
            raise ValueError("a frozen graph (.pb) needs its input and output arrays, and only it has an input")
        if self.signature and (suffix in (".keras", ".h5", ".onnx", ".pt2", ".pb") or not self.path):
            raise ValueError("only a SavedModel's folder or a .tflite has a signature")
        if self.opset and suffix in (".onnx", ".tflite"):
            raise ValueError(f"a {suffix} file is taken as it is; opset is for sources that become ONNX")
        if self.route and not (self.factory or self.torchvision or suffix == ".pt2"):
            raise ValueError("route is for PyTorch: a factory, a model of torchvision, or a .pt2 file")
        return self


#: Input of a model -> its shape, with the batch; None of a size that stays open.
Shapes = dict[str, list[Annotated[int, Field(ge=1)] | None]]


class FixedSource(Source):
    """A source as it is opened: with the sizes that its model's entry fixes."""

    shapes: Shapes = Field(default_factory=dict)


_WAYS = [
    {"path"},
    {"trainer"},
    {"factory", "weights"},
    {"factory", "trainer"},
    {"torchvision", "weights"},
    {"keras_application", "weights"},
]
_WAYS_KEYS = set().union(*_WAYS)


class OwnRuntime(Strict):
    """A runtime of the user's own: the class that runs its artifacts."""

    class_: str = Field(
        alias="class",
        description="'module:Class' or 'file.py:Class', relative to models.yaml: it is made with an artifact's path",
    )
    suffix: Suffix = Field(description="of its artifacts' files, with the dot")
    packages: list[str] = Field(
        [], description="distributions that the class imports; other versions are other evidence"
    )
    files: list[str] = Field(
        [],
        description="files that the class reads, relative to models.yaml, beside the class's file or in a folder below it; "
        "other content is other evidence",
    )
