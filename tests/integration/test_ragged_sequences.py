"""Sequences of different lengths, each run in its own length: what follows a shorter one is nobody's step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs
from edgeworthy.runs.run import Run

from tests.integration.conftest import Digits, Project, make_project
from tests.integration.test_state import WIDTH, model, voice_model
from tests.integration.test_state_elsewhere import TARGET
from tests.tflite_files import summing_inside

SEQUENCES, CALIBRATION = 16, 6
#: Half of what the last layer sees is lost.
RECIPE = """
import numpy as np, onnx
from onnx import numpy_helper
from edgeworthy import recipe

@recipe("off", runtime="onnxruntime", packages=("onnx",))
def off(source, out):
    found = onnx.load(source.onnx_file())
    for tensor in found.graph.initializer:
        if tensor.name == "out":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) / 2, "out"))
    onnx.save(found, out)
    return source.onnx_layout()
"""


def sequences(width: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Evaluation and calibration sequences of one step to nine."""
    random = np.random.default_rng(1)
    made = [
        random.normal(size=(random.integers(1, 10), width)).astype(np.float32) for _ in range(SEQUENCES + CALIBRATION)
    ]
    return made[:SEQUENCES], made[SEQUENCES:]


def write(path: Path, width: int, **more: np.ndarray | list[np.ndarray]) -> None:
    """Sequences as a dataset, an array for each; and what else there is of each sample."""
    evaluation, calibration = sequences(width)
    arrays: dict[str, Any] = {"evaluation_x": evaluation, "calibration_x": calibration, **more}
    stored = {}
    for name, values in arrays.items():
        stored |= (
            {f"{name}/{at}": each for at, each in enumerate(values)} if isinstance(values, list) else {name: values}
        )
    np.savez(path, **stored)


def voice_outputs(folder: Path, rate: int) -> list[np.ndarray]:
    """Those of the file itself at each step, one sequence after the other."""
    session = onnxruntime.InferenceSession(folder / "voice.onnx")
    found = []
    for sequence in sequences(WIDTH)[0]:
        state, scores = np.zeros((2, 1, 4), np.float32), []
        for step in sequence:
            score, state = session.run(None, {"x": step[np.newaxis], "state": state, "sr": np.array(rate, np.int64)})
            scores.append(score[0])
        found.append(np.array(scores))
    return found


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run on the host and on a target of its own; beside the models two whose sequences do not fit them."""
    project = make_project(tmp_path_factory.mktemp("ragged_sequences"), digits, shared_store)
    folder = project.root / "benchmarks"
    voice_model(folder / "voice.onnx")
    summing_inside(folder / "sums.tflite")
    labels = np.array([scores[-1, 0] > 0.5 for scores in voice_outputs(folder, 1)]).astype(np.int64)
    labels[:4] = 1 - labels[:4]
    evaluation, calibration = sequences(WIDTH)
    longer = {
        "evaluation_rate": [np.ones(len(each) + (at == 5), np.int64) for at, each in enumerate(evaluation)],
        "calibration_rate": [np.ones(len(each), np.int64) for each in calibration],
    }
    write(folder / "speech.npz", WIDTH)
    write(folder / "spoken.npz", WIDTH, evaluation_y=labels)
    write(folder / "sums.npz", 4)
    write(folder / "longer.npz", WIDTH, **longer)
    write(folder / "uneven.npz", WIDTH, evaluation_x=[each[:, : 3 + at % 2] for at, each in enumerate(evaluation)])
    names = ("speech", "spoken", "sums", "longer", "uneven")
    project.models["datasets"] = {name: {"kind": "npz", "path": f"{name}.npz"} for name in names}
    voice = {
        "inputs": {"x": "x", "sr": 2},
        "state": {"state": {"from": "stateN", "shape": [2, 1, 4]}},
        "dataset": "speech",
    }
    quantized = {"options": {"reduce_range": True, "calibration_samples": 4}}
    variants = {"ort_fp32": {}, "ort_int8_minmax": quantized, "off": {}}
    source, host = {"path": "voice.onnx"}, {"targets": ["host:*"]}
    alone = {"ort_fp32": {}}
    project.models["models"] = {
        "voice": model(source, variants, **voice),
        "spoken": model(source, alone, **(voice | {"inputs": {"x": "x", "sr": 1}, "dataset": "spoken", "metric": "top1"})),
        "padded": model(source, alone, **voice, ragged="pad", **host),
        "sums": {"source": {"path": "sums.tflite"}, "dataset": "sums", "metric": "fidelity", "variants": {"fp32": {}},
                 "state": "inside", **host},
        "longer": model(source, alone, **(voice | {"inputs": {"x": "x", "sr": "rate"}, "dataset": "longer"}), **host),
        "uneven": model(source, alone, **(voice | {"dataset": "uneven"}), **host),
    }  # fmt: skip
    (project.root / "stand.py").write_text(TARGET)
    backends = {"cpu": {"runtimes": ["onnxruntime"]}}
    project.devices["devices"]["stand"] = {"kind": "own", "target": "stand.py:Stand", "backends": backends}
    project.add_recipes(RECIPE)
    project.models["latency"] = {"loads": 3, "samples_per_load": 5, "min_load_ms": 0}
    project.run("-k", "accuracy or latency")
    return project


def outputs(judged: Project, name: str, variant: str = "ort_fp32", target: str = "host:cpu") -> list[np.ndarray]:
    """The stored outputs of a cell, each sequence's of its own length; what follows a shorter one is 0."""
    found = Run.open(judged.root / "results" / "latest").journal.find(Outputs, CellId(name, variant, target))
    assert found is not None, judged.message(variant, name, target)
    if found.sizes is None:
        return list(found.values)
    rows = found.values.reshape(len(found.values), *found.shapes[0])
    for row, (length, *_) in zip(rows, found.sizes, strict=True):
        assert not row[length:].any()
    return [row[:length] for row, (length, *_) in zip(rows, found.sizes, strict=True)]


@pytest.mark.parametrize("target", ["host:cpu", "stand:cpu"])
def test_each_sequence_has_the_outputs_of_its_own_steps(judged: Project, target: str) -> None:
    """From the initial state on, also after a longer one; a quantized variant passes, one that loses half of a layer fails."""
    wanted = voice_outputs(judged.root / "benchmarks", 2)
    assert len({len(each) for each in wanted}) > 5
    for found, each in zip(outputs(judged, "voice", target=target), wanted, strict=True):
        np.testing.assert_allclose(found, each, atol=1e-5)
    statuses = judged.statuses()
    found = {variant: statuses[f"voice/{variant}/{target}"] for variant in ("ort_fp32", "ort_int8_minmax", "off")}
    assert found == {"ort_fp32": "pass", "ort_int8_minmax": "pass", "off": "fail"}
    timed = judged.result().cells.query(f"model == 'voice' and variant == 'ort_fp32' and target == '{target}'")
    assert (timed.p50_ms > 0).all()


def test_of_a_classifier_the_last_real_step_is_judged(judged: Project) -> None:
    """The last of those that a sequence has, not of what is padded; a label of each in four is wrong."""
    wanted = [scores[-1] for scores in voice_outputs(judged.root / "benchmarks", 1)]
    np.testing.assert_allclose(outputs(judged, "spoken"), wanted, atol=1e-5)
    cells = judged.result().cells.query("model == 'spoken' and variant == 'ort_fp32'")
    assert cells.top1_percent.tolist() == [75, 75]


def test_variables_begin_anew_with_each_sequence(judged: Project) -> None:
    """Of a .tflite that keeps its state inside."""
    found = Run.open(judged.root / "results" / "latest").journal.find(Outputs, CellId("sums", "fp32", "host:cpu"))
    assert found is not None, judged.message("fp32", "sums")
    longest = max(map(len, sequences(4)[0]))
    assert list(map(tuple, found.shapes)) == [(longest, 4), (longest, 4)]
    for row, each in zip(found.values.reshape(-1, 2, longest, 4), sequences(4)[0], strict=True):
        np.testing.assert_allclose(row[0, : len(each)], np.cumsum(each, axis=0), atol=1e-5)
        np.testing.assert_allclose(row[1, : len(each)], 2 * np.cumsum(each, axis=0), atol=1e-5)
    assert judged.statuses()["sums/fp32/host:cpu"] == "pass"


def test_padded_sequences_have_one_length(judged: Project) -> None:
    assert {each.shape for each in outputs(judged, "padded")} == {
        (max(len(each) for part in sequences(6) for each in part),)
    }


def test_sequences_that_do_not_fit_are_named(judged: Project) -> None:
    """A sample of more steps in one array than in another, and steps of different sizes."""
    said = {name: judged.message("ort_fp32", name) for name in ("longer", "uneven")}
    length = len(sequences(WIDTH)[0][5])
    assert f"evaluation sample 5 has {length} steps in 'x' and {length + 1} in 'sr'" in said["longer"]
    assert (
        "the steps of 'x' have different sizes; sequences may differ in their number of steps alone" in said["uneven"]
    )
