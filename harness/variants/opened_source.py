"""One source model, seen in the formats that recipes ask for; each view is made at most once per process.

::

    .keras .h5, keras.applications -> keras_model  -> saved_model, onnx_file (NHWC)
    factory, torchvision, .pt2     -> torch_module -> onnx_file (NCHW) -> saved_model, or by route -> tflite_file
    SavedModel, frozen graph       -> function     -> saved_model, onnx_file (NHWC)
    .onnx                          -> onnx_file    -> saved_model
    .tflite                        -> tflite_file

What a converter made is compared with its source on real samples before anybody gets it.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from harness.config import Source
from harness.errors import EdgegateError, RecipeRefused, SourceError, VariantError
from harness.records import Layout
from harness.storage import file_digest
from harness.variants import answers, converters, keras_sources, source_files, tensorflow_sources, torch_sources
from harness.variants.converter_errors import refusing
from harness.variants.kinds import TITLES, Kind, kind_of
from harness.variants.same_model import Answers, Images, Values, check_same_answers

View = TypeVar("View")


def _once(make: Callable[[OpenedSource], View]) -> Callable[[OpenedSource], View]:
    """A view that is made at most once; see OpenedSource.once."""

    @functools.wraps(make)
    def view(self: OpenedSource) -> View:
        return self.once(make.__name__, lambda: make(self))

    return view


@dataclass
class OpenedSource:
    """A source model with its views.

    ``source`` is trained, its paths relative to ``base_dir``; ``images`` are a few real samples (N, H, W, C) float32;
    ``classes`` is how many the dataset has, None where numbers are to be predicted; ``scratch`` is a folder for
    intermediate files. A view raises RecipeRefused where this kind of source has no such form, SourceError where the
    user's file or function is wrong, and NotTheSameModel where a converter changed the answers.
    """

    source: Source
    base_dir: Path
    images: Images
    classes: int | None
    scratch: Path
    _views: dict[str, Any] = field(default_factory=dict, repr=False)
    #: File that recipes were handed -> its checksum and the view that it is.
    _handed_out: dict[Path, tuple[str, str]] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> Kind:
        """What the user gave. Raises SourceError for a file that edgegate does not read."""
        return kind_of(self.source, self.base_dir)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one sample."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @property
    def title(self) -> str:
        """The user's name for the source."""
        given = self.source
        return str(self.path or given.factory or given.torchvision or given.keras_application)

    @property
    def path(self) -> Path | None:
        """The user's file or folder, if the source is one."""
        return self.base_dir / self.source.path if self.source.path else None

    @property
    def has_tflite(self) -> bool:
        """Whether LiteRT recipes begin with ``tflite_file``, made without TensorFlow, and not with ``saved_model``."""
        return self.kind == "tflite" or self.source.route == "litert_torch"

    def with_model(self, view: str, model: Any) -> OpenedSource:
        """This source with ``model`` in the place of that view; what is converted is made of it, and held against it."""
        scratch = Path(tempfile.mkdtemp(dir=self.scratch))
        return replace(self, scratch=scratch, _views={view: model}, _handed_out={})

    def once(self, name: str, make: Callable[[], View]) -> View:
        """What ``make`` answers, asked once for each ``name``; an error too, for the next recipe gets the same."""
        if name not in self._views:
            try:
                self._views[name] = make()
            except EdgegateError as error:
                self._views[name] = error
        if isinstance(self._views[name], EdgegateError):
            raise self._views[name]
        answer: View = self._views[name]
        return answer

    # -- as it was given --------------------------------------------------------------------------------------

    @_once
    def keras_model(self) -> Any:
        """The keras.Model, input (batch, H, W, C)."""
        self._must_be("keras", "has no Keras model", "drop this variant for this model")
        if self.source.keras_application:
            weights = str(self.source.weights)
            name = self.source.keras_application
            return keras_sources.load_application(name, self._classes(), self.base_dir, weights, self.images)
        return keras_sources.load_keras(self._file(), self.input_shape)

    @_once
    def torch_module(self) -> Any:
        """The torch.nn.Module with its weights, in eval mode, input (batch, C, H, W)."""
        self._must_be("torch", "has no PyTorch module", "give the source as factory and weights")
        weights = str(self.source.weights)
        if self.source.torchvision:
            name = self.source.torchvision
            return torch_sources.load_torchvision(name, self._classes(), self.base_dir, weights, self.images)
        if self.source.factory:
            return torch_sources.load_factory(self.source.factory, self.base_dir, weights, self.images)
        return torch_sources.load_exported(self._file(), self.images)

    @_once
    def tflite_file(self) -> Path:
        """A float .tflite by litert-torch, input (batch, H, W, C), or the user's finished one, whatever is in it."""
        if self.source.route == "litert_torch":
            return self._tflite_of_torch(self.scratch / "converted.tflite")
        self._must_be("tflite", "is not a finished .tflite", "drop this variant for this model")
        source_files.check_tflite(self._file())
        return self._handed("tflite_file", Path(shutil.copyfile(self._file(), self.scratch / "given.tflite")))

    @_once
    def function(self) -> Any:
        """The frozen TensorFlow function of a SavedModel or a frozen graph, input (batch, H, W, C)."""
        given, path = self.source, self.path
        if self.kind == "saved_model" and path:
            return tensorflow_sources.load_saved_model(path, given.signature, self.input_shape)
        self._must_be("frozen_graph", "is no TensorFlow graph", "drop this variant for this model")
        return tensorflow_sources.load_frozen_graph(self._file(), str(given.input), str(given.output), self.input_shape)

    @_once
    def answers(self) -> Values:
        """The source's own answers to ``images``, in its own framework: what every conversion is held against."""
        with refusing("the source's own framework"):
            asked: dict[Kind, Callable[[], Answers]] = {
                "keras": lambda: answers.of_keras(self.keras_model(), self.fixed_batch()),
                "torch": lambda: answers.of_torch(self.torch_module(), self.fixed_batch()),
                "onnx": lambda: answers.of_artifact(self.onnx_file(), self.onnx_layout()),
                "tflite": lambda: answers.of_artifact(self.tflite_file(), "nhwc"),
            }
            of = asked.get(self.kind, lambda: answers.of_function(self.function(), self.fixed_batch()))
            return of()(self.images)

    @_once
    def fixed_batch(self) -> int | None:
        """The only batch size that the source takes; None where it takes any."""
        if self.kind == "onnx":
            return source_files.onnx_input(self.onnx_file()).shape[0]
        if self.kind == "torch":
            return getattr(self.torch_module(), "fixed_batch", None)
        if self.kind == "keras":
            size: int | None = self.keras_model().inputs[0].shape[0]
            return size
        return tensorflow_sources.fixed_batch(self.function())

    # -- converted --------------------------------------------------------------------------------------------

    @_once
    def onnx_file(self) -> Path:
        """An ONNX file that holds its weights; the user's own .onnx is given as a copy, otherwise unchanged."""
        if self.kind == "tflite":
            raise RecipeRefused(f"{TITLES[self.kind]} cannot become ONNX", next_step="drop this variant for this model")
        out = self.scratch / "source.onnx"
        if self.kind == "onnx":
            source_files.check_onnx(self._file())
            return self._handed("onnx_file", source_files.copy_onnx(self._file(), out))
        converters.save_onnx(self._as_onnx(), self.source.opset, out)
        layout: Layout = "nchw" if self.kind == "torch" else "nhwc"
        self._check("the conversion to ONNX", answers.of_artifact(out, layout))
        return self._handed("onnx_file", out)

    def _as_onnx(self) -> Any:
        opset, sample = self.source.opset, self.input_shape
        batch = self.fixed_batch()
        if self.kind == "torch":
            module = self.torch_module()
            return converters.torch_to_onnx(module, batch, sample, opset, self.scratch / "exported.onnx")
        if self.kind == "keras":
            model = self.keras_model()
            return converters.tensorflow_to_onnx(
                lambda x: model(x, training=False), batch, sample, opset, f"{model.name}_1/"
            )
        function = self.function()
        return converters.tensorflow_to_onnx(
            lambda x: tensorflow_sources.answer(function, x), batch, sample, opset, scope=""
        )

    def _tflite_of_torch(self, out: Path) -> Path:
        converters.torch_to_tflite(self.torch_module(), self.fixed_batch() or 1, self.input_shape, out)
        self._check("the conversion by litert-torch", answers.of_artifact(out, "nhwc"))
        return self._handed("tflite_file", out)

    @_once
    def onnx_layout(self) -> Layout:
        """The layout of the ONNX file's input. Raises SourceError where it does not fit ``input_shape``."""
        path = self.onnx_file()
        return source_files.layout_of(source_files.onnx_input(path).shape[1:], self.input_shape, self.path or path)

    @_once
    def saved_model(self) -> Path:
        """A TensorFlow SavedModel folder with the signature serving_default, input (batch, H, W, C)."""
        folder = self.scratch / "saved_model"
        if self.kind == "tflite":
            raise RecipeRefused(
                f"{TITLES[self.kind]} cannot become a SavedModel", next_step="drop this variant for this model"
            )
        if self.has_tflite:
            raise RecipeRefused(
                f"{self.title} becomes no SavedModel by route: {self.source.route}",
                next_step="drop this variant for this model, or leave out the route at its source",
            )
        if self.kind == "keras":
            converters.keras_to_saved_model(self.keras_model(), folder)
        elif self.kind in ("saved_model", "frozen_graph"):
            tensorflow_sources.save_function(self.function(), folder)
        else:
            converters.onnx_to_saved_model(self.onnx_file(), self.onnx_layout(), folder)
        with refusing("TensorFlow"):
            # One by one: some of onnx2tf's take no other batch, which costs speed and not the answers.
            self._check("the conversion to a SavedModel", answers.of_saved_model(folder, self.fixed_batch() or 1))
        return folder

    # -- what recipes made of it ------------------------------------------------------------------------------

    def check_lossless(self, recipe: str, artifact: Path, layout: Layout) -> None:
        """Raise NotTheSameModel unless the float artifact answers as the source does; a copied .tflite is the source."""
        if self.kind == "tflite":
            return
        with refusing("the artifact's runtime"):
            self._check(f"recipe {recipe!r}", answers.of_artifact(artifact, layout))

    def check_opset(self, artifact: Path) -> None:
        """Raise RecipeRefused where an ONNX artifact is not of the opset that the source asks for, or is of itself."""
        if artifact.suffix != ".onnx":
            return
        if self.source.opset:
            converters.check_opset(artifact, self.source.opset)
        given = converters.opset_of(self.onnx_file()) if self.kind == "onnx" else None
        made = converters.opset_of(artifact) if given else None
        if made != given:
            raise RecipeRefused(
                f"the given file is of opset {given}, and what was made of it of opset {made}",
                next_step=f"export the .onnx with opset {made}, or drop this variant",
            )

    def check_untouched(self, recipe: str) -> None:
        """Raise VariantError where a recipe wrote to a file that it was handed; other recipes get it made anew."""
        for path, (checksum, view) in list(self._handed_out.items()):
            if not path.is_file() or file_digest(path) != checksum:
                del self._handed_out[path], self._views[view]
                raise VariantError(
                    f"recipe {recipe!r} rewrote {path.name} in place, which other variants are made from",
                    next_step="let the recipe work on a copy",
                )

    def _check(self, how: str, of: Answers) -> None:
        expected = self.answers()
        if np.isfinite(expected).all():  # the reference that answers NaN is told by whoever measures it
            check_same_answers(how, expected, of, self.images)

    # -- how --------------------------------------------------------------------------------------------------

    def _must_be(self, kind: Kind, otherwise: str, next_step: str) -> None:
        if self.kind != kind:
            raise RecipeRefused(f"{TITLES[self.kind]} {otherwise}", next_step=next_step)

    def _classes(self) -> int:
        if self.classes is None:
            raise SourceError(
                "a classifier by name has as many outputs as the dataset has classes, and this one has numbers to predict",
                next_step="give the model as a file or a factory",
            )
        return self.classes

    def _file(self) -> Path:
        assert self.path is not None
        return source_files.checked_file(self.path)

    def _handed(self, view: str, path: Path) -> Path:
        self._handed_out[path] = (file_digest(path), view)
        return path
