"""State, randomness and input types: samples are independent of one another, and are fed without loss or refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import RunnerBackend
from edgeworthy.errors import ArtifactUnusable, InputMismatch, NotRepeatable, RunnerCrashed
from edgeworthy.records import Artifact, Outputs
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.targets.base import Job
from edgeworthy.targets.host import HostTarget
from onnx import TensorProto, helper

from tests.tflite_files import recurrent, reshaping

BY_SUFFIX = {row.suffix: row for row in RUNTIMES.values()}
RAMP = np.linspace(0, 1, 40 * 4, dtype=np.float32).reshape(40, 2, 2, 1)
Run = Callable[..., Outputs]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a file on samples, on this host."""
    folder, target = tmp_path_factory.mktemp("run"), HostTarget("host", "cpu", RunnerBackend())

    def outputs(path: Path, samples: np.ndarray[Any, Any] = RAMP, seed: int | None = None) -> Outputs:
        np.save(folder / "x.npy", samples)
        artifact = Artifact("key", path, "fp32", BY_SUFFIX[path.suffix], "nhwc", 1, 1)
        return target.outputs(Job(artifact, Samples(folder / "x.npy"), 60, seed))

    yield outputs
    target.close()


def onnx_model(path: Path, kind: int, *nodes: onnx.NodeProto, inputs: int = 1, output: int | None = None) -> Path:
    """From inputs x0, x1, ... (batch, 2, 2, 1) of one type to ``y``."""
    given = [helper.make_tensor_value_info(f"x{index}", kind, ["n", 2, 2, 1]) for index in range(inputs)]
    found = helper.make_tensor_value_info("y", output or kind, None)
    graph = helper.make_graph(list(nodes), "graph", given, [found])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def random_model(path: Path, **attributes: float) -> Path:
    """Adds noise to its input."""
    return onnx_model(
        path,
        TensorProto.FLOAT,
        helper.make_node("RandomNormalLike", ["x0"], ["noise"], **attributes),
        helper.make_node("Add", ["x0", "noise"], ["y"]),
    )


def test_random_artifact_is_refused_unless_allowed(run: Run, tmp_path: Path) -> None:
    """Random numbers of the runtime's own seed and of the model's; with a seed in models.yaml, the same twice."""
    for path in (random_model(tmp_path / "noise.onnx"), random_model(tmp_path / "sequence.onnx", seed=1.0)):
        with pytest.raises(NotRepeatable, match=r"random.* numbers .*\nHint: .*'random_seed' in models.yaml"):
            run(path)
    allowed = [run(random_model(tmp_path / "noise.onnx"), seed=seed).values for seed in (1, 1, 2)]
    assert np.array_equal(allowed[0], allowed[1])
    assert not np.array_equal(allowed[0], allowed[2])


def test_dropout_and_counters_in_torchscript_are_refused(run: Run, tmp_path: Path) -> None:
    """Dropout that was left on, and a buffer that counts inferences: found by running a few samples in another order."""
    torch = pytest.importorskip("torch")

    class Counter(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x: Any) -> Any:
            self.count.add_(1)
            return x.flatten(1) + self.count

    class Dropout(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return torch.nn.functional.dropout(x.flatten(1), 0.5, True)

    for module, problem in ((Counter(), "depend on the order of the samples"), (Dropout(), "it is random")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.trace(module, torch.zeros(1, 1, 2, 2), check_trace=False).save(tmp_path / "module.pt")
        with pytest.raises(NotRepeatable, match=problem):
            run(tmp_path / "module.pt")


NUMERIC = ("FLOAT16", "DOUBLE", "INT8", "UINT8", "INT16", "INT32", "INT64", "BOOL")


@pytest.mark.parametrize("kind", NUMERIC)
def test_each_numeric_onnx_input_is_fed_in_its_own_type(run: Run, tmp_path: Path, kind: str) -> None:
    """The values come out as they went in; a fraction is fed to floating-point inputs only, and nothing is cut off."""
    number = getattr(TensorProto, kind)
    path = onnx_model(tmp_path / "model.onnx", number, helper.make_node("Identity", ["x0"], ["y"]))
    whole = (np.arange(160).reshape(40, 2, 2, 1) % 2).astype(np.uint8)
    assert np.array_equal(run(path, whole).values, whole.reshape(40, 4))
    assert np.array_equal(run(path, whole.astype(np.float32)).values, whole.reshape(40, 4))
    fraction = whole.astype(np.float32)
    fraction[37, 1, 0, 0] = 0.5
    if kind in ("FLOAT16", "DOUBLE"):
        assert run(path, fraction).values[37, 2] == 0.5
    else:
        with pytest.raises(
            InputMismatch, match=r"sample 37: the value 0.5 is no integer, and the model's input is \w+ w"
        ):
            run(path, fraction)


LITERT_TYPES = {
    "bool": 1, "int4": 7, "int16": -(2**15), "uint16": 2**16 - 1, "uint32": 2**24, "int64": -(2**24), "uint64": 2**24,
    "float16": 0.25, "float64": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("kind", LITERT_TYPES)
def test_each_litert_input_is_fed_in_its_own_type(run: Run, tmp_path: Path, kind: str) -> None:
    """The values come out as they went in; what a type, or float32, does not hold is an error."""
    path, values = reshaping(tmp_path / "model.tflite", kind), np.ones((40, 2, 2, 1), np.float32)
    values[37, 1, 0, 0] = LITERT_TYPES[kind]
    assert np.array_equal(run(path, values).values, values.reshape(40, 4))
    if kind not in ("float16", "float64"):
        beyond = {"int4": 8, "bool": 2, "int16": -(2**15) - 1, "uint16": 2**16}.get(kind, LITERT_TYPES[kind] * 2 + 1)
        whole = values.astype(np.int64)
        whole[37, 1, 0, 0] = beyond
        said = "INT4 input must be between|is outside the range of the model's input|which float32, in which outputs are kept"
        with pytest.raises((InputMismatch, ArtifactUnusable), match=said):
            run(path, whole)


@pytest.mark.parametrize("kind", ["complex64", "string"])
def test_litert_types_that_are_no_numbers_are_named(run: Run, tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputMismatch, match=r"the model's output 'y' is .*, not real numbers"):
        run(reshaping(tmp_path / "model.tflite", kind))


@pytest.mark.parametrize(
    ("kind", "value", "limits"),
    [("INT8", 128, "int8 from -128 to 127"), ("UINT8", -1, "uint8 from 0 to 255"), ("BOOL", 2, "bool from 0 to 1"),
     ("INT32", 2.0**31, "int32 from -2"), ("FLOAT16", 7e4, "float16 from -65504 to 65504"), ("INT16", np.nan, "int16 from")],
)  # fmt: skip
def test_value_outside_the_inputs_range_names_the_sample(
    run: Run, tmp_path: Path, kind: str, value: float, limits: str
) -> None:
    """The sample, the value and the range; nothing wraps around."""
    path = onnx_model(tmp_path / "m.onnx", getattr(TensorProto, kind), helper.make_node("Identity", ["x0"], ["y"]))
    samples = np.ones((40, 2, 2, 1), np.float32)
    samples[33, 0, 1, 0] = value
    with pytest.raises(
        InputMismatch, match=f"sample 33: the value .* is outside the range of the model's input, {limits}"
    ):
        run(path, samples)


def test_signatures_that_cannot_be_run_are_named(run: Run, tmp_path: Path) -> None:
    """Several inputs are all named; a model without one, and one that gives what numpy has no type for."""
    add = helper.make_node("Add", ["x0", "x1"], ["y"])
    with pytest.raises(InputMismatch, match=r"takes 2 inputs, not one: x0 \(\?x2x2x1\), x1 \(\?x2x2x1\)"):
        run(onnx_model(tmp_path / "two.onnx", TensorProto.FLOAT, add, inputs=2))
    constant = helper.make_node("Constant", [], ["y"], value_floats=[1.0])
    with pytest.raises(InputMismatch, match="the model takes no input"):
        run(onnx_model(tmp_path / "none.onnx", TensorProto.FLOAT, constant, inputs=0))
    brief = helper.make_node("Cast", ["x0"], ["y"], to=TensorProto.BFLOAT16)
    with pytest.raises(InputMismatch, match=r"the model's output 'y' is tensor\(bfloat16\), not real numbers"):
        run(onnx_model(tmp_path / "brief.onnx", TensorProto.FLOAT, brief, output=TensorProto.BFLOAT16))


def test_variables_of_a_tflite_file_are_reset_before_each_sample(run: Run, tmp_path: Path) -> None:
    """Each sample gets what a network that has just been loaded gives, as computed here."""
    weights = np.array([[0.5, -1.0], [2.0, 0.25], [-0.3, 0.7]], np.float32)
    found = run(recurrent(tmp_path / "rnn.tflite", weights)).values
    expected = np.zeros((40, 2, 3))
    for sample, steps in zip(expected, RAMP.reshape(40, 2, 2), strict=True):
        sample[0] = np.tanh(weights @ steps[0])
        sample[1] = np.tanh(weights @ steps[1] + sample[0])
    assert np.abs(found - expected.reshape(40, 6)).max() < 1e-6


class CrashesInBatches(HostTarget):
    """A host on which the runner dies as soon as it tries a batch."""

    crashes = 0

    def _execute(self, runtime: str, job: dict[str, Any], folder: Path, timeout_s: float) -> dict[str, float]:
        if job.get("batch") != 1:
            self.crashes += 1
            raise RunnerCrashed("the runner was killed by SIGABRT", hint="see its log")
        return super()._execute(runtime, job, folder, timeout_s)


def test_model_that_kills_the_runner_in_a_batch_runs_one_by_one(tmp_path: Path) -> None:
    """A crash of the batch's trial only means that there is no batch."""
    path = onnx_model(tmp_path / "model.onnx", TensorProto.FLOAT, helper.make_node("Identity", ["x0"], ["y"]))
    np.save(tmp_path / "x.npy", RAMP)
    target = CrashesInBatches("host", "cpu", RunnerBackend())
    with closing(target):
        artifact = Artifact("key", path, "fp32", RUNTIMES["onnxruntime"], "nhwc", 1, 1)
        found = target.outputs(Job(artifact, Samples(tmp_path / "x.npy"), 60))
    assert (found.batch, target.crashes) == (1, 1)
    assert np.array_equal(found.values, RAMP.reshape(40, 4))
