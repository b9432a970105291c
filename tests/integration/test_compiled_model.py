"""LiteRT's CompiledModel beside its Interpreter: the same outputs and kernels, and what it does not take is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.config import LatencyPlan
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import RunnerBackend
from edgeworthy.errors import BackendUnused, InputMismatch
from edgeworthy.records import Artifact
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.targets.base import Job, Side, fingerprint
from edgeworthy.targets.host import HostTarget
from edgeworthy.tensors import in_a_row

from tests.integration.conftest import Digits, Project, linear_tflite
from tests.integration.test_android_target import job, of_sequences, of_three_inputs
from tests.tflite_files import pixels, reshaping, summing, summing_inside

PLAN = LatencyPlan(loads=3, samples_per_load=5, min_load_ms=0, warmup=1)


def on_host(**keys: object) -> HostTarget:
    return HostTarget("host", "compiled", RunnerBackend.model_validate(keys))


@pytest.fixture(scope="module")
def compiled() -> Iterator[HostTarget]:
    with closing(on_host(compiled_model={"accelerator": "cpu"})) as target:
        yield target


@pytest.fixture(scope="module")
def interpreter() -> Iterator[HostTarget]:
    with closing(on_host()) as target:
        yield target


def assert_equal(asked: Job, compiled: HostTarget, interpreter: HostTarget) -> None:
    """The Interpreter's outputs to the last bit, in the same batches."""
    found, expected = compiled.outputs(asked), interpreter.outputs(asked)
    assert (found.batch, found.shapes) == (expected.batch, expected.shapes)
    assert found.values.tobytes() == expected.values.tobytes()


@pytest.mark.parametrize(("quantized", "ending"), [(False, ""), (True, ""), (False, "reshape"), (False, "maximum")])
def test_outputs_are_the_interpreters(
    compiled: HostTarget, interpreter: HostTarget, tmp_path: Path, quantized: bool, ending: str
) -> None:
    """Float and int8, in batches and where a batch is refused or changes the outputs."""
    assert_equal(job(tmp_path, quantized, ending), compiled, interpreter)


def test_several_inputs_and_outputs_keep_their_names_types_and_scales(
    compiled: HostTarget, interpreter: HostTarget, tmp_path: Path
) -> None:
    """Float and int8 inputs, and a constant, in another order than the file's; two outputs; both sides of an A/B timing."""
    asked, wanted = of_three_inputs(tmp_path)
    assert_equal(asked, compiled, interpreter)
    np.testing.assert_allclose(compiled.outputs(asked).values, wanted, rtol=1e-4, atol=1e-4)
    side = Side(asked.artifact)
    assert compiled.interleaved(side, side, asked.inputs, rounds=2, timeout_s=60).medians_ns.min() > 0


def test_states_are_given_back_or_begin_anew(compiled: HostTarget, interpreter: HostTarget, tmp_path: Path) -> None:
    """A state between inputs and outputs, and one in variables, which CompiledModel resets by another load alone."""
    asked, _ = of_sequences(tmp_path, summing(tmp_path / "summing.tflite"))
    assert_equal(asked, compiled, interpreter)
    inside, values = summing_inside(tmp_path / "inside.tflite"), np.ones((3, 2, 4), np.float32)
    np.save(tmp_path / "ones.npy", values)
    [seen] = in_a_row({"x": values})
    artifact = replace(asked.artifact, path=inside, outputs=("after",), inputs={"x": "x"}, state={})
    steps = Samples(tmp_path / "ones.npy", (), (replace(seen, stepped=True),))
    assert_equal(Job(artifact, steps, 60), compiled, interpreter)
    single = replace(asked.artifact, path=inside, outputs=("after",), inputs={}, state={})
    np.save(tmp_path / "single.npy", values[:, 0])
    assert np.all(compiled.outputs(Job(single, Samples(tmp_path / "single.npy"), 60)).values == 1)


def test_sizes_that_a_file_leaves_open_are_those_of_the_samples(
    compiled: HostTarget, interpreter: HostTarget, tmp_path: Path
) -> None:
    path = pixels(tmp_path / "pixels.tflite", np.random.default_rng(0).normal(size=(3, 3, 3, 2)).astype(np.float32))
    np.save(tmp_path / "images.npy", np.random.default_rng(1).random((40, 5, 7, 2), np.float32))
    artifact = Artifact("key", path, "fp32", RUNTIMES["litert"], "nhwc", 1, 1)
    assert_equal(Job(artifact, Samples(tmp_path / "images.npy"), 60), compiled, interpreter)


def test_types_that_its_api_does_not_take_are_refused(compiled: HostTarget, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2, 2, 1), np.float32))
    artifact = Artifact("key", reshaping(tmp_path / "wide.tflite", "int16"), "fp32", RUNTIMES["litert"], "nhwc", 1, 1)
    with pytest.raises(
        InputMismatch, match=r"'x' is int16, which CompiledModel's Python API does not take; it takes bool"
    ):
        compiled.outputs(Job(artifact, Samples(tmp_path / "x.npy"), 60))


def test_what_took_the_graph_is_evidence(compiled: HostTarget, tmp_path: Path) -> None:
    """XNNPACK with its proof, or the processor's own kernels where the backend says so."""
    asked = job(tmp_path, count=4)
    delegation = compiled.timing(asked, PLAN).delegation
    assert delegation is not None
    assert (delegation.delegate, delegation.taken, delegation.total) == ("XNNPACK", 1, 1)
    assert "is_fully_accelerated()" in delegation.proof
    with closing(on_host(compiled_model={"accelerator": "cpu"}, delegate=False)) as plain:
        switched_off = plain.timing(asked, PLAN).delegation
    assert switched_off is not None
    assert (switched_off.taken, switched_off.total) == (0, 1)


@pytest.mark.parametrize("accelerator", ["gpu", "npu"])
def test_an_accelerator_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, accelerator: str
) -> None:
    """With the runtime's own reason; the processor takes no part, as it does where LiteRT is left to choose."""
    monkeypatch.setenv("VK_DRIVER_FILES", str(tmp_path / "none.json"))
    said = rf"LiteRT's {accelerator.upper()} accelerator does not run it: \w+"
    with (
        closing(on_host(compiled_model={"accelerator": accelerator})) as target,
        pytest.raises(BackendUnused, match=said),
    ):
        target.outputs(job(tmp_path, count=4))


def test_a_backend_is_another_identity_only_where_it_is_compiled(compiled: HostTarget, interpreter: HostTarget) -> None:
    """What earlier versions stored of the Interpreter stays comparable."""
    plain, other = (fingerprint(each, RUNTIMES["litert"]) for each in (interpreter, compiled))
    assert set(other) - set(plain) == {"compiled_model"}
    assert "'accelerator': 'cpu'" in other["compiled_model"]


def test_a_run_judges_it_beside_the_interpreter(project: Project, digits: Digits) -> None:
    """Both pass, and agree; an accelerator that is not there is an error."""
    (project.root / "benchmarks" / "linear.tflite").write_bytes(linear_tflite(digits.weights, digits.bias))
    project.models["models"]["linear"].update(source={"path": "linear.tflite"}, reference="fp32", variants={"fp32": {}})
    project.devices["devices"]["host"]["backends"] = {
        "cpu": {},
        "compiled": {"compiled_model": {"accelerator": "cpu"}, "min_delegated_percent": 100},
        "npu": {"compiled_model": {"accelerator": "npu"}},
    }
    done = project.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert {"linear/fp32/host:cpu": "pass", "linear/fp32/host:compiled": "pass"}.items() <= project.statuses().items()
    assert set(project.unsound()) == {"linear/fp32/host:npu", "linear/canary/host:npu"}
    assert "LiteRT's NPU accelerator does not run it" in done.stdout
