"""What models.yaml says of a dataset: where its samples are, which of them are taken, and how they are preprocessed."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from harness.schema import Strict

Side = Annotated[int, Field(ge=1, le=8192)]
HeightAndWidth = Annotated[tuple[Side, Side], Field(description="[height, width]")]


def _number(given: Any) -> Any:
    """``1/255`` is easier to read, and to get right, than 0.00392156862745098."""
    if isinstance(given, str) and "/" in given:
        above, _, below = given.partition("/")
        with contextlib.suppress(ValueError, ZeroDivisionError):
            return float(above) / float(below)
    return given


Ratio = Annotated[float, BeforeValidator(_number, json_schema_input_type=float | str), Field(gt=0)]

_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
#: What the field's libraries do to an RGB image with values from 0 to 255. ``torchvision``: the transforms of its
#: ImageNet weights; ``keras_*``: the modes of keras.applications.imagenet_utils.preprocess_input, which resize nothing.
PRESETS: dict[str, dict[str, Any]] = {
    "torchvision": {"resize": 256, "center_crop": 224, "scale": 1 / 255, **_IMAGENET},
    "keras_tf": {"scale": 1 / 127.5, "mean": [1.0]},
    "keras_caffe": {"channels": "bgr", "mean": [103.939, 116.779, 123.68]},
    "keras_torch": {"scale": 1 / 255, **_IMAGENET},
}


class Preprocessing(Strict):
    """From a stored image to what the model takes: resize, centre crop, channels, ``(value * scale - mean) / std``."""

    preset: Literal["torchvision", "keras_tf", "keras_caffe", "keras_torch"] | None = Field(
        None, description="values of the keys below, which each of them overrides"
    )
    resize: Side | HeightAndWidth | None = Field(
        None, description="the shorter side, keeping the shape; or [height, width] exactly"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bilinear", description="how resize makes pixels, with antialiasing as Pillow and torchvision do it"
    )
    center_crop: Side | HeightAndWidth | None = Field(None, description="the side, or [height, width], that is cut out")
    channels: Literal["rgb", "bgr", "gray"] = Field("rgb", description="order of the channels; gray is one channel")
    scale: Ratio = Field(1.0, description="a number or a fraction such as 1/255; values of an image go from 0 to 255")
    mean: list[float] = Field([], max_length=4, description="after scale; one for each channel, or one for all")
    std: list[Annotated[float, Field(gt=0)]] = Field(
        [], max_length=4, description="after mean; one for each channel, or one for all"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"preset": given}
        preset = given.get("preset") if isinstance(given, dict) else None
        return {**PRESETS[preset], **given} if preset in PRESETS else given


class Part(Strict):
    """Samples for another purpose than evaluation, kept apart from all other parts."""

    path: str | None = Field(
        None, description="kinds images and table: their own folder or index; default: the dataset's"
    )
    labels: str | None = Field(None, description="kind images: the labels file of ``path``")
    split: str | None = Field(
        None, description="kind table: rows of this split; kinds of arrays: the split that they are taken from"
    )
    count: int | None = Field(None, ge=1, description="so many samples, stratified by class; default: all there are")
    seed: int = Field(0, ge=0, description="another seed takes other samples")


class Columns(Strict):
    """The columns of a table."""

    path: str = Field("path", description="the image's file, relative to the table")
    label: str = Field("label", description="class number, class name, or a number to predict")
    split: str = Field("split", description="which part a row belongs to; needed only where a split is asked for")


#: The keys that say where samples are, by kind: those that must be given, and those that may be.
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "digits": (set(), set()),
    "npz": ({"path"}, set()),
    "function": ({"function"}, set()),
    "images": ({"path"}, {"labels", "label_offset"}),
    "table": ({"path"}, {"columns", "split", "label_offset"}),
}
FILE_KINDS = ("images", "table")


class Dataset(Strict):
    """Named samples: image folders, an index of images, arrays in an .npz file or from a function, or the digits."""

    kind: Literal["digits", "npz", "function", "images", "table"]
    path: str | None = Field(
        None, description="relative to models.yaml: the .npz, the folder of images, or the CSV or Parquet index"
    )
    function: str | None = Field(None, description="kind function: 'module:function' or 'file.py:function'")
    labels: str | None = Field(
        None,
        description="kind images: a text, CSV or Parquet file of file names and labels; default: a folder per class",
    )
    label_offset: int = Field(0, description="kinds images and table: what the labels file calls the first class")
    columns: Columns = Field(Columns(), description="kind table")
    split: str | None = Field(None, description="kind table: evaluate on the rows of this split")
    classes: int | None = Field(
        None, ge=2, description="number of classes; default: the class folders or names, or the largest label plus one"
    )
    count: int | None = Field(None, ge=1, description="evaluate on so many samples, stratified by class; default: all")
    seed: int = Field(0, ge=0, description="another seed takes other samples")
    preprocessing: Preprocessing | None = Field(
        None, description="a preset's name, or a mapping; default: values as they are"
    )
    calibration: Part | None = Field(None, description="samples that quantization ranges come from")
    train: Part | None = Field(None, description="samples for training")
    validation: Part | None = Field(None, description="samples that training is stopped by")

    @model_validator(mode="after")
    def _matching_keys(self) -> Dataset:
        needed, possible = _KEYS[self.kind]
        given = self.model_fields_set & {"path", "function", "labels", "label_offset", "columns", "split"}
        if needed - given or given - needed - possible:
            raise ValueError(f"kind {self.kind} takes {' and '.join(sorted(needed)) or 'neither path nor function'}")
        for name, part in self.parts().items():
            self._check_part(name, part)
        return self

    def _check_part(self, name: str, part: Part) -> None:
        taken = {"images": {"path", "labels"}, "table": {"path", "split"}}.get(self.kind, {"split"})
        wrong = sorted((part.model_fields_set & {"path", "labels", "split"}) - taken)
        if wrong:
            raise ValueError(f"{name}.{wrong[0]} means nothing for kind {self.kind}")
        if part.labels and not part.path:
            raise ValueError(f"{name}.labels needs {name}.path, the folder that it is about")

    def parts(self) -> dict[str, Part]:
        """The parts that are given beside the evaluation samples."""
        named = {"calibration": self.calibration, "train": self.train, "validation": self.validation}
        return {name: part for name, part in named.items() if part is not None}
