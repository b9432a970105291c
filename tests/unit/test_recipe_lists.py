"""What lists of recipes mean, where their options go, and which lists make no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from edgeworthy.config import load_models
from edgeworthy.errors import ConfigError, RecipeMisfit
from edgeworthy.measurements.project import Project
from edgeworthy.model_schema import Variant
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.tuning.candidates import other_recipes
from edgeworthy.variants.recipes.registry import all_recipes, builtin_recipes
from edgeworthy.variants.training.weight_constraints import Clustering, Keeping, Pruning, Rounding
from edgeworthy.verdicts.hints import quantizes

RECIPES = builtin_recipes()
#: A preparation, and a recipe with one of its own, of a user's.
MINE = """
from edgeworthy import preparation, recipe

@preparation("thinned", trained=True)
def thinned(source, *, training, share: float, epochs: int = 3):
    return source

def shifted(source, *, amount: float = 0.5):
    return source

@recipe("shifted_int8", runtime="litert", packages=("tensorflow",), prepare=shifted, calibrated=True)
def shifted_int8(source, out, *, calibration):
    return "nhwc"
"""


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("pruned", ["pruned", "fp32"]),
        ("pruned_int8", ["pruned", "int8"]),
        ("clustered", ["clustered", "fp32"]),
        ("qat_int8", ["qat", "int8"]),
        ("int8", ["int8"]),
    ],
)
def test_names_are_lists(name: str, listed: list[Any]) -> None:
    """A name that trains stands for a list, its options too; what the list makes is the same recipe."""
    by_name, by_list = RECIPES.chosen(name, {}), RECIPES.chosen(listed, {})
    assert by_name.recipe.steps == by_list.recipe.steps == tuple(listed)
    assert by_list.recipe.name == "+".join(listed)
    assert by_name.recipe.trained == (len(listed) > 1)
    assert by_name.recipe.runtime is RUNTIMES["litert"]
    if name == "pruned_int8":
        options = {"sparsity": 0.8, "epochs": 3, "ranges": "moving_average"}
        assert RECIPES.chosen(name, options).options == {
            "pruned": {"sparsity": 0.8, "epochs": 3},
            "int8": {"ranges": "moving_average"},
        }


def test_every_recipe_says_what_it_stores() -> None:
    """Then lists are refused, and failures diagnosed, by what is in the file."""
    assert [name for name, recipe in RECIPES.items() if not recipe.weights] == []


def test_options_belong_to_the_part_that_they_are_of() -> None:
    """Those in the list to their part; those beside it to the only part that has them."""
    chosen = RECIPES.chosen(
        [{"pruned": {"sparsity": 0.8, "epochs": 3}}, {"qat": {"epochs": 2}}, "int8"], {"calibration_samples": 10}
    )
    assert chosen.options == {
        "pruned": {"sparsity": 0.8, "epochs": 3},
        "qat": {"epochs": 2},
        "int8": {"calibration_samples": 10},
    }
    assert chosen.recipe.calibrated
    assert not chosen.recipe.lossless
    assert quantizes(chosen.recipe)
    assert RECIPES.chosen([{"pruned_int8": {"sparsity": 0.8}}], {}).options == {"pruned": {"sparsity": 0.8}, "int8": {}}


def test_what_is_exported_decides_whether_quantization_can_be_to_blame() -> None:
    """A trained model that is exported in float is not diagnosed, one with int8 weights is."""
    quantizing = {
        "+".join(listed): quantizes(RECIPES.chosen(listed, {}).recipe)
        for listed in (
            ["clustered", "weight_only_int8"],
            ["pruned", "fp32"],
            ["pruned", "ort_float16"],
            ["qat", "int8"],
        )
    }
    assert quantizing == {
        "clustered+weight_only_int8": True,
        "pruned+fp32": False,
        "pruned+ort_float16": False,
        "qat+int8": True,
    }


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (["int8", "float16"], "int8 and float16 both export the model"),
        (["int8", "pruned"], "pruned comes after int8, which has exported the model"),
        (["pruned"], "pruned prepares the model, and nothing exports it"),
        ("qat", "qat prepares the model, and nothing exports it"),
        (["pruned", "clustered"], "pruned and clustered prepare the model, and nothing exports it"),
        (["pruned", "pruned", "int8"], "pruned is in the list twice"),
        (["qat", "float16"], "qat trains for int8 weights, and float16 stores float16"),
        (["qat", "fp32"], "qat trains for int8 weights, and fp32 stores float32"),
        (["qat", "weight_only_int4"], "qat trains for int8 weights, and weight_only_int4 stores int4"),
        (["qat", "pruned", "int8"], "pruned cannot come after qat: it changes the weights"),
        (["clustered", "pruned", "int8"], "pruned cannot come after clustered: it makes single weights zero"),
        (["pruned", "distilled", "int8"], "distilled cannot come after pruned: it puts another model in the place"),
        (["distilled", "int8"], "recipe 'distilled' needs the option 'student'"),
        ([{"distilled": {"student": {}}}, "int8"], "option student: a student is {path: student.keras}, or {factory"),
        ([{"distilled": {"student": {"path": "a.onnx"}}}, "int8"], "a student's file is one that can be trained"),
        (["prunned", "int8"], "unknown recipe 'prunned'; did you mean 'pruned'"),
        ([{"pruned": {"clusters": 4}}, "int8"], "recipe 'pruned' has no option 'clusters'"),
        ([{"pruned": {"sparsity": 2.0}}, "int8"], "recipe 'pruned', option sparsity: .*less than 1"),
    ],
)
def test_lists_that_make_no_sense_are_refused(listed: Any, words: str) -> None:
    """With the reason, and what to do."""
    with pytest.raises(RecipeMisfit, match=words) as refused:
        RECIPES.chosen(listed, {})
    assert refused.value.hint or "unknown" in words


@pytest.mark.parametrize(
    ("listed", "options", "words"),
    [
        (["pruned", "qat", "int8"], {"epochs": 3}, "pruned and qat both have the option 'epochs'"),
        ([{"pruned": {"epochs": 2}}, "int8"], {"epochs": 3}, "the option 'epochs' of pruned is given in the list too"),
        (["pruned", "int8"], {"clusters": 3}, r"recipe 'pruned\+int8' has no option 'clusters'"),
    ],
)
def test_options_without_a_place_are_refused(listed: Any, options: dict[str, Any], words: str) -> None:
    """Options beside a list that two parts have, that one is given already, or that none has."""
    with pytest.raises(RecipeMisfit, match=words):
        RECIPES.chosen(listed, options)


def test_parts_of_a_user(tmp_path: Path) -> None:
    """A preparation of theirs is a part of lists; what prepares for one recipe only comes before it there too."""
    (tmp_path / "mine.py").write_text(MINE)
    recipes = all_recipes([tmp_path / "mine.py"])
    assert "thinned" not in recipes
    assert recipes.chosen([{"thinned": {"share": 0.5}}, "ort_fp32"], {}).recipe.runtime is RUNTIMES["onnxruntime"]
    chosen = recipes.chosen(["pruned", {"shifted_int8": {"amount": 0.1}}], {"sparsity": 0.3})
    assert chosen.options == {"pruned": {"sparsity": 0.3}, "shifted_int8.prepare": {"amount": 0.1}, "shifted_int8": {}}
    assert chosen.recipe.trained
    assert not recipes["shifted_int8"].trained
    for words, listed in {
        "recipe 'thinned' needs the option 'share'": ["thinned", "int8"],
        "shifted_int8.prepare cannot come after qat: it changes the weights": ["qat", "shifted_int8"],
    }.items():
        with pytest.raises(RecipeMisfit) as refused:
            recipes.chosen(listed, {})
        assert words in refused.value.message
    (tmp_path / "taken.py").write_text(MINE.replace("shifted_int8", "pruned_int8"))
    with pytest.raises(ConfigError, match="two files define the recipe 'pruned_int8'"):
        all_recipes([tmp_path / "taken.py"])


MODELS = {
    "version": 1,
    "datasets": {"d": {"kind": "digits", "classes": 10}},
    "models": {"m": {"source": {"path": "m.onnx"}, "dataset": "d", "variants": {"fp32": None}}},
}


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ({"recipe": []}, r"variants\.mine\.recipe: a recipe is a name, or a list of what trains"),
        (
            {"recipe": [{"pruned": {}, "int8": {}}]},
            r"mine\.recipe: in a list, a recipe is a name, or one name with its",
        ),
        ({"recipe": ["pruned", 8]}, r"mine\.recipe: in a list, a recipe is a name, .* \(given: 8\)"),
        ({"recipe": ["pruned", "int9"]}, r"mine\.recipe\.1: unknown recipe 'int9'; did you mean 'int8'"),
        ({"recipe": [{"pruned": {"sparsty": 1}}, "int8"]}, r"mine\.recipe\.0\.pruned: .*did you mean 'sparsity'"),
        ({"recipe": ["qat", "fp32"]}, r"mine\.recipe: qat trains for int8 weights, and fp32 stores float32"),
        ({"recipe": ["qat", "int8"], "options": {"clusters": 1}}, r"mine\.options: .* has no option 'clusters'"),
    ],
)
def test_the_file_and_the_key_are_named(tmp_path: Path, variant: dict[str, Any], words: str) -> None:
    """Whatever is wrong with a list in models.yaml."""
    models, devices = tmp_path / "models.yaml", tmp_path / "devices.yaml"
    devices.write_text("version: 1\ndevices: {host: {kind: host, backends: {cpu: {}}}}\n")
    entry = {**MODELS["models"]["m"], "variants": {"fp32": None, "mine": variant}}  # type: ignore[index]
    models.write_text(yaml.safe_dump({**MODELS, "models": {"m": entry}}))
    with pytest.raises(
        ConfigError, match=r"models\.yaml:\d+: models\.m\.variants\." + words.removeprefix("variants\\.")
    ):
        Project.load(models, devices)


def test_a_search_does_not_try_again_what_a_list_is(tmp_path: Path) -> None:
    """A variant of the list [pruned, int8] is the recipe pruned_int8."""
    models, devices = tmp_path / "models.yaml", tmp_path / "devices.yaml"
    devices.write_text("version: 1\ndevices: {host: {kind: host, backends: {cpu: {}}}}\n")
    entry = {**MODELS["models"]["m"], "variants": {"fp32": None, "mine": {"recipe": ["pruned", "int8"]}}}  # type: ignore[index]
    models.write_text(yaml.safe_dump({**MODELS, "models": {"m": entry}}))
    project = Project.load(models, devices)
    names = {one.recipe for one in other_recipes(project, "m", [RUNTIMES["litert"]], trained=True)}
    assert "pruned_int8" not in names
    assert "qat_int8" in names
    sparse = Variant(recipe=[{"pruned": {"sparsity": 0.8}}, "int8"], options={"calibration_samples": 9})
    assert sparse.all_options == {"pruned": {"sparsity": 0.8}, "calibration_samples": 9}
    assert load_models(models)[0].models["m"].variants["mine"].recipe_name("mine") == "pruned+int8"


@pytest.fixture
def kernels() -> list[Any]:
    random = np.random.default_rng(0)
    return [random.normal(size=(3, 3, 4, 8)).astype(np.float32), random.normal(size=(40, 10)).astype(np.float32)]


def test_later_trainings_keep_zeros_and_shared_values(kernels: list[Any]) -> None:
    """Clustering and rounding keep the zeros of pruning, rounding the clusters, whatever training made of the weights."""
    random = np.random.default_rng(1)
    pruned = Pruning(0.5, "constant").apply(kernels, 1.0)
    clustering = Keeping(Clustering(5), pruned, frozenset({"zeros"}))
    clustering.apply(pruned, 0.0)
    moved = [kernel + random.normal(size=kernel.shape).astype(np.float32) / 9 for kernel in pruned]
    clustered = clustering.apply(moved, 1.0)
    for before, after in zip(pruned, clustered, strict=True):
        assert np.array_equal(after == 0, before == 0)
        assert len(np.unique(after)) <= 5
    rounding = Keeping(Rounding(((3,), (1,))), clustered, frozenset({"zeros", "equals"}))
    moved = [kernel + random.normal(size=kernel.shape).astype(np.float32) / 9 for kernel in clustered]
    for before, after in zip(clustered, rounding.apply(moved, 1.0), strict=True):
        assert (after[before == 0] == 0).all()
        for channel in range(after.shape[-1]):
            of_channel = after[..., channel]
            steps = of_channel * 127 / abs(of_channel).max()
            assert len(np.unique(of_channel)) <= 5
            assert np.allclose(steps, np.round(steps), atol=1e-3)
    assert rounding.straight_through
    assert not clustering.straight_through
