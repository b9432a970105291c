"""The table of runtimes agrees with what uses it: the registry of recipes, the runner, the extras, the tiny models."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import edgeworthy
import pytest
from edgeworthy.installed import ABSENT, installed_version
from edgeworthy.runners.python_runner.models import MODELS
from edgeworthy.runtimes import ENGINES, RUNTIMES, BuiltIn
from edgeworthy.variants.recipes.registry import all_recipes

REPOSITORY = Path(__file__).parents[2]
ROWS = pytest.mark.parametrize("row", RUNTIMES.values(), ids=list(RUNTIMES))


@ROWS
def test_its_recipes_make_its_files(row: BuiltIn):
    """Every recipe that a row names is one of that runtime, and does what the row says of it."""
    recipes = all_recipes([])
    named = [row.canary, row.float_recipe, row.mixed, *row.quantized]
    assert {recipes[name].runtime for name in named if name} <= {row}
    assert row in {recipe.runtime for recipe in recipes.values()}
    # A runtime without a canary has no recipe that could make one.
    assert row.canary in {name for name, each in recipes.items() if each.runtime == row and each.calibrated} or not (
        row.canary or any(each.calibrated for each in recipes.values() if each.runtime == row)
    )
    assert row.float_recipe is None or recipes[row.float_recipe].lossless
    assert row.mixed is None or set(recipes[row.mixed].options) >= {"float_ops", "float_nodes"}


@ROWS
def test_the_runner_runs_it(row: BuiltIn):
    """The runner, which stands alone, has a class for it, and imports what the row names."""
    assert row.name in MODELS
    if installed_version(row.distribution) == ABSENT:
        pytest.skip(f"{row.name} is not installed: make accelerators")
    assert importlib.util.find_spec(row.module)


@ROWS
def test_an_extra_installs_it(row: BuiltIn):
    """The extra of that name lists the distribution."""
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(line.startswith(row.distribution) for line in extras[row.extra])


@ROWS
def test_its_tiny_model_is_there(row: BuiltIn):
    """A row names a file that exists."""
    folder = Path(str(edgeworthy.__file__)).parent / "measurements" / "tiny"
    assert row.tiny is None or (folder / row.tiny).is_file()


@pytest.mark.parametrize("row", ENGINES.values(), ids=list(ENGINES))
def test_an_extra_installs_an_engine(row: BuiltIn):
    """The extra of that name lists every distribution of an engine, which runs the files of a runtime."""
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = " ".join([*extras[row.extra], *extras["tflm"]])
    assert all(package in listed for package in row.packages)
    assert row.suffix in {runtime.suffix for runtime in RUNTIMES.values()}


def test_the_runner_runs_nothing_else():
    """No runtime and no engine is known to the runner alone, and none is both."""
    assert set(MODELS) == {*RUNTIMES, *ENGINES}
    assert not set(RUNTIMES) & set(ENGINES)
