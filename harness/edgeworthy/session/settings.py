"""Where a project's files lie, and what a run does at its end: pytest's ini values, which the commands read too."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.cells import CellSelector
from edgeworthy.errors import ConfigError
from edgeworthy.judging.gate import Gate
from edgeworthy.measurements.project import Project
from edgeworthy.pytest_ini import ini_path, ini_value
from edgeworthy.storage import Store, open_store
from edgeworthy.verdicts.baselines import Baselines
from edgeworthy.verdicts.waivers import Waivers


@dataclass(frozen=True)
class Settings:
    """The paths of a project; ``root`` is pytest's root folder. ``history`` is a URL or a file, or empty for the default."""

    root: Path
    models: Path
    devices: Path
    baselines: Path
    results: Path
    store: Path
    history: str = ""
    diagnose: bool = True
    store_max_gb: str = "10"

    @classmethod
    def from_ini(cls, models: Path, devices: Path, results: Path) -> Settings:
        """Those of pytest where a command is run, with these paths. Raises ConfigError for an unreadable file of pytest's."""
        root, history = ini_value("edge_history")
        diagnose, most = ini_value("edge_diagnose")[1], ini_value("edge_store_max_gb")[1]
        return cls(
            root,
            models,
            devices,
            ini_path("edge_baselines"),
            results,
            ini_path("edge_store"),
            history=history,
            diagnose=diagnose.lower() not in ("0", "false", "f", "no", "n", "off"),
            store_max_gb=most or "10",
        )

    def project(self) -> Project:
        """The configuration. Raises ConfigError."""
        return Project.load(self.models, self.devices)

    def open_store(self) -> Store:
        """The artifact store; EDGE_STORE names another one."""
        return open_store(self.store)

    @property
    def waivers(self) -> Path:
        """The file of waivers, which need not be there."""
        return self.models.with_name("waivers.yaml")

    def gate(self, project: Project, baselines: Path | None, run: Path, option: str = "--edge-baseline") -> Gate:
        """What a run is held against: the baselines in a folder, or none, and the waivers beside models.yaml.

        Raises EdgeworthyError where one of them cannot be read, names a cell that does not exist, or where a folder that the
        user named by ``option`` has no baseline.
        """
        waivers = Waivers.load(self.waivers)
        found = None if baselines is None else Baselines.from_folder(baselines)
        if found is not None and baselines != self.baselines and not found.files:
            raise ConfigError(
                f"{option} {baselines}: there is no baseline",
                hint="name a folder that 'edgeworthy baseline accept' wrote"
                + (", and the tests before the option: pytest benchmarks/ --edge-baseline" if "edge" in option else ""),
            )
        if self.waivers.is_file():
            accepted = found or Baselines.from_folder(self.baselines)
            waivers.check_names([*project.cells(CellSelector()), *accepted.cells()])
        return Gate(os.path.relpath(run), found, waivers, project.models.regression)

    def prune(self) -> None:
        """Shrink the store to the size that it may have. Raises ConfigError where that is no number."""
        try:
            limit = float(self.store_max_gb)
        except ValueError as error:
            raise ConfigError(
                f"edge_store_max_gb = {self.store_max_gb}: not a number of gigabytes",
                hint="give a number of gigabytes, for example edge_store_max_gb = 10",
            ) from error
        self.open_store().prune(int(limit * 1e9))
