"""The configured project: its models, datasets, recipes and devices, and the cells that they cross to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeworthy.cells import CellId, CellSelector, TargetId, matches
from edgeworthy.config import CANARY, ModelsFile, check_targets, default_limits, limits_for, load_devices, load_models
from edgeworthy.device_schema import AnyAndroidBackend, Device, DevicesFile, OwnBackend, RunnerBackend
from edgeworthy.errors import ConfigError, SourceError
from edgeworthy.model_schema import Model, Variant
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.suggestions import did_you_mean
from edgeworthy.user_code.functions import load_function
from edgeworthy.variants.artifacts.keys import VariantPlan
from edgeworthy.variants.recipes.registry import Recipe, all_recipes, check_options
from edgeworthy.yaml_file import YamlFile


@dataclass(frozen=True)
class Project:
    """models.yaml and devices.yaml, checked against each other and against the recipes that exist.

    ``base`` and ``devices_base`` are the folders of the two files, which the paths in them are relative to.
    """

    base: Path
    devices_base: Path
    models: ModelsFile
    devices: DevicesFile
    recipes: dict[str, Recipe]
    #: Functions of the user's that are given each run, by their names in models.yaml.
    reports: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, models_yaml: Path, devices_yaml: Path) -> Project:
        """Read both files. Raises ConfigError."""
        models, document = load_models(models_yaml)
        devices, _ = load_devices(devices_yaml)
        check_targets(models, document, devices)
        base = models_yaml.absolute().parent  # children open its files from folders of their own
        recipes = all_recipes([base / file for file in models.recipe_files])
        for name, model in models.models.items():
            for variant, spec in model.variants.items():
                _check_recipe(document, recipes, ("models", name, "variants", variant), variant, spec)
        reports = {name: _report(name, base) for name in models.reports}
        return cls(base, devices_yaml.absolute().parent, models, devices, recipes, reports)

    def recipe_files(self) -> list[Path]:
        """The user's own recipe files."""
        return [(self.base / file).resolve() for file in self.models.recipe_files]

    def plan(self, model: str, variant: str) -> VariantPlan:
        """How a variant, or the canary, of a model is made."""
        entry = self.models.models[model]
        spec = self._canary(entry) if variant == CANARY else entry.variants[variant]
        recipe = self.recipes[spec.recipe or variant]
        return VariantPlan(model, variant, recipe, spec.options, spec.required)

    def with_variants(self, model: str, variants: Mapping[str, Variant]) -> Project:
        """The project with these variants added to a model."""
        entry = self.models.models[model]
        wider = entry.model_copy(update={"variants": {**entry.variants, **variants}})
        models = {**self.models.models, model: wider}
        return replace(self, models=self.models.model_copy(update={"models": models}))

    def hurried(self, seconds: float) -> Project:
        """The project with no child process allowed more than so many seconds."""
        limits = {name: min(limit, seconds) for name, limit in self.models.timeouts.model_dump().items()}
        timeouts = self.models.timeouts.model_copy(update=limits)
        return replace(self, models=self.models.model_copy(update={"timeouts": timeouts}))

    def _canary(self, entry: Model) -> Variant:
        reference = entry.variants[entry.reference].recipe or entry.reference
        canary = RUNTIMES[self.recipes[reference].runtime].canary
        return Variant(recipe=canary, options={}, required=True)

    def cells(self, selection: CellSelector, prefix: str = "--edge-") -> list[CellId]:
        """The cells that the selection names, without the canaries.

        Raises ConfigError where a glob names nothing; ``prefix`` begins the names of the options that gave the globs.
        """
        targets = self.devices.targets()
        variants = sorted({variant for model in self.models.models.values() for variant in model.variants})
        _check_globs(prefix, "model", selection.models, list(self.models.models))
        _check_globs(prefix, "variant", selection.variants, variants)
        _check_globs(prefix, "target", selection.targets, targets)
        crossed = (
            CellId(name, variant, target)
            for name, model in self.models.models.items()
            for variant in model.variants
            for target in targets
        )
        return [cell for cell in crossed if selection.selects(cell) and self._runs_on(*cell)]

    def selected(self, selection: CellSelector, prefix: str = "--edge-") -> list[CellId]:
        """The cells that the selection names. Raises ConfigError where there are none."""
        found = self.cells(selection, prefix)
        if not found:
            raise ConfigError(
                "the selection is empty: no selected variant runs on a selected target",
                hint="widen the selection; 'edgeworthy models' lists all cells",
            )
        return found

    def canaries(self, cells: Sequence[CellId]) -> list[CellId]:
        """One canary for every model and target among the cells."""
        crossed = dict.fromkeys((cell.model, cell.target) for cell in cells)
        return [CellId(model, CANARY, target) for model, target in crossed if self._runs_on(model, CANARY, target)]

    def pairs(self, cells: Sequence[CellId]) -> list[tuple[CellId, CellId]]:
        """Each cell beside the first cell of the same variant on another target: the same artifact, run twice."""
        first: dict[tuple[str, str], CellId] = {}
        for cell in cells:
            first.setdefault((cell.model, cell.variant), cell)
        return [(cell, anchor) for cell in cells if (anchor := first[cell.model, cell.variant]).target != cell.target]

    def limits(self, cell: CellId) -> dict[str, float]:
        """A cell's limits: built-in ones, over them the backend's own, and over these the budgets of models.yaml."""
        runtime = self.plan(cell.model, cell.variant).recipe.runtime
        backend = self.backend(cell.target).limits(runtime)
        built_in = default_limits(self.models.models[cell.model])
        return {**built_in, **backend, **limits_for(self.models.budgets, cell)}

    def device(self, target: str) -> Device:
        """The entry of a target's device."""
        return self.devices.devices[TargetId.parse(target).device]

    def backend(self, target: str) -> RunnerBackend | AnyAndroidBackend | OwnBackend:
        """The entry of a target's backend."""
        return self.device(target).backends[TargetId.parse(target).backend]

    def _runs_on(self, model: str, variant: str, target: str) -> bool:
        entry = self.models.models[model]
        needed = entry.variants[variant].needs if variant != CANARY else ()
        runs = self.plan(model, variant).recipe.runtime in self.backend(target).runtimes
        return runs and matches(target, entry.targets) and set(needed) <= set(self.device(target).features)


def _report(name: str, base: Path) -> Callable[..., Any]:
    """The user's function; a wrong name shows before anything is measured. Raises ConfigError."""
    try:
        return load_function(name, base)
    except SourceError as error:
        raise ConfigError(f"reports: {error.message}", hint=error.hint) from error


def _check_recipe(
    document: YamlFile, recipes: dict[str, Recipe], at: tuple[str, ...], name: str, spec: Variant
) -> None:
    recipe = spec.recipe or name
    if recipe not in recipes:
        raise document.unknown_name((*at, "recipe") if spec.recipe else at, "recipe", recipe, list(recipes))
    try:
        check_options(recipes[recipe], spec.options)
    except ConfigError as error:
        raise document.error((*at, "options"), error.message) from error


def _check_globs(prefix: str, kind: str, globs: Sequence[str], names: Sequence[str]) -> None:
    for glob in globs:
        if not any(matches(name, [glob]) for name in names):
            raise ConfigError(
                f"{prefix}{kind} {glob}: no {kind} matches; {did_you_mean(glob, names)}",
                hint="correct the name or the glob; 'edgeworthy models' lists all cells",
            )
