"""Microcontrollers: answers by TFLM's kernels, what the chip must have for a model, and what Vela makes of it for an Ethos-U."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from edgeworthy.cells import CellId
from edgeworthy.datasets.samples import Samples
from edgeworthy.emulator_schema import EthosUBackend, TflmBackend
from edgeworthy.errors import ArtifactUnusable, InputMismatch
from edgeworthy.records import Artifact, Outputs
from edgeworthy.runs.run import Run
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.targets.base import Job
from edgeworthy.targets.emulated import EmulatedTarget

from tests.integration.conftest import Digits, Project, linear_tflite, make_project
from tests.integration.test_android_target import of_sequences, of_three_inputs
from tests.integration.test_missing_packages import SITECUSTOMIZE
from tests.tflite_files import pixels, recurrent, remembering, summing

if find_spec("tflite_micro") is None or find_spec("ethosu") is None:
    pytest.skip("tflite-micro or ethos-u-vela is not installed: make accelerators", allow_module_level=True)

STEPS = 7
CELL = np.random.default_rng(0).normal(size=(24, 16)).astype(np.float32) / 2
HYBRID, HALVES, WEIGHTS = "dynamic_int8", "float16", "weight_only_int8"
RUN = ("fp32", "int8", "int8_float_io")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Project:
    """Finished .tflite files on the host, in its reference kernels, on microcontrollers, and on an Ethos-U."""
    root = tmp_path_factory.mktemp("microcontrollers")
    made, folder = make_project(root, digits, root / "store"), root / "benchmarks"
    (folder / "scores.tflite").write_bytes(linear_tflite(digits.weights, digits.bias))
    remembering(folder / "wake.tflite", CELL)
    given = np.random.default_rng(1).normal(size=(16, STEPS, 8)).astype(np.float32)
    np.savez(folder / "sounds.npz", evaluation_x=given[:12], calibration_x=given[12:])
    made.models["datasets"]["sounds"] = {"kind": "npz", "path": "sounds.npz"}
    wake: dict[str, Any] = {
        "source": {"path": "wake.tflite"},
        "dataset": "sounds",
        "state": "inside",
        "metric": "fidelity",
    }
    made.models["models"] = {
        "scores": {
            "source": {"path": "scores.tflite"},
            "dataset": "digits",
            "variants": {name: {} for name in (*RUN, HYBRID, HALVES, WEIGHTS)},
        },
        "wake": {**wake, "variants": {"fp32": {}, "int8": {}}, "targets": ["mcu:m4", "mcu:u55"]},
    }
    made.models["budgets"] = [
        {"max_drop_points": 2.0},
        {"target": "mcu:u55", "variant": "int8_float_io", "max_cpu_ops": 2},
        {"target": "mcu:m4", "max_arena_kb": 64},
        {"model": "wake", "max_cpu_ops": 20},
    ]
    made.devices["devices"]["mcu"] = {
        "kind": "emulated",
        "backends": {
            "m4": {"emulator": "tflm", "max_arena_kb": 0.1},
            "m0": {"emulator": "tflm", "max_arena_kb": 1, "max_flash_kb": 2},
            "u55": {"emulator": "ethos_u", "accelerator": "ethos-u55-128", "memory_mode": "Sram_Only"},
        },
    }
    made.run("-k", "accuracy or consistency or (footprint and mcu)")
    return made


def outputs(ran: Project, model: str, variant: str, target: str) -> np.ndarray:
    found = Run.open(ran.root / "results" / "latest").journal.find(Outputs, CellId(model, variant, target))
    assert found is not None, ran.message(variant, model, target)
    return found.values


def row(ran: Project, variant: str, target: str, model: str = "scores") -> Any:
    cells = ran.result().cells
    return cells[(cells.model == model) & (cells.variant == variant) & (cells.target == target)].iloc[0]


def by_reference_kernels(ran: Project, cell: CellId) -> tuple[np.ndarray, float]:
    """What LiteRT's own reference kernels give for the samples, without edgeworthy, and the step of its output."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    key = Run.open(ran.root / "results" / "latest").journal.provenance(cell).artifact
    content = (ran.store / "artifacts" / key / "artifact.tflite").read_bytes()
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    [entry], [end] = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for sample in np.load(ran.root / "benchmarks/digits.npz")["evaluation_x"]:
        (scale, zero), given = entry["quantization"], sample[np.newaxis]
        if scale:
            given = np.clip(np.rint(given / np.float32(scale)) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(entry["index"], given)
        interpreter.invoke()
        raw, (scale, zero) = interpreter.get_tensor(end["index"]), end["quantization"]
        found.append((raw.astype(np.float32) - zero) * np.float32(scale) if scale else raw)
    steps = [each["quantization"][0] for each in interpreter.get_tensor_details() if each["shape"].tolist() == [1, 10]]
    return np.concatenate(found), max(steps)


@pytest.mark.parametrize("variant", ["int8", "int8_float_io"])
def test_int8_has_the_outputs_of_the_reference_kernels(ran: Project, variant: str) -> None:
    """Of LiteRT's reference kernels: a fully connected layer with scales of channels is now and then rounded otherwise."""
    found = outputs(ran, "scores", variant, "mcu:m4")
    wanted, step = by_reference_kernels(ran, CellId("scores", variant, "mcu:m4"))
    steps = np.rint((found - wanted) / step)
    np.testing.assert_allclose(found, wanted + steps * step, atol=1e-5)
    assert np.abs(steps).max() <= 1
    assert (steps != 0).mean() < 0.02
    found = row(ran, variant, "mcu:m4")
    assert (found.status, found.emulated) == ("pass", "tflm")
    assert found.top1_percent > 90
    assert found.consistency_percent > 99
    assert pd.isna(found.p50_ms)
    assert found.runtime.startswith("tflm ")


def test_what_tflm_does_not_run_is_an_error_with_its_reason(ran: Project) -> None:
    for variant, reason in (
        (HYBRID, "TFLM cannot load it: Node FULLY_CONNECTED (number 0) failed to prepare"),
        (HALVES, "TFLM cannot load it: Node DEQUANTIZE (number 0) failed to prepare"),
    ):
        found = row(ran, variant, "mcu:m4")
        assert found.status == "error"
        assert reason in found.message
        assert "take a recipe whose files tflm runs" in found.hint
        assert row(ran, variant, "host:cpu").status == "pass"


def test_scales_of_channels_that_tflm_forgets_are_caught(ran: Project) -> None:
    """Weights in int8, each channel with its own scale, are dequantized by the first one's, and TFLM does not say so."""
    assert row(ran, WEIGHTS, "host:cpu").status == "pass"
    found = row(ran, WEIGHTS, "mcu:m4")
    assert found.status == "fail"
    assert "accuracy lost against the reference" in found.message


def test_the_arena_and_the_flash_are_held(ran: Project) -> None:
    """A backend's own limits fail with both numbers, a budget overrides them, and targets that say nothing do without."""
    for variant in RUN:
        found = row(ran, variant, "mcu:m4")
        assert found.status == "pass", found.message
        assert 0.5 < found.arena_kb < 5
        assert found.flash_kb == found.size_kb
        assert pd.isna(found.cpu_ops)
        assert pd.isna(row(ran, variant, "host:cpu").arena_kb)
    small = row(ran, "fp32", "mcu:m0")
    assert small.status == "fail"
    assert f"flash {small.size_kb:.1f} KB, at most 2.0 KB allowed" in small.message
    [footprint] = [
        verdict for verdict in Run.open(ran.root / "results" / "latest").verdicts()
        if verdict.cell == CellId("scores", "fp32", "mcu:m0") and verdict.axis == "footprint"
    ]  # fmt: skip
    broken = {check.metric: (check.value, check.limit) for check in footprint.checks if not check.passed}
    assert broken == {"arena_kb": (small.arena_kb, 1.0), "flash_kb": (small.size_kb, 2.0)}


def test_what_vela_leaves_to_the_processor_is_counted_and_named(ran: Project) -> None:
    whole, ends, none = (row(ran, variant, "mcu:u55") for variant in ("int8", "int8_float_io", "fp32"))
    assert (whole.status, whole.cpu_ops, whole.delegated_percent) == ("pass", 0, 100)
    assert "ethos-u-vela" in whole.runtime
    assert whole.flash_kb != whole.size_kb
    assert (ends.status, ends.cpu_ops, ends.delegated_nodes, ends.graph_nodes) == ("pass", 2, 1, 3)
    assert none.status == "fail"
    assert "operators left to the processor 1, at most 0 allowed" in none.message
    assert "left to the processor: 1 FULLY_CONNECTED" in none.message


def test_a_wake_word_keeps_its_state_inside(ran: Project) -> None:
    """Each sequence begins anew, step follows step, and the arena holds the variables."""
    given, wanted = np.load(ran.root / "benchmarks/sounds.npz")["evaluation_x"], np.zeros((12, STEPS, 16))
    for step in range(STEPS):
        before = wanted[:, step - 1] if step else np.zeros((12, 16))
        wanted[:, step] = np.tanh(np.concatenate([given[:, step], before], axis=1) @ CELL)
    np.testing.assert_allclose(outputs(ran, "wake", "fp32", "mcu:m4"), wanted.reshape(12, -1), atol=1e-5)
    for target in ("mcu:m4", "mcu:u55"):
        found = row(ran, "int8", target, "wake")
        assert found.status == "pass", found.message
        assert found.arena_kb > 0.064  # of the variable alone


def test_reports_baselines_and_select_know_them(ran: Project) -> None:
    accepted = ran.edgeworthy(
        "baseline", "accept", "results/latest", "--variant", "int8", "--target", "mcu:u55", "--reason", "first"
    )
    assert accepted.returncode == 0, accepted.stderr
    path = ran.root / "results/baselines/scores.json"
    stored = json.loads(path.read_text())
    cell = stored["cells"]["int8"]["mcu:u55"]
    assert {"arena_kb", "flash_kb", "cpu_ops"} < cell["metrics"].keys()
    cell["metrics"]["flash_kb"] /= 2
    path.write_text(json.dumps(stored))
    gate = ran.edgeworthy("gate", "--run", "results/latest", "--baseline", "results/baselines")
    assert gate.returncode == 1, gate.stdout + gate.stderr
    assert re.search(r"flash [\d.]+ KB -> [\d.]+ KB: 100.0 % more, at most 1 % and 0.5 KB allowed", gate.stdout)
    chosen = ran.edgeworthy(
        "select", "--target", "mcu:u55", "--run", "results/latest", "--model", "scores", "--budget", "max_cpu_ops=0"
    )
    assert "int8: " in chosen.stdout, chosen.stdout + chosen.stderr
    page = (ran.root / "results/latest/report.html").read_text()
    assert "Left to the processor" in page


@pytest.mark.parametrize(
    ("backend", "budget", "said"),
    [
        ({"emulator": "ethos_u", "accelerator": "ethos-u56"}, {}, "devices.mcu.backends.m4.accelerator: "),
        ({"emulator": "tflm"}, {"max_cpu_ops": 0}, "operators left to the processor: none of host:cpu, mcu:m4 says it"),
        ({"emulator": "tflm"}, {"target": "host:cpu", "max_arena_kb": 9}, "tensor arena: none of host:cpu says it"),
    ],
)
def test_what_cannot_be_is_one_sentence(project: Project, backend: dict, budget: dict, said: str) -> None:
    project.devices["devices"]["mcu"] = {"kind": "emulated", "backends": {"m4": backend}}
    project.models["budgets"] += [budget] if budget else []
    done = project.run("--collect-only")
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


@pytest.fixture(scope="module")
def m4() -> Iterator[EmulatedTarget]:
    with closing(EmulatedTarget("mcu", "m4", TflmBackend(emulator="tflm"))) as target:
        yield target


def test_several_inputs_outputs_and_a_state_that_is_given_back(m4: EmulatedTarget, tmp_path: Path) -> None:
    """Each by its name and in its own type; a state goes through as it does in LiteRT."""
    asked, wanted = of_three_inputs(tmp_path)
    found = m4.outputs(asked)
    np.testing.assert_allclose(found.values, wanted, rtol=1e-4, atol=1e-4)
    assert (found.batch, found.shapes) == (1, ((10,), (10,)))
    assert found.needs.keys() == {"arena_kb", "flash_kb"}
    asked, sums = of_sequences(tmp_path, summing(tmp_path / "summing.tflite"))
    np.testing.assert_array_equal(m4.outputs(asked).values, 2 * sums.reshape(2, 12))


def asked_of(path: Path, values: np.ndarray) -> Job:
    """A job of a .tflite file and its samples."""
    np.save(path.with_suffix(".npy"), values)
    artifact = Artifact("abc", path, "fp32", RUNTIMES["litert"], "nhwc", path.stat().st_size, 1)
    return Job(artifact, Samples(path.with_suffix(".npy")), 60)


def test_shapes_and_ops_that_tflm_does_not_have_are_named(m4: EmulatedTarget, tmp_path: Path) -> None:
    """Open sizes are 1 there, and every reason is TFLM's own; so is Vela's."""
    kernel, images = np.ones((3, 3, 3, 2), np.float32), np.ones((4, 5, 5, 2), np.float32)
    with pytest.raises(InputMismatch, match=r"the model takes 1x1x2 .*, the dataset gives 5x5x2"):
        m4.outputs(asked_of(pixels(tmp_path / "open.tflite", kernel), images))
    missing = asked_of(recurrent(tmp_path / "rnn.tflite", np.ones((3, 2))), np.ones((4, 2, 2, 1), np.float32))
    with pytest.raises(ArtifactUnusable, match="Didn't find op for builtin opcode 'UNIDIRECTIONAL_SEQUENCE_RNN'"):
        m4.outputs(missing)
    backend = EthosUBackend(emulator="ethos_u", accelerator="ethos-u55-128", system_config="Mine")
    with (
        closing(EmulatedTarget("mcu", "u55", backend)) as u55,
        pytest.raises(ArtifactUnusable, match=r"System_Config\.Mine not"),
    ):
        u55.outputs(asked_of(pixels(tmp_path / "five.tflite", kernel, 5), images))


def test_missing_vela_is_named_with_the_line_that_installs_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers alone need no Vela."""
    backends = {"m4": {"emulator": "tflm"}, "u55": {"emulator": "ethos_u", "accelerator": "ethos-u55-128"}}
    project.devices["devices"] = {"mcu": {"kind": "emulated", "backends": backends}}
    project.write()
    (project.root / "site").mkdir()
    (project.root / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    monkeypatch.setenv("BLOCKED", "ethosu")
    monkeypatch.setenv("PYTHONPATH", f"{project.root / 'site'}:{os.environ.get('PYTHONPATH', '')}")
    said = project.edgeworthy("devices").stdout
    assert "mcu:m4 litert: works emulated" in said
    assert "Vela, the compiler for Ethos-U, is not installed (No module named 'ethosu')" in said
    assert "pip install 'edgeworthy[ethos-u]'" in said
