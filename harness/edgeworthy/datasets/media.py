"""What the files of samples are: images or sounds, by their suffixes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgeworthy.datasets import pillow, sound_files


@dataclass(frozen=True)
class Media:
    """``noun`` is what errors call the files; ``load`` raises SourceError without the packages that read them."""

    noun: str
    suffixes: Callable[[], frozenset[str]]
    load: Callable[[], object]


IMAGES = Media("images", pillow.suffixes, pillow.image_module)
SOUNDS = Media("sounds", lambda: sound_files.SUFFIXES, sound_files.packages)
