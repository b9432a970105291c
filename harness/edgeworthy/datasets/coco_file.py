"""A file of instances as COCO has them: https://cocodataset.org/#format-data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeworthy.errors import SourceError
from edgeworthy.readers import checked_file, reading

_HINT = "give a JSON of instances, with 'images', 'annotations' that have a 'bbox', and 'categories'"
_FIX = "correct the annotations"


class _Entry(BaseModel):
    """Further keys, such as segmentations and licences, are not read."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    id: int


class Image(_Entry):
    """An image; ``file_name`` is relative to the folder of images."""

    file_name: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class Annotation(_Entry):
    """An object; ``bbox`` is left, top, width and height in pixels."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: Literal[0, 1] = 0


class Category(_Entry):
    """A class of objects."""

    name: str


class CocoFile(BaseModel):
    """What is read of the file. Every id is there once, and every annotation's image and category are."""

    images: list[Image] = Field(min_length=1)
    annotations: list[Annotation] = Field(min_length=1)
    categories: list[Category] = Field(min_length=1)


def read_coco(path: Path) -> CocoFile:
    """Read the file. Raises SourceError naming it and the annotation that is wrong."""
    checked_file(path)
    with reading(path, "COCO file of instances", _HINT):
        found = _validated(path.read_bytes())
    for what, keys in (
        ("image id", (image.id for image in found.images)),
        ("file name", (image.file_name for image in found.images)),
        ("annotation id", (each.id for each in found.annotations)),
        ("category id", (each.id for each in found.categories)),
    ):
        _refuse_twice(path, what, keys)
    _refuse_unknown(path, found)
    return found


def _validated(content: bytes) -> CocoFile:
    try:
        return CocoFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")) from error


def _refuse_twice(path: Path, what: str, keys: Iterable[object]) -> None:
    key, count = Counter(keys).most_common(1)[0]
    if count > 1:
        raise SourceError(f"{path}: {what} {key!r} is there {count} times", hint=_FIX)


def _refuse_unknown(path: Path, found: CocoFile) -> None:
    images, categories = {image.id for image in found.images}, {each.id for each in found.categories}
    for each in found.annotations:
        if each.image_id not in images:
            raise SourceError(
                f"{path}: annotation {each.id} is of image {each.image_id}, which is not there", hint=_FIX
            )
        if each.category_id not in categories:
            raise SourceError(
                f"{path}: annotation {each.id} is of category {each.category_id}, which is not there", hint=_FIX
            )
