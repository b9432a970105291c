"""The ladder's models are known to edgeworthy, and what it calls worse is among them; make fetches them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from edgeworthy.measurements.project import Project

LADDER = Path(__file__).parents[2] / "benchmarks" / "ladder"


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.syspath_prepend(str(LADDER))
    return Project.load(LADDER / "models.yaml", LADDER.parents[1] / "devices.yaml")


def test_every_model_is_of_a_fetched_package(project: Project) -> None:
    import fetch

    wheels = {package.replace("==", "-") for package in fetch.PACKAGES}
    paths = [str(model.source.path) for model in project.models.models.values()]
    assert {re.search(r"\.edgeworthy/ladder/([^/]+)/", path)[1] for path in paths} == wheels  # type: ignore[index]
    assert (LADDER / "../../.edgeworthy/ladder").resolve() == fetch.MODELS.resolve()


def test_what_is_worse_is_a_variant_and_not_all_of_them(project: Project) -> None:
    """Of no model in all its formats does every quantized variant fail."""
    import run

    known = {(name, variant) for name, model in project.models.models.items() for variant in model.variants}
    assert set(run.WORSE) <= known
    assert all(run.WORSE.values())
    kept = {name.partition("_")[0] for name, variant in known - set(run.WORSE) if variant not in ("fp32", "ort_fp32")}
    assert kept == {name.partition("_")[0] for name in project.models.models} - {"wake"}
    sys.modules.pop("run")
