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


class Letterbox(Strict):
    """The whole image, in its own shape, in the middle of a frame of the model's size, as detectors are given it."""

    size: HeightAndWidth
    color: int = Field(114, ge=0, le=255, description="value of the padding, in every channel, before scale")
    align: Literal["center", "top_left"] = Field("center", description="where the image stands in the frame")


class Preprocessing(Strict):
    """From a stored image to what the model takes: resize and crop, or letterbox; channels, ``(value * scale - mean) / std``."""

    preset: Literal["torchvision", "keras_tf", "keras_caffe", "keras_torch"] | None = Field(
        None, description="values of the keys below, which each of them overrides"
    )
    resize: Side | HeightAndWidth | None = Field(
        None, description="the shorter side, keeping the shape; or [height, width] exactly"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bilinear",
        description="how resize and letterbox interpolate, with antialiasing as Pillow and torchvision do it",
    )
    center_crop: Side | HeightAndWidth | None = Field(
        None, description="the side, or [height, width], of the centre crop"
    )
    letterbox: Letterbox | None = Field(
        None, description="scale the whole image into a frame and pad the rest; replaces resize and center_crop"
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
        if preset not in PRESETS:
            return given
        replaced = ("resize", "center_crop") if given.get("letterbox") else ()
        return {**{key: value for key, value in PRESETS[preset].items() if key not in replaced}, **given}

    @model_validator(mode="after")
    def _one_size(self) -> Preprocessing:
        if self.letterbox and (self.resize or self.center_crop):
            raise ValueError("letterbox gives the image its size: remove resize and center_crop")
        return self


class Split(Strict):
    """Samples for another purpose than evaluation, disjoint from all other splits."""

    path: str | None = Field(
        None,
        description="kinds images, table and audio: their own folder or index; kinds coco and masks: a folder for calibration;"
        " default: the dataset's",
    )
    labels: str | None = Field(None, description="kind images: the labels file of ``path``")
    split: str | None = Field(
        None,
        description="kinds table, csv and audio: rows of this split; kinds of arrays: the split that they are taken from",
    )
    count: int | None = Field(
        None, ge=1, description="number of samples, stratified by class; default: all that remain"
    )
    seed: int = Field(0, ge=0, description="another seed chooses other samples")


class LogMel(Strict):
    """Log-mel energies: ln(energy + log_offset) of mel bands of the power spectrum, frame by frame."""

    kind: Literal["log_mel"]
    mels: int = Field(40, ge=1, le=1024, description="number of bands")
    window_ms: float = Field(25.0, gt=0, description="length of a frame, under a Hann window")
    hop_ms: float = Field(10.0, gt=0, description="from one frame to another")
    fft: int | None = Field(
        None, ge=2, le=2**20, description="length of the FFT; default: the window's, rounded up to a power of two"
    )
    low_hz: float = Field(0.0, ge=0, description="where the lowest band begins")
    high_hz: float | None = Field(None, gt=0, description="where the highest band ends; default: half the sample rate")
    scale: Literal["htk", "slaney"] = Field(
        "htk", description="htk: bands of height 1 on HTK's mel scale; slaney: bands of area 1 on Slaney's"
    )
    log_offset: float = Field(1e-6, gt=0, description="added to the energies before the natural logarithm")


class Columns(Strict):
    """The columns of a table."""

    path: str = Field("path", description="the image's file, relative to the table")
    label: str = Field("label", description="class number, class name, or a number to predict")
    text: str = Field("text", description="kind audio: a text to predict, in place of a label")
    split: str = Field("split", description="which split a row belongs to; needed only where a split is asked for")


#: The keys that locate samples, by kind: the required ones and the optional ones.
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "digits": (set(), set()),
    "npz": ({"path"}, set()),
    "function": ({"function"}, set()),
    "images": ({"path"}, {"labels", "label_offset"}),
    "table": ({"path"}, {"columns", "split", "label_offset"}),
    "coco": ({"path", "annotations"}, set()),
    "masks": ({"path", "masks"}, set()),
    "audio": ({"path", "sample_rate", "seconds"}, {"features", "columns", "split", "label_offset"}),
    "csv": ({"path"}, {"inputs", "text", "tokenizer", "length", "target", "columns", "split", "label_offset"}),
}
#: The kinds whose targets are no class of an image but lie in it.
ANNOTATED_KINDS = ("coco", "masks")
_LOCATING = {key for keys in _KEYS.values() for key in set.union(*keys)}
FILE_KINDS = ("images", "table", "audio", *ANNOTATED_KINDS)
#: More classes than this are no classes: class numbers index arrays.
MAX_CLASSES = 1_000_000


class Dataset(Strict):
    """Named samples: images, alone or with annotations; sounds; rows of a table; arrays; the embedded digits."""

    kind: Literal["digits", "npz", "function", "images", "table", "coco", "masks", "audio", "csv"]
    path: str | None = Field(
        None,
        description="relative to models.yaml: the .npz, the folder of images or sounds, or the CSV or Parquet index",
    )
    function: str | None = Field(None, description="kind function: 'module:function' or 'file.py:function'")
    labels: str | None = Field(
        None,
        description="kind images: a text, CSV or Parquet file of file names and labels; default: a folder per class",
    )
    annotations: str | None = Field(None, description="kind coco: COCO's JSON of instances, for the images in path")
    masks: str | None = Field(
        None, description="kind masks: a folder of PNG files, named as the images in path, of class numbers"
    )
    label_offset: int = Field(
        0,
        ge=-(2**31),
        le=2**31,
        description="kinds images, table, csv and audio: what the labels file calls the first class",
    )
    columns: Columns = Field(Columns(), description="kinds table, csv and audio: the names of an index's columns")
    split: str | None = Field(None, description="kinds table, csv and audio: evaluate on the rows of this split")
    inputs: list[str] | None = Field(None, min_length=1, description="kind csv: columns of numbers, a sample's values")
    text: str | None = Field(None, description="kind csv: the column of texts, in place of inputs")
    tokenizer: str | None = Field(None, description="kind csv: a tokenizer.json for the texts")
    length: int | None = Field(None, ge=1, le=2**20, description="kind csv: tokens of a text, padded or truncated")
    target: str | None = Field(
        None,
        description="kind csv: the column of class numbers, class names or numbers to predict; default: no targets",
    )
    sample_rate: int | None = Field(
        None, ge=1, le=1_000_000, description="kind audio: Hz; sounds of other rates are resampled"
    )
    seconds: float | None = Field(
        None, gt=0, le=3600, description="kind audio: length; longer sounds are cut at the end, shorter ones padded"
    )
    features: Literal["raw"] | LogMel = Field(
        "raw", description="kind audio: samples from -1 to 1, or log-mel energies"
    )
    ragged: bool = Field(
        False,
        description="samples keep their own sizes: images that preprocessing gives none, sounds without 'seconds', texts without "
        "'length'; arrays say it themselves",
    )
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
        if self.ragged:
            needed = needed - {"seconds"}
            self._check_ragged()
        given = self.model_fields_set & _LOCATING
        if needed - given or given - needed - possible:
            raise ValueError(f"kind {self.kind} takes {' and '.join(sorted(needed)) or 'neither path nor function'}")
        if self.kind in ANNOTATED_KINDS and self.classes is not None:
            raise ValueError(f"kind {self.kind} takes no 'classes': its targets are not one class for each image")
        if self.kind == "csv":
            self._check_inputs()
        if self.preprocessing and self.kind == "audio":
            raise ValueError("preprocessing is for images: what is done to sounds is under 'features'")
        for name, split in self.splits().items():
            self._check_split(name, split)
        return self

    def _check_ragged(self) -> None:
        if self.kind not in FILE_KINDS and not self.text:
            raise ValueError(
                f"ragged is for files and texts; kind {self.kind} has samples of different sizes where it is given such"
            )
        cut = next((key for key in ("seconds", "length") if getattr(self, key) is not None), None)
        if cut:
            raise ValueError(f"ragged samples keep their own length: remove {cut!r}")

    def _check_inputs(self) -> None:
        texts = {"text", "tokenizer"} if self.ragged else {"text", "tokenizer", "length"}
        given = {name for name in {"inputs", *texts} if getattr(self, name)}
        if given not in ({"inputs"}, texts):
            raise ValueError("kind csv takes either inputs, or text and tokenizer and length")
        if len(set(self.inputs or ())) < len(self.inputs or ()):
            raise ValueError("inputs names a column twice")
        if self.target and self.target in (self.inputs or (self.text,)):
            raise ValueError(f"{self.target!r} is a target and an input")

    def _check_split(self, name: str, split: Split) -> None:
        index = {"path", "split"}
        taken = {"images": {"path", "labels"}, "table": index, "audio": index}.get(self.kind, {"split"})
        if self.kind in ANNOTATED_KINDS:  # calibration needs no annotations, which another folder would lack
            taken = {"path"} if name == "calibration" else set()
        wrong = sorted((split.model_fields_set & {"path", "labels", "split"}) - taken)
        if wrong:
            raise ValueError(f"{name}.{wrong[0]} does not apply to kind {self.kind}")
        if split.labels and not split.path:
            raise ValueError(f"{name}.labels needs {name}.path, the folder that it labels")

    def splits(self) -> dict[str, Split]:
        """The splits that are given beside the evaluation samples."""
        named = {"calibration": self.calibration, "train": self.train, "validation": self.validation}
        return {name: split for name, split in named.items() if split is not None}
