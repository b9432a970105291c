"""One source model, seen in the formats that recipes ask for; each view is made at most once per process.

::

    .keras .h5, keras.applications -> keras_model  -> saved_model, onnx_file (NHWC)
    factory, torchvision, .pt2     -> torch_module -> onnx_file (NCHW) -> saved_model, or by route -> tflite_file
    SavedModel, frozen graph       -> function     -> saved_model, onnx_file (NHWC)
    .onnx                          -> onnx_file    -> saved_model
    .tflite                        -> tflite_file

A process holds one framework. Where it is not the source's own, the ONNX file and the source's outputs are those of a
``handover`` that a process with the source's framework wrote.

What a converter made is compared with its source on real samples before any recipe gets it.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgeworthy.datasets.samples import IMAGE_RANK, Samples, shape_in_layout
from edgeworthy.errors import NotTheSameModel, RecipeRefused, SourceError, VariantError
from edgeworthy.records import Layout
from edgeworthy.source_schema import FixedSource
from edgeworthy.storage import file_digest
from edgeworthy.tensors import by_name, is_ragged
from edgeworthy.variants.conversion import converters, onnx_models
from edgeworthy.variants.conversion.converter_errors import refusing, refusing_what_does_not_run
from edgeworthy.variants.models import (
    keras_sources,
    model_outputs,
    saved_models,
    source_files,
    source_outputs,
    tensorflow_sources,
    torch_sources,
)
from edgeworthy.variants.models.fixed_shapes import fix_onnx, fixed_tflite, tflite_for, with_fixed
from edgeworthy.variants.models.handover import Handover
from edgeworthy.variants.models.kinds import TITLES, Kind, kind_of
from edgeworthy.variants.models.model_ends import keras_outputs, onnx_with_output, tflite_outputs, tflite_with_output
from edgeworthy.variants.models.model_inputs import Ends, ModelInput, batch_of, one_by_one, wanted_input
from edgeworthy.variants.models.onnx_layouts import layout_that_runs
from edgeworthy.variants.models.output_names import plain_names
from edgeworthy.variants.models.same_model import Images, check_same_outputs
from edgeworthy.variants.models.source_files import Shape
from edgeworthy.variants.models.source_inference import other_kernels, own_inference
from edgeworthy.variants.models.source_outputs import SourceOutputs
from edgeworthy.variants.models.source_to_onnx import as_onnx
from edgeworthy.variants.models.views import View, Views, once


@dataclass
class OpenedSource(Views):
    """A source model with its views.

    ``source`` is trained, its paths relative to ``base_dir``; ``samples`` are all on which conversions are compared;
    ``classes`` is how many the dataset has, None where numbers are to be predicted; ``scratch`` is a folder for
    intermediate files.

    A view raises RecipeRefused where this kind of source has no such form, SourceError where the user's file or function
    is wrong, and NotTheSameModel where a converter changed the outputs.
    """

    source: FixedSource
    base_dir: Path
    samples: Samples
    classes: int | None
    scratch: Path
    handover: Handover | None = None
    #: What trainings made of the weights and later ones keep: "zeros" stay zero, "equals" stay equal.
    kept: frozenset[str] = frozenset()
    #: File that recipes were given -> its checksum and the view that it is.
    _given_to_recipes: dict[Path, tuple[str, str]] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> Kind:
        """What the user gave. Raises SourceError for a file that edgeworthy does not read."""
        return kind_of(self.source, self.base_dir)

    @functools.cached_property
    def images(self) -> Images:
        """A few of the samples, (N, ...) float32."""
        return self.samples.few()

    @property
    def input_shape(self) -> Shape:
        """The shape of one sample, of an image (height, width, channels)."""
        return self.images.shape[1:]

    @property
    def own_layout(self) -> Layout:
        """The layout in which the source's own framework has images."""
        if self.samples.inputs:
            return "nchw" if self.kind == "torch" else "nhwc"
        return model_outputs.torch_layout(self.input_shape) if self.kind == "torch" else "nhwc"

    @property
    def own_shape(self) -> Shape:
        """``input_shape`` in ``own_layout``."""
        return shape_in_layout(self.input_shape, self.own_layout)

    @once
    def own_inputs(self) -> list[ModelInput]:
        """The source's inputs as it describes them, in its order, with the sizes that its entry fixes.

        All that it is converted to keeps their types. A single one has the name that the samples have for it. Raises SourceError
        where sizes are fixed otherwise than by the source.
        """
        found = self._described_inputs()
        found = found if self.handover else with_fixed(self.title, found, self.source.shapes)
        alone = self.samples.inputs if len(found) == 1 else ()
        return [each._replace(name=named.name) for each, named in zip(found, alone, strict=True)] if alone else found

    def _described_inputs(self) -> list[ModelInput]:
        if self.kind == "onnx" or self.handover:
            return source_files.onnx_inputs(self.handover.onnx_file if self.handover else self.onnx_file())
        if self.kind == "keras":
            return keras_sources.inputs_of(self.keras_model())
        if self.kind == "torch":
            return torch_sources.inputs_of(self.torch_module(), self.samples.inputs, self.input_shape)
        if self.kind == "tflite":
            return model_outputs.tflite_inputs(self.tflite_file().read_bytes())
        return tensorflow_sources.inputs_of(self.function())

    @once
    def ends(self) -> Ends:
        """Its inputs, where they are several, and its outputs, in its own order."""
        given = self.samples.inputs
        inputs = by_name(given, [each.name for each in self.own_inputs()]) if given else ()
        return Ends(tuple(inputs), self.output_names())

    def wanted_inputs(self, batch: int | None) -> list[ModelInput]:
        """The inputs of what it is converted to: of the dataset's sizes, images in ``own_layout``, a batch of None open."""
        inputs = self.ends().inputs
        if not inputs:
            return [ModelInput("input", (batch, *self.own_shape), self.own_inputs()[0].dtype)]
        names = plain_names([each.name for each in inputs], "input")
        return [
            wanted_input(name, named, own.dtype, batch, self.own_layout) or own._replace(name=name)
            for name, own, named in zip(names, self.own_inputs(), inputs, strict=True)
        ]

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

    def with_model(self, view: str, model: Any, kept: frozenset[str] = frozenset()) -> OpenedSource:
        """This source with ``model`` in the place of that view, with which conversions are compared.

        ``kept`` is added to what later trainings keep of its weights.
        """
        return replace(
            self,
            scratch=Path(tempfile.mkdtemp(dir=self.scratch)),
            handover=None,
            kept=self.kept | kept,
            on_view=lambda name, begins: None,
            _views={view: model},
            _given_to_recipes={},
        )

    # -- as it was given --------------------------------------------------------------------------------------

    @once
    def keras_model(self) -> Any:
        """The keras.Model; images are (batch, H, W, C)."""
        self._must_be("keras", "has no Keras model", "drop this variant for this model")
        if self.source.keras_application:
            weights = str(self.source.weights)
            name = self.source.keras_application
            return keras_sources.load_application(name, self._classes(), self.base_dir, weights, self.images)
        return keras_sources.load_keras(self._file(), self.source.output, self.input_shape, self.samples.inputs)

    @once
    def torch_module(self) -> Any:
        """The torch.nn.Module with its weights, in eval mode; images are (batch, C, H, W)."""
        self._must_be("torch", "has no PyTorch module", "give the source as factory and weights")
        weights = str(self.source.weights)
        if self.source.torchvision:
            name = self.source.torchvision
            return torch_sources.load_torchvision(name, self._classes(), self.base_dir, weights, self.images)
        if self.source.factory:
            return torch_sources.load_factory(
                self.source.factory, self.base_dir, weights, self.source.output, self.images, self.samples.inputs
            )
        return torch_sources.load_exported(self._file(), self.source.output, self.images, self.samples.inputs)

    @once
    def tflite_file(self) -> Path:
        """A float .tflite by litert-torch, images as (batch, H, W, C), or the user's finished one, whatever is in it."""
        if self.source.route == "litert_torch":
            return self._tflite_of_torch(self.scratch / "converted.tflite")
        self._must_be("tflite", "is not a finished .tflite", "drop this variant for this model")
        given = self.scratch / "given.tflite"
        content = source_files.tflite_content(self._file(), self.source.signature)
        content = tflite_with_output(content, self.path, self.source.output, self.samples.inputs)
        content = fixed_tflite(content, self.title, self.source.shapes)
        given.write_bytes(tflite_for(content, self.samples.inputs, self.input_shape))
        return self._give("tflite_file", given)

    @once
    def function(self) -> Any:
        """The frozen TensorFlow function of a SavedModel or a frozen graph; images are (batch, H, W, C)."""
        given, path, sample, inputs = self.source, self.path, self.input_shape, self.samples.inputs
        if self.kind == "saved_model" and path:
            return tensorflow_sources.load_saved_model(path, given.signature, given.output, sample, inputs)
        self._must_be("frozen_graph", "is no TensorFlow graph", "drop this variant for this model")
        return tensorflow_sources.load_frozen_graph(self._file(), str(given.input), str(given.output), sample, inputs)

    @once
    def outputs(self) -> SourceOutputs:
        """The source's own outputs for ``samples``, in its own framework: what every conversion is compared with."""
        if self.handover:
            return self.handover.outputs(self.samples)
        with refusing("the source's own framework"):
            infer, otherwise = own_inference(self), other_kernels(self)
            shapes = infer.shapes(self.images[:1])
            return source_outputs.compute(infer, self.samples, self.scratch / "outputs.npy", otherwise, shapes)

    @once
    def output_names(self) -> tuple[str, ...]:
        """What the outputs are called, in their order."""
        if self.handover:
            return self.handover.output_names
        if self.kind == "keras":
            return tuple(keras_outputs(self.keras_model()))
        if self.kind == "torch":
            return getattr(self.torch_module(), "output_names", ("output",))
        if self.kind == "onnx":
            return source_files.onnx_outputs(self.onnx_file())
        if self.kind == "tflite":
            return tuple(tflite_outputs(self.tflite_file()))
        return getattr(self.function(), "output_names", ("output",))

    @once
    def fixed_batch(self) -> int | None:
        """The only batch size that the source takes; None where it takes any."""
        if self.handover:
            return self.handover.fixed_batch
        if self.kind == "torch" and (batch := getattr(self.torch_module(), "fixed_batch", None)):
            return int(batch)
        return batch_of(self.own_inputs(), self.ends().inputs)

    # -- converted --------------------------------------------------------------------------------------------

    @once
    def onnx_file(self) -> Path:
        """An ONNX file that holds its weights; the user's own .onnx is given as a copy, otherwise unchanged."""
        if self.kind == "tflite":
            raise RecipeRefused(f"{TITLES[self.kind]} cannot become ONNX", hint="drop this variant for this model")
        if self.handover:
            return self._give("onnx_file", Path(shutil.copyfile(self.handover.onnx_file, self.scratch / "source.onnx")))
        if self.kind == "onnx":
            out = self.scratch / "source.onnx"
            source_files.check_onnx(self._file())
            source_files.copy_onnx(self._file(), out)
            onnx_with_output(out, self.path, self.source.output, self.samples.inputs)
            fix_onnx(out, self.title, self.source.shapes)
            return self._give("onnx_file", out)
        return self._give("onnx_file", self.first_that_converts(self._onnx_of))

    def _onnx_of(self, batch: int | None) -> Path:
        out = self.scratch / "source.onnx"
        self.outputs()  # a source that differs from itself is named first
        onnx_models.save_onnx(as_onnx(self, batch), self.source.opset, out)
        self.check_file("the conversion to ONNX", out, self.own_layout)
        return out

    def first_that_converts(self, convert: Callable[[int | None], View]) -> View:
        """What ``convert`` makes for any batch, or, where that does not convert or is another model, for one sample."""
        fixed = self.fixed_batch()
        try:
            return convert(fixed)
        except (RecipeRefused, NotTheSameModel):
            if fixed is not None:
                raise
            with contextlib.suppress(RecipeRefused, NotTheSameModel):
                return convert(1)
            raise

    @once
    def quantizable_onnx(self) -> Path:
        """The ONNX file, of an opset that has per-channel quantization; an older .onnx by ONNX's version converter."""
        given = self.onnx_file()
        if self.source.opset or onnx_models.is_quantizable(given):
            return given
        out = onnx_models.newer_onnx(given, self.scratch / "newer.onnx")
        self.check_file("the conversion to a newer opset", out, self.onnx_layout())
        return self._give("quantizable_onnx", out)

    def _tflite_of_torch(self, out: Path) -> Path:
        if self.samples.inputs:
            what = "whose samples have different sizes" if is_ragged(self.samples.inputs) else "of several inputs"
            raise RecipeRefused(
                f"a PyTorch model {what} becomes no LiteRT by route: litert_torch",
                hint="leave out the route at its source",
            )
        images = [0] if len(self.output_names()) == 1 and self.outputs().values.ndim == IMAGE_RANK else []
        converters.torch_to_tflite(self.torch_module(), self.fixed_batch() or 1, self.input_shape, images, out)
        self.check_file("the conversion by litert-torch", out, "nhwc")
        return self._give("tflite_file", out)

    @once
    def onnx_layout(self) -> Layout:
        """The layout of the ONNX file's images. Raises SourceError where its inputs do not fit the samples."""
        path = self.onnx_file()
        found = source_files.onnx_inputs(path)
        if not self.samples.inputs:
            return source_files.layout_of(found[0].shape[1:], self.input_shape, self.path or path)
        return self.own_layout if self.kind != "onnx" else layout_that_runs(self, path)

    def onnx_samples(self, samples: Images) -> Iterator[dict[str, NDArray[Any]]]:
        """For each of ``samples`` (n, ...) what the ONNX file's inputs are given, by name, in their types and layout: (1, ...).

        Raises RecipeRefused where a type does not hold a value.
        """
        found = source_files.onnx_inputs(self.onnx_file())
        return one_by_one(samples, found, self.ends().inputs, self.onnx_layout(), exact=True)

    def saved_model(self, batch: int | None = None) -> Path:
        """A TensorFlow SavedModel folder with the signature serving_default; images are (batch, H, W, C)."""
        batch = batch or self.fixed_batch()
        return self.once(f"saved_model {batch}", lambda: saved_models.make(self, batch))

    def saved_inputs(self, batch: int | None) -> list[ModelInput]:
        """The inputs of ``saved_model``."""
        return tensorflow_sources.inputs_of(tensorflow_sources.open_saved_model(self.saved_model(batch)))

    def onnx_for(self, batch: int | None) -> Path:
        """The ONNX file that onnx2tf reads; torch exports one for a single sample in another way than for many."""
        if self.handover:
            return self.handover.onnx_for(batch)
        if self.kind == "onnx" or batch == self.fixed_batch():
            return self.onnx_file()
        made = as_onnx(self, batch)
        return onnx_models.save_onnx(made, self.source.opset, self.scratch / "single.onnx")

    # -- what recipes made of it ------------------------------------------------------------------------------

    def check_untouched(self, recipe: str) -> None:
        """Raise VariantError where a recipe wrote to a file that it was given; the file is made anew for other recipes."""
        for path, (checksum, view) in list(self._given_to_recipes.items()):
            if not path.is_file() or file_digest(path) != checksum:
                del self._given_to_recipes[path], self._views[view]
                raise VariantError(
                    f"recipe {recipe!r} rewrote {path.name} in place, which other variants are made from",
                    hint="let the recipe work on a copy",
                )

    def check_file(self, how: str, path: Path, layout: Layout) -> None:
        """Raise NotTheSameModel, or RecipeRefused where its runtime cannot even run the file."""
        source = self.outputs()
        with refusing_what_does_not_run(f"{how} made a file", path):
            check_same_outputs(how, source, model_outputs.of_artifact(path, layout, self.ends()))

    # -- how --------------------------------------------------------------------------------------------------

    def _must_be(self, kind: Kind, otherwise: str, hint: str) -> None:
        if self.kind != kind:
            raise RecipeRefused(f"{TITLES[self.kind]} {otherwise}", hint=hint)

    def _classes(self) -> int:
        if self.classes is None:
            raise SourceError(
                "a classifier by name has as many outputs as the dataset has classes, and this one has numbers to predict",
                hint="give the model as a file or a factory",
            )
        return self.classes

    def _file(self) -> Path:
        assert self.path is not None
        return source_files.checked_file(self.path)

    def _give(self, view: str, path: Path) -> Path:
        self._given_to_recipes[path] = (file_digest(path), view)
        return path
