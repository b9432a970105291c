"""The ladder's models are known to edgeworthy, and what it calls worse is among them; make fetches them, the docs quote them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from edgeworthy.measurements.project import Project

LADDER = Path(__file__).parents[2] / "benchmarks" / "ladder"
DOCS = LADDER.parents[1] / "docs" / "ladder.md"
FLOAT = ("fp32", "ort_fp32")
#: Are int8 as they come; keeps its ops where ONNX Runtime's quantizer knows none.
AS_THEY_COME = {"wake_word", "wake_word_nabu", "voice_both_rates"}


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.syspath_prepend(str(LADDER))
    return Project.load(LADDER / "models.yaml", LADDER.parents[1] / "devices.yaml")


@pytest.fixture
def run(project: Project) -> Iterator[ModuleType]:
    """The script, whose name is common."""
    import run

    yield run
    sys.modules.pop("run")


def test_every_model_is_of_a_fetched_package(project: Project) -> None:
    import fetch

    wheels = {package.replace("==", "-") for package in fetch.PACKAGES}
    paths = [str(model.source.path) for model in project.models.models.values()]
    assert {re.search(r"\.edgeworthy/ladder/([^/]+)/", path)[1] for path in paths} == wheels  # type: ignore[index]
    assert (LADDER / "../../.edgeworthy/ladder").resolve() == fetch.MODELS.resolve()


def test_every_model_is_judged_by_its_task_and_as_several_variants(project: Project) -> None:
    """None by its closeness to the float model alone."""
    models = project.models.models
    assert {model.metric.title for model in models.values()} == {"micro_f1", "map", "nme", "top1", "miou", "cer"}
    for name in set(models) - AS_THEY_COME:
        assert len([variant for variant in models[name].variants if variant not in FLOAT]) >= 3, name


def test_what_is_worse_is_a_variant_and_not_all_of_them(project: Project, run: ModuleType) -> None:
    """Of no model in all its formats does every quantized variant fail."""
    known = {(name, variant) for name, model in project.models.models.items() for variant in model.variants}
    assert set(run.WORSE) <= known
    assert all(run.WORSE.values())
    kept = {name.partition("_")[0] for name, variant in known - set(run.WORSE) if variant not in FLOAT}
    assert kept == {name.partition("_")[0] for name in project.models.models} - {"wake"}


def test_the_docs_quote_every_variant_and_what_is_worse_in_bold(project: Project, run: ModuleType) -> None:
    """A row for each model, in the order of models.yaml; of each variant its value, or that it was refused."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", DOCS.read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == list(project.models.models)
    bold = set()
    for name, said in rows:
        variants = re.findall(r"(\*\*)?(\w+) (?:-?[\d.]+|refused|NaN)(?:\*\*)?", said)
        assert [variant for _, variant in variants] == list(project.models.models[name].variants), name
        bold |= {(name, variant) for mark, variant in variants if mark}
    assert bold == set(run.WORSE)


def test_points_of_a_photograph_are_where_its_view_shows_them(project: Project) -> None:
    """Turned and scaled: a bright spot of the photograph is bright at the place that is named, and back."""
    from faces import View
    from PIL import Image

    photograph = np.zeros((200, 240, 3), np.uint8)
    photograph[78:83, 118:123] = 255
    view, spot = View(np.array([100.0, 90.0]), 120, radians=0.3), np.array([[120.5, 80.5]])
    pixels = view.of(Image.fromarray(photograph), 96)[..., 0]
    y, x = np.mgrid[:96, :96] + 0.5
    seen = view.seen(spot, 96)
    np.testing.assert_allclose(
        seen[0], [(pixels * x).sum() / pixels.sum(), (pixels * y).sum() / pixels.sum()], atol=0.3
    )
    np.testing.assert_allclose(view.shown(seen, 96), spot)
