"""ExecuTorch as a runtime: its variants of the digits' CNN and of a module with several ends, judged in one run."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs, Timing
from edgeworthy.runs.run import Run

from tests.integration.conftest import Digits, Project, make_project
from tests.integration.test_several_inputs import FACTORY, TORCH_WEIGHTS, arrays, model, without

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("executorch") is None, reason="executorch is not installed: make accelerators"
)

CNN = {"factory": "edgeworthy.variants.zoo.cnn:build", "weights": "edgeworthy:weights/cnn.pt"}
#: Without a layer that XNNPACK's quantizer takes with dynamic ranges.
NO_LAYERS = """

class Sum(nn.Module):
    def forward(self, image):
        return torch.cat([image.sum((2, 3)), image.mean((2, 3))], 1)


def plain():
    return Sum()
"""
#: The module with its last weights the other way round.
BROKEN = """
import torch
from edgeworthy import recipe
from edgeworthy.variants.recipes import executorch as recipes

@recipe("et_broken", runtime="executorch", packages=("executorch", "torch"))
def et_broken(source, out):
    last = [value for name, value in source.torch_module().named_parameters() if value.ndim == 2][-1]
    with torch.no_grad():
        last.neg_()
        layout = recipes._write(source, recipes._exported(source), out)
        last.neg_()
    return layout
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of the CNN, whose reference and canary are ExecuTorch's, and of other modules."""
    project = make_project(tmp_path_factory.mktemp("executorch"), digits, shared_store)
    folder = project.root / "benchmarks"
    project.add_recipes(BROKEN)
    (folder / "nets.py").write_text(FACTORY + NO_LAYERS)
    subprocess.run([sys.executable, "-c", TORCH_WEIGHTS, str(folder)], check=True, capture_output=True, timeout=300)
    np.savez(folder / "pair.npz", **without("mask", arrays()))
    project.models["datasets"] |= {
        "quick": {"kind": "digits", "classes": 10},
        "pair": {"kind": "npz", "path": "pair.npz"},
    }
    project.models["models"] |= {
        "cnn": {
            "source": CNN,
            "dataset": "quick",
            "reference": "et_fp32",
            "variants": {name: {} for name in ("et_fp32", "et_xnnpack_int8", "et_xnnpack_dynamic", "et_broken")},
        },
        "pair": model(
            {"factory": "nets.py:pair", "weights": "pair.pt"},
            "pair",
            {"torch_fp32": {}, "et_fp32": {}, "et_xnnpack_int8": {}},
        ),
        "plain": {
            "source": {"factory": "nets.py:plain", "weights": "random"},
            "dataset": "quick",
            "reference": "torch_fp32",
            "metric": "fidelity",
            "variants": {"torch_fp32": {}, "et_xnnpack_dynamic": {}},
        },
    }
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}, "et_fp32": {}}
    project.devices["devices"]["host"]["backends"]["two"] = {"threads": 2, "runtimes": ["executorch"]}
    project.run()
    return project


def test_its_variants_pass_the_gate_and_a_broken_one_does_not(judged: Project) -> None:
    """On one thread and on two, by all axes; the canary, XNNPACK's own int8 with a wrong calibration, is rejected."""
    found = judged.statuses()
    for variant in ("et_fp32", "et_xnnpack_int8", "et_xnnpack_dynamic"):
        for target in ("host:cpu", "host:two"):
            assert found[f"cnn/{variant}/{target}"] == "pass", judged.message(variant, "cnn", target)
    assert found["cnn/et_broken/host:cpu"] == "fail"
    assert found["cnn/canary/host:cpu"] == "rejected"
    assert "int8 calibrated on inputs 1000 times too wide" in judged.message("canary", "cnn")
    cells = judged.result().cells.query("target == 'host:cpu' and model == 'cnn'").set_index("variant")
    assert cells.size_kb["et_xnnpack_int8"] < 0.4 * cells.size_kb["et_fp32"]
    assert cells.size_kb["et_xnnpack_dynamic"] < cells.size_kb["et_fp32"]


def test_what_it_cannot_take_is_refused_in_a_sentence(judged: Project) -> None:
    """A source without a module, and a module in which nothing would be quantized."""
    assert judged.statuses()["linear/et_fp32/host:cpu"] == "refused"
    assert "an ONNX file has no PyTorch module" in judged.message("et_fp32")
    assert judged.statuses()["plain/et_xnnpack_dynamic/host:cpu"] == "refused"
    assert "quantizes none of this model's ops: all would stay float" in judged.message("et_xnnpack_dynamic", "plain")


def test_several_inputs_are_given_by_their_places(judged: Project) -> None:
    """An image and ids, in float as torch has it."""
    expected = outputs(judged, "pair", "torch_fp32")
    np.testing.assert_allclose(outputs(judged, "pair", "et_fp32"), expected, atol=1e-5)
    quantized = outputs(judged, "pair", "et_xnnpack_int8")
    assert 0.9 < np.corrcoef(quantized.ravel(), expected.ravel())[0, 1] < 0.999999


def test_the_lowered_graph_is_the_evidence(judged: Project) -> None:
    """XNNPACK takes all of the CNN; of the other module it leaves the embedding, which the evidence names."""
    whole, part = (timing(judged, name) for name in ("cnn", "pair"))
    assert whole.taken == whole.total > 5
    assert whole.delegate == "XNNPACK"
    assert 0 < part.taken < part.total
    assert "aten::embedding" in part.proof


def outputs(judged: Project, name: str, variant: str) -> np.ndarray:
    found = Run.open(judged.root / "results" / "latest").journal.find(Outputs, CellId(name, variant, "host:cpu"))
    assert found is not None, judged.message(variant, name)
    return found.values


def timing(judged: Project, name: str):
    found = Run.open(judged.root / "results" / "latest").journal.find(Timing, CellId(name, "et_fp32", "host:cpu"))
    assert found is not None
    assert found.delegation is not None
    return found.delegation
