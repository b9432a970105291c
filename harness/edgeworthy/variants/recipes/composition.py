"""Recipes from their parts: what a name alone means, what a list means, and which lists make no sense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from edgeworthy.errors import RecipeMisfit
from edgeworthy.model_schema import Listed, Variant
from edgeworthy.suggestions import did_you_mean
from edgeworthy.variants.recipes.parts import Preparation, Recipe, check_options

#: What a name alone stands for, where it is more than the recipe of that name.
LISTS = {
    "pruned": ("pruned", "fp32"),
    "pruned_int8": ("pruned", "int8"),
    "clustered": ("clustered", "fp32"),
    "qat_int8": ("qat", "int8"),
}
Options = dict[str, Any]


class Chosen(NamedTuple):
    """A recipe as models.yaml gives it, with the options of each of its parts, by the part's name."""

    recipe: Recipe
    options: dict[str, Options]


class Recipes(Mapping[str, Recipe]):
    """The recipes that a name alone stands for, by that name, and those that lists of ``parts`` make."""

    def __init__(self, parts: Mapping[str, Recipe | Preparation]) -> None:
        self.parts = parts

    def __getitem__(self, name: str) -> Recipe:
        """The recipe of that name without options; KeyError where the name alone stands for none."""
        if name not in list(self):
            raise KeyError(name)
        return _composed(name, self._alone(name))

    def __iter__(self) -> Iterator[str]:
        """Each name, in the order of definition; a list is where its first part is defined."""
        for name, part in self.parts.items():
            yield from (listed for listed, (first, *_) in LISTS.items() if first == name)
            if isinstance(part, Recipe) and name not in LISTS:
                yield name

    def __len__(self) -> int:
        return len(list(iter(self)))

    def chosen(self, recipe: str | Sequence[Listed], options: Mapping[str, Any]) -> Chosen:
        """The recipe of a name, or of a list of names and ``{name: options}``; ``options`` go to the part that has them.

        Raises RecipeMisfit for a name that there is not, a list that makes no sense, and options that do not fit.
        """
        if isinstance(recipe, str):
            made = _composed(recipe, self._alone(recipe))
            given: list[tuple[tuple[str, ...], Options]] = []
        else:
            named = [_named(part) for part in recipe]
            name = Variant(recipe=list(recipe)).recipe_name("")
            parts = [self._expanded(part, ("recipe", place)) for place, (part, _) in enumerate(named)]
            made = _composed(name, [part for each in parts for part in each])
            given = [(tuple(part.name for part in each), own) for each, (_, own) in zip(parts, named, strict=True)]
        found: dict[str, Options] = {name: {} for name in made.steps}
        for place, (names, own) in enumerate(given):
            _share(
                made, names, own, found, ("recipe", place, *([] if isinstance(recipe[place], str) else recipe[place]))
            )
        _share(made, made.steps, options, found, ("options",))
        _check_required(made, found)
        return Chosen(made, found)

    def _alone(self, name: str) -> list[Recipe | Preparation]:
        return [part for each in LISTS.get(name, (name,)) for part in self._expanded(each, ("recipe",))]

    def _expanded(self, name: str, at: tuple[str | int, ...]) -> list[Recipe | Preparation]:
        """The parts that a name in a list stands for."""
        if name not in self.parts and name in LISTS:
            return self._alone(name)
        if name not in self.parts:
            known = [*self, *(each for each in self.parts if each not in LISTS)]
            raise RecipeMisfit(f"unknown recipe {name!r}; {did_you_mean(name, known)}", hint="", keys=at)
        part = self.parts[name]
        return [*part.preparations, replace(part, preparations=())] if isinstance(part, Recipe) else [part]


def _named(part: Listed) -> tuple[str, Options]:
    if isinstance(part, str):
        return part, {}
    ((name, options),) = part.items()
    return name, dict(options or {})


def _composed(name: str, parts: Sequence[Recipe | Preparation]) -> Recipe:
    """One recipe of the parts. Raises RecipeMisfit where they make none."""
    exports = [part for part in parts if isinstance(part, Recipe)]
    preparations = [part for part in parts if isinstance(part, Preparation)]
    _check_order(parts, exports)
    export = exports[0]
    for part in preparations:
        _check_pair(part, parts[parts.index(part) + 1 :])
    if not preparations:
        return replace(export, name=name, export=export.name)
    first = preparations[0]
    return replace(
        export,
        name=name,
        export=export.name,
        preparations=tuple(preparations),
        lossless=False,
        cost=first.cost or export.cost,
        reference=first.reference or export.reference,
    )


def _check_order(parts: Sequence[Recipe | Preparation], exports: Sequence[Recipe]) -> None:
    names = [part.name for part in parts]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RecipeMisfit(f"{twice[0]} is in the list twice", hint="list it once", keys=("recipe",))
    if not exports:
        raise RecipeMisfit(
            f"{' and '.join(names)} {'prepare' if len(names) > 1 else 'prepares'} the model, and nothing exports it",
            hint=f"end the list with what exports, such as int8: [{', '.join(names)}, int8]",
            keys=("recipe",),
        )
    if len(exports) > 1:
        raise RecipeMisfit(
            f"{exports[0].name} and {exports[1].name} both export the model, and a variant is one artifact",
            hint="keep one of them, and make another variant by the other one",
            keys=("recipe",),
        )
    for before, after in pairwise(parts):
        if isinstance(before, Recipe):
            raise RecipeMisfit(
                f"{after.name} comes after {before.name}, which has exported the model: an artifact is not prepared further",
                hint=f"put {before.name} last",
                keys=("recipe",),
            )


def _check_pair(part: Preparation, following: Sequence[Recipe | Preparation]) -> None:
    """Raise RecipeMisfit where what comes later would undo what the part has done."""
    for later in following:
        if reason := _undoes(later, part):
            raise RecipeMisfit(
                f"{later.name} cannot come after {part.name}: {reason}",
                hint=f"put {later.name} before {part.name}",
                keys=("recipe",),
            )
        if isinstance(later, Recipe) and part.weights and later.weights != part.weights:
            stored = f"stores {later.weights} ones" if later.weights else "does not say what it stores"
            raise RecipeMisfit(
                f"{part.name} trains for {part.weights} weights, and {later.name} {stored}",
                hint=f"export by a recipe with {part.weights} weights, or leave {part.name} out",
                keys=("recipe",),
            )


def _undoes(later: Recipe | Preparation, part: Preparation) -> str:
    """Why ``later`` may not come after ``part``; empty where it may."""
    if isinstance(later, Recipe):
        return ""
    if later.another:
        return f"it puts another model in the place of the one that {part.name} has changed"
    return part.undone_by.get(later.name) or part.undone_by.get("*", "")


def _share(
    recipe: Recipe,
    names: Sequence[str],
    given: Mapping[str, Any],
    found: dict[str, Options],
    at: tuple[str | int, ...],
) -> None:
    """Write each given option into ``found`` of the one part among ``names`` that has it. Raises RecipeMisfit."""
    known = {name: recipe.options_of[name] for name in names}
    of_all = {option: entry for options in known.values() for option, entry in options.items()}
    check_options(names[0] if len(names) == 1 else recipe.name, of_all, given, at)
    for option, value in given.items():
        owners = [name for name, options in known.items() if option in options]
        if len(owners) > 1:
            raise RecipeMisfit(
                f"{' and '.join(owners)} both have the option {option!r}",
                hint=f"write it at the part that it is for: recipe: [..., {{{owners[0]}: {{{option}: {value}}}}}, ...]",
                keys=at,
            )
        if option in found[owners[0]]:
            raise RecipeMisfit(
                f"the option {option!r} of {owners[0]} is given in the list too", hint="give it once", keys=at
            )
        found[owners[0]][option] = value


def _check_required(recipe: Recipe, found: Mapping[str, Options]) -> None:
    for name, options in recipe.options_of.items():
        for option, entry in options.items():
            if entry.required and option not in found[name]:
                raise RecipeMisfit(
                    f"recipe {name!r} needs the option {option!r}",
                    hint="add it to the variant's options in models.yaml",
                    keys=("options",),
                )
