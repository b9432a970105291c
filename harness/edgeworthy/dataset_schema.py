"""A dataset in models.yaml: where its samples are, which of them are used, and how they are preprocessed."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from edgeworthy.schema import Strict

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
#: What common libraries do to an RGB image with values from 0 to 255. ``torchvision``: the transforms of its
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
        "bilinear", description="how resize interpolates, with antialiasing as Pillow and torchvision do it"
    )
    center_crop: Side | HeightAndWidth | None = Field(
        None, description="the side, or [height, width], of the centre crop"
    )
    channels: Literal["rgb", "bgr", "gray"] = Field("rgb", description="order of the channels; gray is one channel")
    alpha: Literal["drop", "white", "black"] = Field(
        "drop", description="transparent pixels: drop the alpha channel, or composite the image over a colour"
    )
    exif_orientation: bool = Field(
        False, description="turn images as their EXIF orientation says; torchvision's and Keras's loaders do not"
    )
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


class Split(Strict):
    """Samples for another purpose than evaluation, disjoint from all other splits."""

    path: str | None = Field(
        None, description="kinds images and table: their own folder or index; default: the dataset's"
    )
    labels: str | None = Field(None, description="kind images: the labels file of ``path``")
    split: str | None = Field(
        None, description="kind table: rows of this split; kinds of arrays: the split that they are taken from"
    )
    count: int | None = Field(
        None, ge=1, description="number of samples, stratified by class; default: all that remain"
    )
    seed: int = Field(0, ge=0, description="another seed chooses other samples")


class Columns(Strict):
    """The columns of a table."""

    path: str = Field("path", description="the image's file, relative to the table")
    label: str = Field("label", description="class number, class name, or a number to predict")
    split: str = Field("split", description="which split a row belongs to; needed only where a split is asked for")


#: The keys that locate samples, by kind: the required ones and the optional ones.
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "digits": (set(), set()),
    "npz": ({"path"}, set()),
    "function": ({"function"}, set()),
    "images": ({"path"}, {"labels", "label_offset"}),
    "table": ({"path"}, {"columns", "split", "label_offset"}),
}
FILE_KINDS = ("images", "table")
#: More classes than this are no classes: class numbers index arrays.
MAX_CLASSES = 1_000_000


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
    label_offset: int = Field(
        0, ge=-(2**31), le=2**31, description="kinds images and table: what the labels file calls the first class"
    )
    columns: Columns = Field(Columns(), description="kind table")
    split: str | None = Field(None, description="kind table: evaluate on the rows of this split")
    classes: int | None = Field(
        None,
        ge=2,
        le=MAX_CLASSES,
        description="number of classes; default: the class folders or names, or the largest label plus one",
    )
    count: int | None = Field(None, ge=1, description="number of evaluation samples, stratified by class; default: all")
    seed: int = Field(0, ge=0, description="another seed chooses other samples")
    preprocessing: Preprocessing | None = Field(
        None, description="a preset's name, or a mapping; default: values as they are"
    )
    calibration: Split | None = Field(None, description="samples that quantization ranges come from")
    train: Split | None = Field(None, description="samples for training")
    validation: Split | None = Field(None, description="validation samples, for early stopping")

    @model_validator(mode="after")
    def _matching_keys(self) -> Dataset:
        needed, possible = _KEYS[self.kind]
        given = self.model_fields_set & {"path", "function", "labels", "label_offset", "columns", "split"}
        if needed - given or given - needed - possible:
            raise ValueError(f"kind {self.kind} takes {' and '.join(sorted(needed)) or 'neither path nor function'}")
        for name, split in self.splits().items():
            self._check_split(name, split)
        return self

    def _check_split(self, name: str, split: Split) -> None:
        taken = {"images": {"path", "labels"}, "table": {"path", "split"}}.get(self.kind, {"split"})
        wrong = sorted((split.model_fields_set & {"path", "labels", "split"}) - taken)
        if wrong:
            raise ValueError(f"{name}.{wrong[0]} does not apply to kind {self.kind}")
        if split.labels and not split.path:
            raise ValueError(f"{name}.labels needs {name}.path, the folder that it labels")

    def splits(self) -> dict[str, Split]:
        """The splits that are given beside the evaluation samples."""
        named = {"calibration": self.calibration, "train": self.train, "validation": self.validation}
        return {name: split for name, split in named.items() if split is not None}
