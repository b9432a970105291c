"""Samples on disk: numbers as they are stored, and the step that makes of them what a model takes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.storage import digest, file_digest


@dataclass(frozen=True)
class Samples:
    """A .npy of uint8 or float32 (N, H, W, C) and, per channel, ``value * scale + offset``.

    Both are computed in float32, the product rounded before the sum, here as in the runners, so that all of them feed
    the same bits. Without ``scale`` and ``offset`` the values are taken as they are.
    """

    path: Path
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(np.load(self.path, mmap_mode="r"))

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Samples ``start`` to ``stop``, float32 (n, H, W, C); the rest of the file is not read."""
        return self._values(np.load(self.path, mmap_mode="r")[start:stop])

    def take(self, chosen: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """The samples of those indices, float32 (n, H, W, C); the rest of the file is not read."""
        return self._values(np.load(self.path, mmap_mode="r")[chosen])

    def _values(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        if not self.scale:
            return np.array(stored, np.float32)
        values: NDArray[np.float32] = stored * np.array(self.scale, np.float32) + np.array(self.offset, np.float32)
        return values

    def checksum(self) -> str:
        """The sha256, as hex, of the file and, where there is one, of the step."""
        stored = _file_digest(self.path)
        return digest([stored, self.scale, self.offset]) if self.scale else stored

    def to_json(self) -> dict[str, Any]:
        """As a child process and a runner are told of them."""
        return {"path": str(self.path), "scale": list(self.scale), "offset": list(self.offset)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Samples:
        """What ``to_json`` told."""
        return cls(Path(told["path"]), tuple(told["scale"]), tuple(told["offset"]))


@functools.cache
def _file_digest(path: Path) -> str:
    """Of a file of the store, which nobody changes."""
    return file_digest(path)
