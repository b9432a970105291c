"""Where in models.yaml a limit is set: the line that a review shows a broken one on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY, ModelsFile, deciding_budgets
from edgeworthy.records import Change, Checked
from edgeworthy.yaml_file import KeyPath, YamlFile


@dataclass(frozen=True)
class Place:
    """A line, from 1, of a file, whose ``path`` is relative to the repository's root; ``key`` is what stands there."""

    path: str
    line: int
    key: str


class Places:
    """The lines of a models.yaml, which need not be readable: then everything is on its first line."""

    def __init__(self, path: Path, models: ModelsFile | None = None, document: YamlFile | None = None) -> None:
        self._path = _in_repository(path)
        self._models = models
        self._document = document

    def file(self) -> Place:
        """The file as a whole."""
        return Place(self._path, 1, "")

    def cell(self, cell: CellId) -> Place:
        """Where the cell's variant stands, or what is nearest to it."""
        own = () if cell.variant == CANARY else ("variants", cell.variant)
        return self._at("models", cell.model, *own)

    def limit(self, cell: CellId, check: Checked) -> Place:
        """The budget that set this limit; of one that is not from models.yaml (built in, an option) the cell's place."""
        name = f"{check.side}_{check.metric}"
        budgets = self._models.budgets if self._models else []
        index = deciding_budgets(budgets, cell).get(name)
        if index is None or getattr(budgets[index], name) != check.limit:
            return self.cell(cell)
        return self._at("budgets", index, name)

    def tolerance(self, change: Change) -> Place:
        """The tolerance that the change was held against, where models.yaml sets it, else the cell's place."""
        at = ("regression", change.effect.key if change.effect else "")
        return self._at(*at) if self._document and at in self._document.lines else self.cell(change.cell)

    def _at(self, *keys: str | int) -> Place:
        known: KeyPath = keys
        if self._document is None:
            return self.file()
        while known and known not in self._document.lines:
            known = known[:-1]
        return Place(self._path, self._document.line(known), ".".join(map(str, known)))


def _in_repository(path: Path) -> str:
    """Relative to the root of the git repository that it is in, or else to the working directory; as it is outside both."""
    full = path.resolve()
    root = next((folder for folder in full.parents if (folder / ".git").exists()), Path.cwd())
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else path.as_posix()
