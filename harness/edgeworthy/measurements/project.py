"""The configured project: its models, datasets, recipes and devices, and the cells that they cross to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeworthy.cells import CellId, CellSelector, TargetId, matches
from edgeworthy.config import (
    CANARY,
    ModelsFile,
    check_runtimes,
    check_targets,
    default_limits,
    limits_for,
    load_devices,
    load_models,
)
from edgeworthy.device_schema import AnyAndroidBackend, Device, DevicesFile, OwnBackend, RunnerBackend
from edgeworthy.emulator_schema import AnyEmulatedBackend
from edgeworthy.errors import ConfigError, RecipeMisfit, RecipeRefused, SourceError
from edgeworthy.metrics import NEEDED_LIMITS, TIMED_LIMITS
from edgeworthy.model_schema import Variant
from edgeworthy.runtimes import RUNTIMES, Runtime
from edgeworthy.suggestions import did_you_mean
from edgeworthy.user_code.functions import load_function
from edgeworthy.user_code.own_runtimes import all_runtimes
from edgeworthy.variants.artifacts.canary import canary_recipe
from edgeworthy.variants.artifacts.keys import VariantPlan
from edgeworthy.variants.recipes.composition import Recipes
from edgeworthy.variants.recipes.registry import all_recipes
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
    recipes: Recipes
    #: By their names, the user's own among them.
    runtimes: Mapping[str, Runtime] = field(default_factory=lambda: dict(RUNTIMES))
    #: Functions of the user's that are given each run, by their names in models.yaml.
    reports: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    #: Every question about a cell asks for its plan, and a recipe's options are checked for each one that is made.
    _plans: dict[tuple[str, str], VariantPlan] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def load(cls, models_yaml: Path, devices_yaml: Path) -> Project:
        """Read both files. Raises ConfigError."""
        models, document = load_models(models_yaml)
        devices, devices_document = load_devices(devices_yaml)
        check_targets(models, document, devices)
        base = models_yaml.absolute().parent  # children open its files from folders of their own
        runtimes = all_runtimes(models.runtimes, document)
        check_runtimes(devices, devices_document, runtimes)
        recipes = all_recipes([base / file for file in models.recipe_files], runtimes)
        for name, model in models.models.items():
            for variant, spec in model.variants.items():
                _check_recipe(document, recipes, ("models", name, "variants", variant), variant, spec)
        reports = {name: _report(name, base) for name in models.reports}
        return cls(base, devices_yaml.absolute().parent, models, devices, recipes, runtimes, reports)

    def recipe_files(self) -> list[Path]:
        """The user's own recipe files."""
        return [(self.base / file).resolve() for file in self.models.recipe_files]

    def plan(self, model: str, variant: str) -> VariantPlan:
        """How a variant, or the canary, of a model is made. Raises RecipeRefused where a canary cannot be."""
        if (model, variant) not in self._plans:
            self._plans[model, variant] = self._planned(model, variant)
        return self._plans[model, variant]

    def _planned(self, model: str, variant: str) -> VariantPlan:
        entry = self.models.models[model]
        if variant == CANARY:
            recipe = canary_recipe(self.plan(model, entry.reference).recipe.runtime, self.recipes.values())
            return VariantPlan(model, variant, recipe, {part: {} for part in recipe.steps}, True, recipe.name, {})
        spec = entry.variants[variant]
        given = spec.recipe or variant
        recipe, options = self.recipes.chosen(given, spec.options)
        return VariantPlan(model, variant, recipe, options, spec.required, given, spec.options)

    def plans(self, model: str, variants: Iterable[str]) -> list[VariantPlan]:
        """How each of these variants of a model, and its canary, are made; without a canary where it cannot be."""
        found = [self.plan(model, variant) for variant in dict.fromkeys(variants)]
        with contextlib.suppress(RecipeRefused):
            found.append(self.plan(model, CANARY))
        return found

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

    def cells(self, selection: CellSelector, prefix: str = "--edge-") -> list[CellId]:
        """The cells that the selection names, without the canaries.

        Raises ConfigError where a glob names nothing; ``prefix`` begins the names of the options that gave the globs.
        """
        return [cell for cell in self._crossed(selection, prefix) if not self.why_not(cell)]

    def _crossed(self, selection: CellSelector, prefix: str) -> list[CellId]:
        """What the selection names, whether or not it can be run."""
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
        return [cell for cell in crossed if selection.selects(cell)]

    def selected(self, selection: CellSelector, prefix: str = "--edge-") -> list[CellId]:
        """The cells that the selection names. Raises ConfigError where there are none."""
        crossed = self._crossed(selection, prefix)
        found = [cell for cell in crossed if not self.why_not(cell)]
        if not found:
            reason = f": {crossed[0]}: {self.why_not(crossed[0])}" if crossed else ""
            raise ConfigError(
                f"the selection is empty: no selected variant runs on a selected target{reason}",
                hint="widen the selection; 'edgeworthy models' lists all cells",
            )
        return found

    def canaries(self, cells: Sequence[CellId]) -> list[CellId]:
        """One canary for every model and target among the cells."""
        crossed = dict.fromkeys((cell.model, cell.target) for cell in cells)
        found = [CellId(model, CANARY, target) for model, target in crossed]
        return [cell for cell in found if not self.why_not(cell)]

    def pairs(self, cells: Sequence[CellId]) -> list[tuple[CellId, CellId]]:
        """Each cell beside the first cell of the same variant on another target: the same artifact, run twice.

        One of a device also beside that of the emulation that stands for it.
        """
        first: dict[tuple[str, str], CellId] = {}
        for cell in cells:
            first.setdefault((cell.model, cell.variant), cell)
        pairs = [(cell, anchor) for cell in cells if (anchor := first[cell.model, cell.variant]).target != cell.target]
        return list(dict.fromkeys([*pairs, *self._emulated_pairs(cells)]))

    def _emulated_pairs(self, cells: Sequence[CellId]) -> Iterator[tuple[CellId, CellId]]:
        stand_ins, there = self.devices.stand_ins(), set(cells)
        for cell in cells:
            real = cell._replace(target=stand_ins.get(cell.target, ""))
            if real in there:
                yield real, cell

    def limits(self, cell: CellId, overrides: Mapping[str, float] | None = None) -> dict[str, float]:
        """A cell's limits: built-in ones, over them the backend's own, the budgets of models.yaml, and ``overrides``.

        Limits of times and memory speak of targets that are timed, those of what a model needs of microcontrollers.
        """
        backend = self.backend(cell.target)
        own = backend.limits(self._runtime(cell).name)
        built_in = default_limits(self.models.models[cell.model])
        found = {**built_in, **own, **limits_for(self.models.budgets, cell), **(overrides or {})}
        unknown = {name for name, metric in NEEDED_LIMITS.items() if metric not in backend.needs}
        unknown |= set() if backend.timed else TIMED_LIMITS
        return {name: limit for name, limit in found.items() if name not in unknown}

    def device(self, target: str) -> Device:
        """The entry of a target's device."""
        return self.devices.devices[TargetId.parse(target).device]

    def backend(self, target: str) -> RunnerBackend | AnyEmulatedBackend | AnyAndroidBackend | OwnBackend:
        """The entry of a target's backend."""
        return self.device(target).backends[TargetId.parse(target).backend]

    def accelerates(self, cell: CellId) -> bool:
        """Whether an accelerator runs the cell, whose ops can be compared with the processor's."""
        return self.backend(cell.target).accelerates(self._runtime(cell))

    def why_not(self, cell: CellId) -> str:
        """Why the cell is not measured: its backend, its model's targets, what its variant needs; empty where it is."""
        entry = self.models.models[cell.model]
        needed = set(entry.variants[cell.variant].needs if cell.variant != CANARY else ())
        if not matches(cell.target, entry.targets):
            return f"the model's targets are {', '.join(entry.targets)}"
        if lacking := sorted(needed - set(self.device(cell.target).features)):
            return f"the device has no {', '.join(lacking)}, which the variant needs"
        return self.backend(cell.target).why_not(self._runtime(cell))

    def _runtime(self, cell: CellId) -> Runtime:
        """What runs the cell; a canary runs where its model's reference does."""
        variant = self.models.models[cell.model].reference if cell.variant == CANARY else cell.variant
        return self.plan(cell.model, variant).recipe.runtime


def _report(name: str, base: Path) -> Callable[..., Any]:
    """The user's function; a wrong name shows before anything is measured. Raises ConfigError."""
    try:
        return load_function(name, base)
    except SourceError as error:
        raise ConfigError(f"reports: {error.message}", hint=error.hint) from error


def _check_recipe(document: YamlFile, recipes: Recipes, at: tuple[str, ...], name: str, spec: Variant) -> None:
    try:
        recipes.chosen(spec.recipe or name, spec.options)
    except RecipeMisfit as error:
        keys = error.keys if spec.recipe or error.keys[0] == "options" else ()
        raise document.error((*at, *keys), error.message, error.hint) from error


def _check_globs(prefix: str, kind: str, globs: Sequence[str], names: Sequence[str]) -> None:
    for glob in globs:
        if not any(matches(name, [glob]) for name in names):
            raise ConfigError(
                f"{prefix}{kind} {glob}: no {kind} matches; {did_you_mean(glob, names)}",
                hint="correct the name or the glob; 'edgeworthy models' lists all cells",
            )
