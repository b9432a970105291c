"""Names of cells and of targets, and the one way in which a set of cells is selected by globs."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edgeworthy.text import one_line


class TargetId(NamedTuple):
    """A device and one of its backends, written ``device:backend``."""

    device: str
    backend: str

    @classmethod
    def parse(cls, name: str) -> TargetId:
        """Read ``device:backend``; names of devices hold no colon."""
        device, _, backend = name.partition(":")
        return cls(device, backend)

    def __str__(self) -> str:
        return f"{self.device}:{self.backend}"


class CellId(NamedTuple):
    """model x variant x target: the unit that is measured, judged and stored."""

    model: str
    variant: str
    target: str

    def __str__(self) -> str:
        """For people: names of models.yaml as they are, and of a run's file that somebody wrote nothing that is not printable."""
        return one_line(f"{self.model}/{self.variant}/{self.target}")

    @property
    def device(self) -> str:
        """The device of the target."""
        return TargetId.parse(self.target).device

    def slug(self) -> str:
        """A file name; names hold no ``/`` and targets exactly one ``:``, so it is unique."""
        return f"{self.model}+{self.variant}+{self.target.replace(':', '@')}"


def matches(name: str, globs: Sequence[str]) -> bool:
    """Whether one of the globs matches the name; no globs match every name."""
    return not globs or any(fnmatch.fnmatchcase(name, glob) for glob in globs)


@dataclass(frozen=True)
class CellSelector:
    """Globs over models, variants and targets; where a part has none, everything of it is selected."""

    models: Sequence[str] = ()
    variants: Sequence[str] = ()
    targets: Sequence[str] = ()

    @classmethod
    def of(cls, model: str | None, variant: str | None, target: str | None) -> CellSelector:
        """At most one glob for each part, as an entry of a YAML file has them."""
        return cls(*(() if glob is None else (glob,) for glob in (model, variant, target)))

    def selects(self, cell: CellId) -> bool:
        """Whether the cell is one of those."""
        parts = (self.models, self.variants, self.targets)
        return all(matches(name, globs) for name, globs in zip(cell, parts, strict=True))
