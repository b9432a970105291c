"""What Model Explorer is given of a diagnosis: by the names that the artifact has, and only what is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from edgeworthy.diagnosis.node_data import node_data, times_by_tensor, write_node_data
from edgeworthy.diagnosis.records import Delegated, Diagnosis, Finding, LayerError, OpsLeft, OutputError, Traced
from edgeworthy.targets.android.op_profile import parse_profile

PROFILE = Path(__file__).parents[1] / "data" / "benchmark_model-2.14" / "op_profile.csv"


@dataclass(frozen=True)
class Layer:
    """A layer of the test, with the names of its output on both sides."""

    tensor: str
    origin: str
    added_db: float | None
    calibrated: tuple[float, float] | None

    def error(self) -> LayerError:
        return LayerError(
            tensor=self.tensor, origin=self.origin, op="CONV_2D", parts=(), sqnr_db=10.0, added_sqnr_db=self.added_db,
            share_percent=50.0, output_shares_percent=(50.0,), cause="range", calibrated=self.calibrated, seen=(-1.0, 3.0),
            saturated_percent=2.5, dead_channels=0, channels=4,
        )  # fmt: skip


@pytest.fixture
def diagnosis() -> Diagnosis:
    """Two layers, one of which adds no error and is not quantized, and a delegate that takes one of two nodes."""
    layers = (Layer("float/a", "int8/a", 31.5, (-2.0, 2.0)), Layer("b", "b", None, None))
    traced = Traced(
        samples=1,
        agreement_percent=50.0,
        outputs=(OutputError(name="", sqnr_db=1.0, error_percent=89.0),),
        layers=tuple(layer.error() for layer in layers),
        entries=("float/a",),
        consumers={},
        delegated=Delegated(
            delegate="XNNPACK", kernels=1, taken=1, total=2, tensors=("int8/a",),
            left=(OpsLeft(op="HARD_SWISH", tensors=("b",), float_taken=True),),
        ),
    )  # fmt: skip
    return Diagnosis(
        model="net", variant="int8", target="host:cpu", recipe="int8", reference="fp32", classifies=True, traced=traced,
        findings=(Finding(kind="fine", message="fine"),), proposal=None,
    )  # fmt: skip


def values(content: dict[str, dict[str, dict[str, float | str]]]) -> dict[str, float | str]:
    return {tensor: result["value"] for tensor, result in content["results"].items()}


def test_each_node_has_what_is_known_of_it(diagnosis: Diagnosis) -> None:
    """By the artifact's own names; a layer without error or range is left out of that file, never zero."""
    files = node_data(diagnosis, {"int8/a": 0.25})
    assert values(files["error-share-percent"]) == {"int8/a": 50.0, "b": 50.0}
    assert values(files["added-sqnr-db"]) == {"int8/a": 31.5}
    assert values(files["range-used-percent"]) == {"int8/a": 75.0}
    assert values(files["ranges"]) == {"int8/a": "calibrated -2 to 2, seen -1 to 3", "b": "seen -1 to 3"}
    assert values(files["accelerator"]) == {"int8/a": "XNNPACK", "b": "CPU"}
    assert values(files["time-ms"]) == {"int8/a": 0.25}
    assert "gradient" not in files["ranges"]
    reddest = [files[name]["gradient"][-1]["bgColor"] for name in ("error-share-percent", "added-sqnr-db")]
    assert reddest == ["#d7301f", "#ffffff"]


def test_files_lie_beside_the_artifact(diagnosis: Diagnosis, tmp_path: Path) -> None:
    """One for each, without those of which nothing is known."""
    unknown = diagnosis.model_copy(update={"traced": diagnosis.traced.model_copy(update={"delegated": None})})
    written = write_node_data(tmp_path / "net-int8.tflite", unknown, {})
    names = {path.name for path in written}
    assert "net-int8.tflite.error-share-percent.nodes.json" in names
    assert not {name for name in names if "time" in name or "accelerator" in name}
    assert all(set(json.loads(path.read_text())) <= {"results", "gradient"} for path in written)


def test_times_of_a_phone_are_by_the_names_of_outputs() -> None:
    """As TFLite's tool writes them: in brackets, with the node's index behind."""
    times = times_by_tensor(parse_profile(PROFILE.read_text()), Path("net.tflite"))
    assert times["sequential_1/conv2d_1/Relu;sequential_1/conv2d_1/convolution"] == 0.0036
    assert times["StatefulPartitionedCall_1:0"] == 0.0004
    assert len(times) == 4
