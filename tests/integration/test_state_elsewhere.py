"""States that a .tflite keeps inside, that a target of the user's is given, and that grow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs
from edgeworthy.runs.run import Run
from onnx import helper

from tests.integration.conftest import Digits, Project, make_project
from tests.integration.test_state import VOICE, model, sequences, voice_model, voice_outputs
from tests.onnx_files import onnx_file
from tests.tflite_files import recurrent, remembering, summing, summing_inside

WEIGHTS = np.array([[0.5, -1.0], [2.0, 0.25], [-0.3, 0.7]], np.float32)
CELL = np.random.default_rng(6).normal(size=(24, 16)).astype(np.float32) / 4
TARGET = """
import numpy as np
import onnxruntime

class Stand:
    def outputs(self, artifact, given):
        return self.session(artifact).run(list(artifact.every_output), self.typed(given))

    def times_ns(self, artifact, given, count):
        assert sorted(given) == ["sr", "state", "x"] and given["x"].shape == (1, 6)
        return [1000 + number % 7 for number in range(count)]

    def session(self, artifact):
        return onnxruntime.InferenceSession(artifact.path)

    def typed(self, given):
        return {**given, "sr": np.array(given["sr"], np.int64)}

class Leaks(Stand):
    total = 0

    def outputs(self, artifact, given):
        self.total += given["x"].sum()
        score, state = super().outputs(artifact, given)
        return [score + self.total, state]

class Forgets(Stand):
    def outputs(self, artifact, given):
        return super().outputs(artifact, given)[:1]
"""


def growing_model(path: Path) -> None:
    """x (b, 6) and all that was seen before it, past (b, t, 6) -> the sum of all, and the past with x at its end."""
    nodes = [
        helper.make_node("Unsqueeze", ["x", "one"], ["row"]),
        helper.make_node("Concat", ["past_key_values", "row"], ["present"], axis=1),
        helper.make_node("ReduceSum", ["present", "one"], ["y"], keepdims=0),
    ]
    sizes = {"past_key_values": ["b", "t", 6], "present": ["b", "u", 6]}
    inputs, outputs = {"x": ["b", 6], "past_key_values": sizes["past_key_values"]}, {"y": ["b", 6]}
    onnx_file(path, nodes, inputs, {**outputs, "present": sizes["present"]}, {"one": np.array([1], np.int64)})


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of all of them, on the host and on three targets of their own."""
    project = make_project(tmp_path_factory.mktemp("elsewhere"), digits, shared_store)
    folder, random = project.root / "benchmarks", np.random.default_rng(5)
    pairs, fours, eights = (random.normal(size=(16, 7, *shape)) for shape in ((1, 2, 1), (4,), (8,)))
    arrays = {
        "pairs": {"evaluation_x": pairs[:12], "calibration_x": pairs[12:]},
        "fours": {"evaluation_x": fours[:12], "calibration_x": fours[12:]},
        "singles": {"evaluation_x": fours[:, 0], "calibration_x": fours[:4, 1]},
        "eights": {"evaluation_x": eights[:12], "calibration_x": eights[12:]},
        "sequences": sequences(),
    }
    for name, values in arrays.items():
        np.savez(folder / f"{name}.npz", **{split: each.astype(np.float32) for split, each in values.items()})
        project.models["datasets"][name] = {"kind": "npz", "path": f"{name}.npz"}
    recurrent(folder / "pairs.tflite", WEIGHTS, 1)
    summing_inside(folder / "sums.tflite")
    remembering(folder / "cell.tflite", CELL)
    summing(folder / "explicit.tflite")
    voice_model(folder / "voice.onnx")
    growing_model(folder / "growing.onnx")

    def inside(name: str, dataset: str, **more: object) -> dict[str, object]:
        entry = {"source": {"path": f"{name}.tflite"}, "dataset": dataset, "metric": "fidelity", "targets": ["host:*"]}
        return {**entry, "variants": {"fp32": {}}, "state": "inside", **more}

    grown = {"past_key_values": {"from": "present", "shape": [1, 3, 6]}}
    shaped = {"state": {"from": "stateN", "shape": [2, 1, 4]}}
    project.models["models"] = {
        "pairs": inside("pairs", "pairs"),
        "sums": inside("sums", "fours"),
        "cell": inside("cell", "eights", variants={"fp32": {}, "dynamic_int8": {}, "int8": {}}),
        "singles": inside("sums", "singles", state={}),
        "none": inside("explicit", "fours", inputs={"x": "x", "before": 0}),
        "grown": model({"path": "growing.onnx"}, {"ort_fp32": {}}, grown) | {"targets": ["host:*"]},
        "voice": model({"path": "voice.onnx"}, {"ort_fp32": {}}, **(VOICE | {"state": shaped})),
        "unshaped": model({"path": "voice.onnx"}, {"ort_fp32": {}}, **VOICE) | {"targets": ["host:*", "stand:*"]},
    }
    (project.root / "stand.py").write_text(TARGET)
    for name in ("Stand", "Leaks", "Forgets"):
        backends = {"cpu": {"runtimes": ["onnxruntime"]}}
        project.devices["devices"][name.lower()] = {"kind": "own", "target": f"stand.py:{name}", "backends": backends}
    project.run("-k", "accuracy or latency")
    return project


def outputs(judged: Project, model: str, variant: str = "fp32", target: str = "host:cpu") -> np.ndarray:
    found = Run.open(judged.root / "results" / "latest").journal.find(Outputs, CellId(model, variant, target))
    assert found is not None, judged.message(variant, model, target)
    return found.values


def given(judged: Project, dataset: str) -> np.ndarray:
    return np.load(judged.root / "benchmarks" / f"{dataset}.npz")["evaluation_x"]


def test_variables_begin_anew_with_each_sequence_alone(judged: Project) -> None:
    """Variable tensors and resource variables, which LiteRT itself does not reset, go on from step to step."""
    pairs, wanted = given(judged, "pairs").reshape(12, 7, 2), np.zeros((12, 7, 3))
    for step in range(7):
        before = wanted[:, step - 1] if step else 0
        wanted[:, step] = np.tanh(pairs[:, step] @ WEIGHTS.T + before)
    np.testing.assert_allclose(outputs(judged, "pairs"), wanted.reshape(12, -1), atol=1e-6)
    sums = np.cumsum(given(judged, "fours"), axis=1).reshape(12, -1)
    np.testing.assert_allclose(outputs(judged, "sums"), np.concatenate([sums, 2 * sums], axis=1), atol=1e-5)
    assert {judged.statuses()[f"{name}/fp32/host:cpu"] for name in ("pairs", "sums")} == {"pass"}
    timed = judged.result().cells.query("model in ('pairs', 'sums') and variant == 'fp32'")
    assert list(timed.p50_ms > 0) == [True, True]


def test_a_quantized_file_keeps_its_state_too(judged: Project) -> None:
    """The quantizer wants other names of what begins with zeros than of what goes on."""
    eights, wanted = given(judged, "eights"), np.zeros((12, 7, 16))
    for step in range(7):
        before = wanted[:, step - 1] if step else np.zeros((12, 16))
        wanted[:, step] = np.tanh(np.concatenate([eights[:, step], before], axis=1) @ CELL)
    for variant, allowed in {"fp32": 1e-5, "dynamic_int8": 0.1, "int8": 0.2}.items():
        assert judged.statuses()[f"cell/{variant}/host:cpu"] == "pass", judged.message(variant, "cell")
        assert np.abs(outputs(judged, "cell", variant) - wanted.reshape(12, -1)).max() < allowed


def test_samples_that_are_no_sequences_know_nothing_of_one_another(judged: Project) -> None:
    singles = given(judged, "singles")
    np.testing.assert_array_equal(outputs(judged, "singles"), np.concatenate([singles, 2 * singles], axis=1))


def test_a_state_inside_is_looked_for_in_the_file(judged: Project) -> None:
    assert "explicit.tflite: the model has no variables, and keeps no state inside" in judged.message("fp32", "none")


def test_a_state_that_grows_is_named(judged: Project) -> None:
    message = judged.message("ort_fp32", "grown")
    assert "the state 'past_key_values' grows: it is (1, 3, 6) before a step" in message
    assert "'present' (1, 4, 6) after it (axis 1)" in message


def test_a_target_of_ones_own_is_given_each_step_and_its_state(judged: Project) -> None:
    """Its outputs are the host's; one that remembers, or gives no state back, is an error, and so is an unknown shape."""
    wanted = voice_outputs(judged.root / "benchmarks")
    np.testing.assert_allclose(outputs(judged, "voice", "ort_fp32", "stand:cpu"), wanted, atol=1e-5)
    assert judged.statuses()["voice/ort_fp32/stand:cpu"] == "pass"
    said = {name: judged.message("ort_fp32", "voice", f"{name}:cpu") for name in ("leaks", "forgets")}
    assert "leaks:cpu: a sequence has other outputs when it is run again" in said["leaks"]
    assert "outputs of stand.py:Forgets returned" in said["forgets"]
    assert "for a step of a model with 2 outputs" in said["forgets"]
    assert "the shape of the state 'state' is needed" in judged.message("ort_fp32", "unshaped", "stand:cpu")


def test_only_a_tflite_file_keeps_a_state_inside(judged: Project) -> None:
    judged.models["models"]["voice"]["state"] = "inside"
    assert "only a .tflite keeps a state inside" in judged.run("-k", "accuracy").stderr
