"""Recipes are found by name, their options are checked, and nothing heavy is imported for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from edgeworthy.errors import ConfigError
from edgeworthy.variants.recipes.registry import all_recipes, builtin_recipes, load_recipe_file

MINE = """
from edgeworthy import recipe

@recipe("{name}", runtime="litert", packages=("tensorflow",))
def mine(source, out, *, sparsity: float, layers: list[str] = []):
    return "nhwc"
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_builtin_recipes_carry_what_the_store_needs() -> None:
    """Each built-in recipe says its runtime, suffix, calibration, packages and defining file."""
    recipes = builtin_recipes()
    assert {"fp32", "int8", "mixed", "ort_int8_minmax", "torch_int8"} <= set(recipes)
    assert recipes["int8"].calibrated
    assert not recipes["fp32"].calibrated
    assert [recipes[name].runtime.suffix for name in ("fp32", "ort_fp32", "torch_fp32")] == [".tflite", ".onnx", ".pt"]
    assert all(entry.packages and entry.file.is_file() for entry in recipes.values())


def test_listing_recipes_imports_nothing_heavy() -> None:
    """The main process reads the recipes without TensorFlow, Keras, torch or onnx."""
    code = (
        "import sys; from edgeworthy.variants.recipes.registry import all_recipes; all_recipes([]);"
        "print({'tensorflow', 'keras', 'torch', 'onnx', 'onnxruntime'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_a_users_file_adds_recipes(tmp_path: Path) -> None:
    """A recipe file adds its recipes to the built-in ones; reading it twice changes nothing."""
    file = write(tmp_path / "mine.py", MINE.format(name="thinned"))
    assert all_recipes([file])["thinned"].file == file
    assert list(load_recipe_file(file)) == ["thinned"]
    assert "thinned" not in all_recipes([])


def test_one_name_in_two_files_is_refused(tmp_path: Path) -> None:
    """The error names both files, also where one of them is edgeworthy's own."""
    first = write(tmp_path / "first.py", MINE.format(name="same"))
    second = write(tmp_path / "second.py", MINE.format(name="same"))
    with pytest.raises(ConfigError, match=r"'same'.*first\.py and .*second\.py"):
        all_recipes([first, second])
    with pytest.raises(ConfigError, match=r"'int8'.*litert\.py and .*third\.py"):
        all_recipes([write(tmp_path / "third.py", MINE.format(name="int8"))])


def test_a_recipe_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, and one that raises, become a ConfigError with the file and the exception."""
    with pytest.raises(ConfigError, match=r"absent\.py: no such file"):
        all_recipes([tmp_path / "absent.py"])
    with pytest.raises(ConfigError, match=r"broken\.py: importing it raised ZeroDivisionError"):
        all_recipes([write(tmp_path / "broken.py", "1 / 0")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsty": 0.5}, "recipe 'thinned' has no option 'sparsty'; did you mean 'sparsity'"),
        ({"sparsity": "much"}, r"option sparsity: .*number \(given: 'much'\)"),
        ({"sparsity": 0.5, "layers": [1]}, r"option layers\[0\]: .*string \(given: 1\)"),
        ({}, "recipe 'thinned' needs the option 'sparsity'"),
    ],
)
def test_options_that_do_not_fit_are_explained(tmp_path: Path, options: dict[str, object], message: str) -> None:
    """An unknown option, a wrong type and a missing option each get their own sentence."""
    recipes = all_recipes([write(tmp_path / "mine.py", MINE.format(name="thinned"))])
    with pytest.raises(ConfigError, match=message):
        recipes.chosen("thinned", options)


def test_options_that_fit_are_accepted(tmp_path: Path) -> None:
    """Required and defaulted options pass; calibration is no option."""
    recipes = all_recipes([write(tmp_path / "mine.py", MINE.format(name="thinned"))])
    recipes.chosen("thinned", {"sparsity": 1, "layers": ["a"]})
    recipes.chosen("mixed", {"float_ops": ["HARD_SWISH"]})
    with pytest.raises(ConfigError, match="has no option 'calibration'"):
        recipes.chosen("int8", {"calibration": []})
