"""One source model, seen in the formats that recipes ask for; each view is made at most once per process.

::

    .keras .h5   -> keras_model -> saved_model, onnx_file (NHWC)
    factory      -> torch_module -> onnx_file (NCHW) -> saved_model
    .onnx        -> onnx_file -> saved_model
    .tflite      -> tflite_file
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from harness.errors import EdgegateError, RecipeRefused, SourceError
from harness.records import Layout
from harness.variants import converters, source_files

Kind = Literal["keras", "onnx", "tflite", "torch"]
KINDS: dict[str, Kind] = {".keras": "keras", ".h5": "keras", ".onnx": "onnx", ".tflite": "tflite"}
TITLES: dict[Kind, str] = {
    "keras": "a Keras model",
    "onnx": "an ONNX file",
    "tflite": "a finished .tflite",
    "torch": "a PyTorch factory",
}
View = TypeVar("View")


def _once(make: Callable[[OpenedSource], View]) -> Callable[[OpenedSource], View]:
    """Keep the first answer, also when it is an error: eight recipes need not wait for the same refusal eight times."""

    @functools.wraps(make)
    def view(self: OpenedSource) -> View:
        name = make.__name__
        if name not in self._views:
            try:
                self._views[name] = make(self)
            except EdgegateError as error:
                self._views[name] = error
        if isinstance(self._views[name], EdgegateError):
            raise self._views[name]
        answer: View = self._views[name]
        return answer

    return view


@dataclass
class OpenedSource:
    """A source model with its views.

    ``input_shape`` is (height, width, channels) of one sample; a factory's ``.py`` path is relative to ``base_dir``;
    ``scratch`` is a folder for intermediate files. A view raises RecipeRefused where this kind of source has no such
    form, and SourceError where the user's file or function is wrong.
    """

    path: Path | None
    factory: str | None
    weights: Path | None
    input_shape: tuple[int, int, int]
    scratch: Path
    base_dir: Path = field(default_factory=Path.cwd)
    _views: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> Kind:
        """What the user gave. Raises SourceError for a file suffix that edgegate does not read."""
        if self.path is None:
            return "torch"
        try:
            return KINDS[self.path.suffix.lower()]
        except KeyError:
            known = ", ".join(KINDS)
            raise SourceError(f"{self.path}: models are read from {known}, not from {self.path.suffix!r}") from None

    @_once
    def keras_model(self) -> Any:
        """The loaded keras.Model, input (batch, H, W, C)."""
        return source_files.load_keras(self._file("keras", "has no Keras model"), self.input_shape)

    @_once
    def torch_module(self) -> Any:
        """The factory's torch.nn.Module with its weights, in eval mode, input (batch, C, H, W)."""
        if self.kind != "torch" or self.factory is None or self.weights is None:
            raise RecipeRefused(
                f"{TITLES[self.kind]} has no PyTorch module", next_step="give the source as factory and weights"
            )
        return source_files.load_torch(self.factory, self.weights, self.base_dir, self.input_shape)

    @_once
    def tflite_file(self) -> Path:
        """The user's finished .tflite, checked."""
        path = self._file("tflite", "is not a finished .tflite")
        source_files.check_tflite(path)
        return path

    @_once
    def onnx_file(self) -> Path:
        """An ONNX file with a dynamic batch; the user's own .onnx is given as it is and must not be written to."""
        if self.kind == "keras":
            return converters.keras_to_onnx(self.keras_model(), self.input_shape, self.scratch / "keras.onnx")
        if self.kind == "torch":
            return converters.torch_to_onnx(self.torch_module(), self.input_shape, self.scratch / "torch.onnx")
        path = self._file("onnx", "cannot become ONNX")
        source_files.check_onnx(path)
        return path

    @_once
    def onnx_layout(self) -> Layout:
        """The layout of the ONNX file's input. Raises SourceError where it does not fit ``input_shape``."""
        path = self.onnx_file()
        return source_files.layout_of(source_files.onnx_input(path).shape[1:], self.input_shape, path)

    def dynamic_batch(self) -> bool:
        """Whether the source takes any batch size; only a user's own .onnx may not."""
        return self.kind != "onnx" or source_files.onnx_input(self.onnx_file()).shape[0] is None

    @_once
    def saved_model(self) -> Path:
        """A TensorFlow SavedModel folder, input (batch, H, W, C)."""
        folder = self.scratch / "saved_model"
        if self.kind == "tflite":
            raise RecipeRefused(
                "a finished .tflite is taken as it is; it cannot be quantized again",
                next_step="give the model it was made from (.keras, .h5, .onnx, PyTorch factory), or keep only fp32",
            )
        if self.kind == "keras":
            return converters.keras_to_saved_model(self.keras_model(), folder)
        return converters.onnx_to_saved_model(self.onnx_file(), self.onnx_layout(), self.input_shape, folder)

    def _file(self, kind: Kind, otherwise: str) -> Path:
        if self.kind != kind or self.path is None:
            raise RecipeRefused(f"{TITLES[self.kind]} {otherwise}", next_step="drop this variant for this model")
        return source_files.checked_file(self.path)
