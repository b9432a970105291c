"""What may be tried: a model's own variants, every other recipe, and mixed ones that a diagnosis suggests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeworthy.diagnosis.proposal import leaving_float, prefix
from edgeworthy.diagnosis.records import Traced
from edgeworthy.installed import ABSENT, installed_version
from edgeworthy.measurements.project import Project
from edgeworthy.model_schema import Variant
from edgeworthy.runtimes import Runtime
from edgeworthy.variants.recipes.parts import Recipe

#: Ops without weights cost no bytes in float, and their int8 kernels are often the slow ones: those that reduce or scale
#: a whole tensor first, then also those that add tensors.
REDUCING = frozenset(
    {"MEAN", "SUM", "MUL", "AVERAGE_POOL_2D", "LOGISTIC", "HARD_SWISH", "TANH", "SOFTMAX"}
    | {
        "ReduceMean",
        "GlobalAveragePool",
        "Mul",
        "AveragePool",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Tanh",
        "Softmax",
    }
)
WEIGHTLESS = REDUCING | {"ADD", "SUB", "MAXIMUM", "MINIMUM", "Add", "Sub", "Max", "Min"}
#: Mixed variants leave layers float until at most so much of the added error is left.
LEFT_PERCENT = (60.0, 30.0, 10.0)


@dataclass(frozen=True)
class Candidate:
    """A variant to try; ``own`` says that models.yaml has it already, ``reference`` that all are compared with it."""

    name: str
    variant: Variant
    own: bool = False
    reference: bool = False

    @property
    def recipe(self) -> str:
        """The recipe's name, or those of its list."""
        return self.variant.recipe_name(self.name)


def own_variants(project: Project, model: str, runtimes: Sequence[Runtime]) -> list[Candidate]:
    """The model's variants that run on a target with these runtimes."""
    entry = project.models.models[model]
    found = [Candidate(name, variant, True, name == entry.reference) for name, variant in entry.variants.items()]
    return [candidate for candidate in found if project.plan(model, candidate.name).recipe.runtime in runtimes]


def present(runtimes: Sequence[Runtime]) -> list[Runtime]:
    """Those that are installed and run here, and the user's own: a recipe of another could not even convert."""
    here = [each for each in runtimes if not each.why_not_here()]
    return [each for each in here if each.class_name or ABSENT not in map(installed_version, each.packages)]


def other_recipes(project: Project, model: str, runtimes: Sequence[Runtime], *, trained: bool) -> list[Candidate]:
    """Recipes that need no options and are no variant of the model yet, those that do not calibrate first.

    ``trained`` asks for those that train the model, which take minutes, instead of the others.
    """
    plain = [name for name, variant in _variants(project, model) if not variant.all_options]
    taken = {project.plan(model, name).recipe.steps for name in plain}
    fitting = [
        recipe
        for recipe in project.recipes.values()
        if recipe.runtime in runtimes
        and recipe.trained == trained
        and recipe.name != recipe.runtime.mixed
        and recipe.steps not in taken
        and not recipe.needs_options
    ]
    names = {name for name, _ in _variants(project, model)}
    return [
        Candidate(_free(recipe.name, names), Variant(recipe=recipe.name)) for recipe in sorted(fitting, key=_cheapest)
    ]


def mixed_variants(project: Project, model: str, recipe: str, traced: Traced) -> list[Candidate]:
    """Variants by ``recipe`` that leave more and more float.

    First the ops that the delegate leaves, or that have no weights; then the layers that add most error.
    """
    names = {name for name, _ in _variants(project, model)}
    known = [(variant.recipe_name(name), variant.options) for name, variant in _variants(project, model)]
    found: list[Candidate] = []
    for floats, ops in _choices(traced):
        proposal = leaving_float(traced, recipe, "", floats, ops)
        if (proposal.recipe, proposal.options) in known or not proposal.options:
            continue
        known.append((proposal.recipe, proposal.options))
        name = _free(f"{proposal.recipe}_tuned", names)
        names.add(name)
        found.append(Candidate(name, Variant(recipe=proposal.recipe, options=proposal.options)))
    return found


def _choices(traced: Traced) -> Iterator[tuple[list[str], list[str]]]:
    """Layers and kinds of ops to leave float, the cheapest first."""
    left = [op.op for op in traced.delegated.left if op.float_taken] if traced.delegated else []
    there = dict.fromkeys(layer.op for layer in traced.layers)
    for ops in (left, *([*left, *(op for op in there if op in kinds - set(left))] for kinds in (REDUCING, WEIGHTLESS))):
        yield [], ops
    for at_most in LEFT_PERCENT:
        yield prefix(traced, at_most), left


def _variants(project: Project, model: str) -> list[tuple[str, Variant]]:
    return list(project.models.models[model].variants.items())


def _cheapest(recipe: Recipe) -> bool:
    return recipe.calibrated


def _free(name: str, taken: set[str]) -> str:
    """The name, numbered where it is taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
