"""A phone's target over a link to this machine, in a board's and in Android's own shell, with a tool that really infers."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.config import LatencyPlan
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import AnyAndroidBackend, CpuBackend, GpuBackend, NnapiBackend, RunnerBackend
from edgeworthy.errors import (
    ArtifactUnusable,
    BackendUnused,
    InputMismatch,
    RunnerTimeout,
    ToolUnusable,
)
from edgeworthy.records import Artifact
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.targets.android.target import AndroidTarget
from edgeworthy.targets.base import Job, Side
from edgeworthy.targets.host import HostTarget
from edgeworthy.targets.op_times import COLUMNS
from edgeworthy.tensors import NamedInput, in_a_row, state

from tests import faulty_tool
from tests.local_link import LocalLink
from tests.tflite_files import linear, summing, summing_inside, three_inputs
from tests.unit.test_device_jobs import HOSTILE, link

__all__ = ["link"]
WEIGHTS = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32)
PLAN = LatencyPlan(loads=3, samples_per_load=5, min_load_ms=0, warmup=1)
PLAIN = CpuBackend(delegate="cpu", xnnpack=False)
XNNPACK = CpuBackend(delegate="cpu")


@pytest.fixture
def target(link: LocalLink, tmp_path: Path) -> AndroidTarget:
    return phone(link, tmp_path, PLAIN)


def phone(link: LocalLink, folder: Path, backend: AnyAndroidBackend, *does: str) -> AndroidTarget:
    """A target whose tool has the faults named, in folders with hostile names."""
    tool = folder / f"tool {HOSTILE}".replace("/", "")
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} {faulty_tool.__file__} "$@"\n')
    tool.chmod(0o755)
    link.environment["FAULTS"] = ",".join(does)
    said: list[str] = []
    made = AndroidTarget(
        "phone", "cpu", backend, link, work_folder=str(folder / f"work {HOSTILE}".replace("/", "")),
        tool=str(tool), abi="x86_64", tell=said.append,
    )  # fmt: skip
    made.told = said  # type: ignore[attr-defined]
    return made


def artifact(folder: Path, quantized: bool = False, ending: str = "") -> Artifact:
    path = linear(folder / f"model-{quantized}-{ending}.tflite", WEIGHTS, quantized, ending)
    return Artifact("abc", path, "int8" if quantized else "fp32", RUNTIMES["litert"], "nhwc", path.stat().st_size, 1)


def samples(folder: Path, count: int = 70, channels: int = 1) -> Samples:
    values = np.random.default_rng(1).integers(0, 256, (count, 8, 8, channels)).astype(np.uint8)
    np.save(folder / "samples.npy", values)
    return Samples(folder / "samples.npy", (("divide", (255.0,) * channels),))


def job(folder: Path, quantized: bool = False, ending: str = "", count: int = 70, timeout_s: float = 60) -> Job:
    return Job(artifact(folder, quantized, ending), samples(folder, count), timeout_s)


@pytest.mark.parametrize("quantized", [False, True])
def test_answers_are_the_hosts_sample_by_sample(target: AndroidTarget, tmp_path: Path, quantized: bool):
    """In batches of 32, the last one filled up: the same bits, with the same kernels."""
    asked = job(tmp_path, quantized)
    host = HostTarget("host", "reference", RunnerBackend(delegate=False))
    found, expected = target.outputs(asked), host.outputs(asked)
    host.close()
    assert (found.batch, found.values.shape) == (32, (70, 10))
    assert found.values.tobytes() == expected.values.tobytes()
    assert not list(tmp_path.rglob("pwned"))


@pytest.fixture
def reference() -> Iterator[HostTarget]:
    """This host, with plain settings."""
    with closing(HostTarget("host", "reference", RunnerBackend())) as found:
        yield found


@pytest.mark.parametrize("link", ["sh"], indirect=True)
@pytest.mark.parametrize(
    ("ending", "why"), [("reshape", "cannot be run in batches"), ("maximum", "gives other outputs in a batch")]
)
def test_what_cannot_be_batched_runs_one_sample_a_process(
    target: AndroidTarget, reference: HostTarget, tmp_path: Path, ending: str, why: str
):
    """The answers are those of single samples, and what that costs is told."""
    asked = job(tmp_path, ending=ending, count=33)
    found = target.outputs(asked)
    assert found.batch == 1
    assert np.allclose(found.values, reference.outputs(asked).values, atol=1e-6)
    [told] = target.told  # type: ignore[attr-defined]
    assert why in told
    assert "one process for each of 33 samples, about" in told


@pytest.mark.parametrize("link", ["sh"], indirect=True)
def test_first_output_counts_also_in_a_batch(target: AndroidTarget, reference: HostTarget, tmp_path: Path):
    """The tool writes all outputs one after the other; the first one is the model's answer, as on the host."""
    asked = job(tmp_path, ending="twice", count=40)
    found = target.outputs(asked)
    assert found.batch == 32
    assert np.allclose(found.values, reference.outputs(asked).values, atol=1e-6)


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("names", [("scores", "twice"), ("twice", "scores")], ids=["as written", "the other way"])
def test_several_outputs_are_the_hosts_tensor_by_tensor(
    target: AndroidTarget, reference: HostTarget, tmp_path: Path, names: tuple[str, ...], quantized: bool
):
    """In the order that the artifact names, each dequantized by itself."""
    asked = job(tmp_path, quantized, ending="also" if quantized else "twice", count=40)
    asked = replace(asked, artifact=replace(asked.artifact, outputs=names))
    found, expected = target.outputs(asked), reference.outputs(asked)
    assert found.shapes == expected.shapes == ((10,), (10,))
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-5)
    columns = {name: found.values[:, 10 * place : 10 * place + 10] for place, name in enumerate(names)}
    np.testing.assert_allclose(columns["twice"], 2 * columns["scores"], rtol=0.1, atol=0.5 if quantized else 1e-5)


def of_three_inputs(folder: Path) -> tuple[Job, np.ndarray]:
    """A job whose inputs stand in another order than the file's, under other names; and its outputs, by numpy."""
    path = three_inputs(folder / "three.tflite", WEIGHTS)
    names = {"g": "gain", "l": "left", "r": "right"}
    artifact = Artifact(
        "abc", path, "fp32", RUNTIMES["litert"], "nhwc", path.stat().st_size, 1, "", ("louder", "sum"), names
    )
    random = np.random.default_rng(2)
    left = random.normal(size=(70, 6)).astype(np.float32)
    right = (random.integers(-128, 128, (70, 4)) / 8).astype(np.float32)
    np.save(folder / "rows.npy", np.concatenate([left, right], axis=1))
    inputs = (NamedInput("g", constant=2.5), *in_a_row({"l": left, "r": right}))
    total = left @ WEIGHTS[:6] + right @ WEIGHTS[6:10]
    return Job(artifact, Samples(folder / "rows.npy", (), inputs), 60), np.concatenate([2.5 * total, total], axis=1)


def test_several_inputs_are_the_hosts_tensor_by_tensor(target: AndroidTarget, reference: HostTarget, tmp_path: Path):
    """Each input has its own type, batch and file on the phone; one of them is the same for all samples."""
    asked, wanted = of_three_inputs(tmp_path)
    found, expected = target.outputs(asked), reference.outputs(asked)
    assert (found.batch, found.shapes) == (expected.batch, expected.shapes) == (32, ((10,), (10,)))
    np.testing.assert_allclose(found.values, wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-5)
    timing = target.timing(asked, PLAN)
    assert len(timing.first_ns) == PLAN.loads
    side = Side(asked.artifact)
    assert target.interleaved(side, side, asked.inputs, rounds=2, timeout_s=60).medians_ns.shape == (2, 2)
    assert not list(tmp_path.rglob("pwned"))


def of_sequences(folder: Path, path: Path, **more: Any) -> tuple[Job, np.ndarray]:
    """A job of two sequences of three steps, and the sums that a state begun at 0.5 has after each step."""
    given, back = {"seen": "x", "sum": "before"}, {"sum": "after"}
    artifact = Artifact(
        "abc", path, "fp32", RUNTIMES["litert"], "nhwc", path.stat().st_size, 1, "", ("twice",), given, back
    )
    values = (np.random.default_rng(3).integers(-8, 9, (2, 3, 4)) / 8).astype(np.float32)
    np.save(folder / "sequences.npy", values)
    [seen] = in_a_row({"seen": values})
    inputs = (replace(seen, stepped=True), state("sum", "after", 0.5, ()))
    return Job(artifact, Samples(folder / "sequences.npy", (), inputs, **more), 60), 0.5 + np.cumsum(values, axis=1)


def test_state_is_given_back_step_by_step(target: AndroidTarget, reference: HostTarget, tmp_path: Path):
    """The hosts' outputs and numpy's at every step, each sequence from the initial state; what is timed is one step."""
    asked, sums = of_sequences(tmp_path, summing(tmp_path / "summing.tflite"))
    flat = sums.reshape(2, 12)
    found, expected = target.outputs(asked), reference.outputs(asked)
    for each in (found, expected):
        assert (each.batch, each.shapes) == (1, ((3, 4),))
        np.testing.assert_array_equal(each.values, 2 * flat)
    both = replace(asked, artifact=replace(asked.artifact, outputs=("after", "twice")))
    for where in (target, reference):
        each = where.outputs(both)
        assert each.shapes == ((3, 4), (3, 4))
        np.testing.assert_array_equal(each.values, np.concatenate([flat, 2 * flat], axis=1))
    last = replace(asked, inputs=replace(asked.inputs, last=True))
    for where in (target, reference):
        np.testing.assert_array_equal(where.outputs(last).values, 2 * sums[:, -1])
    assert len(target.timing(asked, PLAN).first_ns) == PLAN.loads
    [told, *_] = target.told  # type: ignore[attr-defined]
    assert "one process for each of 6 steps, about" in told


def test_state_inside_is_timed_on_a_phone_and_refused_to_be_run(
    target: AndroidTarget, reference: HostTarget, tmp_path: Path
):
    """The tool gives every inference of a process the same values; single samples begin anew there, as on the host."""
    path, values = summing_inside(tmp_path / "inside.tflite"), np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    named = {"inputs": {"seen": "x"}, "outputs": ("after", "twice")}
    artifact = Artifact("ghi", path, "fp32", RUNTIMES["litert"], "nhwc", path.stat().st_size, 1, **named)
    np.save(tmp_path / "sequences.npy", values.reshape(2, 12))
    [seen] = in_a_row({"seen": values})
    asked = Job(artifact, Samples(tmp_path / "sequences.npy", (), (replace(seen, stepped=True),)), 60)
    sums = np.cumsum(values, axis=1).reshape(2, 12)
    np.testing.assert_array_equal(reference.outputs(asked).values, np.concatenate([sums, 2 * sums], axis=1))
    assert len(target.timing(asked, PLAN).first_ns) == PLAN.loads
    with pytest.raises(
        InputMismatch, match="the model keeps its state inside, and benchmark_model gives every inference"
    ):
        target.outputs(asked)
    np.save(tmp_path / "singles.npy", values.reshape(6, 4))
    singles = Job(artifact, Samples(tmp_path / "singles.npy", (), in_a_row({"seen": values.reshape(6, 4)})), 60)
    for where in (target, reference):
        np.testing.assert_array_equal(
            where.outputs(singles).values, np.tile(values.reshape(6, 4), 2) * ([1] * 4 + [2] * 4)
        )


def test_state_in_another_scale_is_refused_on_a_phone(target: AndroidTarget, reference: HostTarget, tmp_path: Path):
    """The host converts one into the other; in the same scale the phone gives the host's outputs."""
    asked, sums = of_sequences(tmp_path, summing(tmp_path / "same.tflite", (0.125, 0)))
    np.testing.assert_array_equal(target.outputs(asked).values, reference.outputs(asked).values)
    assert np.abs(reference.outputs(asked).values - 2 * sums.reshape(2, 12)).max() <= 0.125
    asked, sums = of_sequences(tmp_path, summing(tmp_path / "other.tflite", (0.0625, 3)))
    assert np.abs(reference.outputs(asked).values - np.clip(2 * sums, -8.2, 7.75).reshape(2, 12)).max() <= 0.2
    with pytest.raises(
        InputMismatch, match=r"the state 'before' is int8 with scale 0.125, and the output .* scale 0.0625"
    ):
        target.outputs(asked)


def test_an_input_that_is_given_nothing_is_named(target: AndroidTarget, reference: HostTarget, tmp_path: Path):
    asked, _ = of_three_inputs(tmp_path)
    renamed = {"g": "gain", "l": "left", "r": "rihgt"}
    asked = replace(asked, artifact=replace(asked.artifact, inputs=renamed))
    with pytest.raises(
        InputMismatch, match="has an input 'right', which is given nothing; its inputs are right, gain, left"
    ):
        target.outputs(asked)
    with pytest.raises(InputMismatch, match="has no input 'rihgt'; it has right, gain, left"):
        reference.outputs(asked)
    fewer = replace(asked, inputs=replace(asked.inputs, inputs=asked.inputs.inputs[:2]))
    for where in (target, reference):
        with pytest.raises(InputMismatch, match="takes 3 inputs, not 2"):
            where.outputs(fewer)


def test_an_output_that_the_file_has_not_is_named(target: AndroidTarget, reference: HostTarget, tmp_path: Path):
    asked = job(tmp_path, ending="twice", count=2)
    asked = replace(asked, artifact=replace(asked.artifact, outputs=("scores", "boxes")))
    for where in (target, reference):
        with pytest.raises(InputMismatch, match="has no output 'boxes'; it has scores, twice"):
            where.outputs(asked)


def test_second_run_pushes_nothing(link: LocalLink, target: AndroidTarget, tmp_path: Path):
    """Model, samples and the first sample lie on the phone by their content."""
    asked = job(tmp_path)
    target.outputs(asked)
    target.timing(asked, PLAN)
    pushed = len(link.pushes)
    again = phone(link, tmp_path, PLAIN)
    again.outputs(asked)
    again.timing(asked, PLAN)
    assert (pushed, len(link.pushes), again.pushed_bytes) == (3, 3, 0)


@pytest.mark.parametrize(("does", "statistic"), [((), "median"), (("means",), "mean")])
def test_each_load_is_a_process(link: LocalLink, tmp_path: Path, does: tuple[str, ...], statistic: str):
    """Load, first inference and an average of each, called what it is; memory, delegation and conditions beside them."""
    pinned = CpuBackend(delegate="cpu", xnnpack=False, cores=[0])
    timing = phone(link, tmp_path, pinned, *does).timing(job(tmp_path), PLAN)
    assert timing.statistic == statistic
    assert timing.load_of.tolist() == [0, 1, 2]
    assert len(timing.samples_ns) == len(timing.load_ns) == len(timing.first_ns) == 3
    assert all((array > 0).all() for array in (timing.samples_ns, timing.load_ns, timing.first_ns))
    assert timing.mean_loads_ns is not None
    assert (timing.p95_loads_ns is None) == (statistic == "mean")
    assert timing.peak_memory_bytes is not None
    assert timing.delegation is not None
    assert (timing.delegation.taken, timing.delegation.total) == (0, 1)
    assert timing.conditions.fingerprint["runtime"].startswith("litert benchmark_model ")
    assert {"load_1min", "memory_available_mb"} <= set(timing.conditions.before)
    assert timing.conditions.during == {}  # this machine has no dumpsys


@pytest.mark.parametrize("link", ["sh"], indirect=True)
@pytest.mark.parametrize(("does", "said"), [("no_result", "wrote no result"), ("cut_result", "cannot be read")])
def test_damaged_file_of_results_is_told_and_the_print_counts(link: LocalLink, tmp_path: Path, does: str, said: str):
    """The same numbers are printed, but for the last digits of the mean."""
    target = phone(link, tmp_path, PLAIN, does)
    timing = target.timing(job(tmp_path), PLAN)
    assert (timing.samples_ns > 0).all()
    [told] = target.told  # type: ignore[attr-defined]
    assert told.startswith("phone:cpu: model-False-.tflite (fp32): benchmark_model")
    assert said in told
    assert told.endswith("what it printed counts")


@pytest.mark.parametrize("link", ["sh"], indirect=True)
def test_file_of_results_that_contradicts_the_print_is_an_error(link: LocalLink, tmp_path: Path):
    """Nobody can say which of the two is the measurement."""
    with pytest.raises(ToolUnusable, match="contradicts what it printed: mean 4000, not"):
        phone(link, tmp_path, PLAIN, "other_result").timing(job(tmp_path), PLAN)


def test_file_of_results_is_asked_of_builds_that_know_it(link: LocalLink, target: AndroidTarget, tmp_path: Path):
    """Where the help lists the flag the file is read, and agrees; a build without it is never asked."""
    timing = target.timing(job(tmp_path), PLAN)
    assert target.tool().writes_result
    assert not target.told  # type: ignore[attr-defined]
    assert timing.p95_loads_ns is not None
    older = phone(link, tmp_path, PLAIN, "means")
    assert not older.tool().writes_result
    assert older.timing(job(tmp_path), PLAN).p95_loads_ns is None


def test_two_artifacts_run_interleaved(target: AndroidTarget, tmp_path: Path):
    """Fresh processes of both, whose inputs are quantized each in its own way."""
    sides = Side(artifact(tmp_path)), Side(artifact(tmp_path, quantized=True))
    medians = target.interleaved(*sides, samples(tmp_path), rounds=3, timeout_s=60).medians_ns
    assert medians.shape == (2, 3)
    assert (medians > 0).all()
    with pytest.raises(ToolUnusable, match="no slowdown can be seeded"):
        target.interleaved(sides[0], Side(sides[1].artifact, 1000), samples(tmp_path), rounds=3, timeout_s=60)


@pytest.mark.parametrize("link", ["sh"], indirect=True)
@pytest.mark.parametrize(
    ("does", "taken", "proof"),
    [
        ((), 3, "completely executed"),
        (("partial",), 2, "w/ 2 delegate kernels."),
        (("refused",), 0, "will not be executed by the delegate."),
    ],
)
def test_delegate_is_proved_by_its_line(link: LocalLink, tmp_path: Path, does: tuple[str, ...], taken: int, proof: str):
    """Where the tool tells kernels only, a profile says how many nodes are left beside them."""
    link.environment["LEFT"] = "REDUCE_MAX"
    timing = phone(link, tmp_path, XNNPACK, *does).timing(job(tmp_path, ending="maximum"), PLAN)
    assert timing.delegation is not None
    assert (timing.delegation.delegate, timing.delegation.taken, timing.delegation.total) == ("XNNPACK", taken, 3)
    assert proof in timing.delegation.proof


@pytest.mark.parametrize("link", ["sh"], indirect=True)
@pytest.mark.parametrize(
    ("backend", "does", "proof"),
    [
        (XNNPACK, ("no_xnnpack",), "does not know --use_xnnpack: 'WARN: Unconsumed cmdline flags: --use_xnnpack=true'"),
        (NnapiBackend(delegate="nnapi"), (), "does not know --use_nnapi: 'WARN: Unconsumed"),
        (GpuBackend(delegate="gpu"), (), "does not know --use_gpu"),
        (CpuBackend(delegate="cpu", min_delegated_percent=100), ("partial",), "did not run all of the model"),
    ],
)
def test_backend_that_did_not_run_is_an_error(
    link: LocalLink, tmp_path: Path, backend: AnyAndroidBackend, does: tuple[str, ...], proof: str
):
    """With the tool's own line, for accuracy as for latency, though the tool itself ends well."""
    asked = phone(link, tmp_path, backend, *does)
    for measure in (asked.outputs, lambda job: asked.timing(job, PLAN)):
        with pytest.raises(BackendUnused) as caught:
            measure(job(tmp_path))
        assert proof in caught.value.message
        assert caught.value.hint


def test_profile_is_a_table_of_nodes(target: AndroidTarget, tmp_path: Path):
    """One row for each node, with the documented columns."""
    frame = target.profile(job(tmp_path, ending="twice"))
    assert list(frame.columns) == list(COLUMNS)
    assert frame["node_type"].tolist() == ["TfLiteXNNPackDelegate", "TfLiteXNNPackDelegate"]


@pytest.mark.parametrize("link", ["sh"], indirect=True)
def test_wrong_shape_is_told_before_the_phone_is_asked(target: AndroidTarget, tmp_path: Path):
    """The tool would run it and end well."""
    with pytest.raises(InputMismatch, match=r"the model takes 8x8x1 \(nhwc\), the dataset gives 8x8x3"):
        target.outputs(Job(artifact(tmp_path), samples(tmp_path, channels=3), 60))


@pytest.mark.parametrize("link", ["sh"], indirect=True)
def test_tool_that_falls_silent_is_an_error(link: LocalLink, tmp_path: Path):
    """A process that ends well without its last line is no measurement."""
    with pytest.raises(ToolUnusable, match="printed no measurement"):
        phone(link, tmp_path, PLAIN, "silent").timing(job(tmp_path), PLAN)


def test_slow_tool_is_killed_on_the_phone(target: AndroidTarget, tmp_path: Path):
    """At the cell's time limit."""
    plan = LatencyPlan(loads=3, samples_per_load=5, min_load_ms=60_000)
    with pytest.raises(RunnerTimeout, match="did not finish within 2 s"):
        target.timing(job(tmp_path, timeout_s=2), plan)


@pytest.mark.parametrize("link", ["sh"], indirect=True)
def test_damaged_model_is_the_artifacts_fault(target: AndroidTarget, tmp_path: Path):
    """Both where the file cannot be read here, and where only the phone's runtime refuses it."""
    asked = job(tmp_path)
    whole = asked.artifact.path.read_bytes()
    asked.artifact.path.write_bytes(whole[:40])
    with pytest.raises(ArtifactUnusable, match="not a readable"):
        target.timing(asked, PLAN)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "not there|No such file"),
        (b"#!/bin/sh\necho usage: --graph --use_npu --use_cpu\n", "is LiteRT's tool of that name"),
        (
            b"#!/bin/sh\necho ' --graph (Model filename); --compare_numerical (fill values)'; exit 1\n",
            "is LiteRT's run_model",
        ),
        (b"#!/bin/sh\necho hello\n", "is not TFLite's benchmark_model"),
        (
            b"\x7fELF\x02\x01\x01" + b"\0" * 11 + (183).to_bytes(2, "little") + b"\0" * 200,
            "it is for arm64-v8a, .* x86_64",
        ),
    ],
)
def test_tool_that_is_none_is_told_from_one(
    link: LocalLink, target: AndroidTarget, tmp_path: Path, content: bytes | None, said: str
):
    """Missing, LiteRT's, something else, or another ABI's."""
    tool = Path(target._given_tool)  # type: ignore[arg-type]
    tool.unlink()
    if content is not None:
        tool.write_bytes(content)
        tool.chmod(0o755)
    with pytest.raises(ToolUnusable, match=said):
        target.timing(job(tmp_path), PLAN)


def test_tool_is_checked_before_it_is_pushed(link: LocalLink, tmp_path: Path):
    """A file for another ABI never goes over; one that fits is pushed once and may be executed."""
    arm = tmp_path / "arm"
    arm.write_bytes(b"\x7fELF\x02\x01\x01" + b"\0" * 11 + (183).to_bytes(2, "little") + b"\0" * 200)
    cases = [
        ({"arm64-v8a": arm}, "its ABI is x86_64, devices.yaml has benchmark_model for arm64-v8a only"),
        ({"x86_64": arm}, "arm is for arm64-v8a, the phone is x86_64"),
        ({"x86_64": tmp_path / "none"}, "cannot be read"),
        ({"x86_64": Path(shutil.which("true") or "")}, "is not TFLite's benchmark_model"),
    ]
    for given, said in cases:
        target = AndroidTarget(
            "phone", "cpu", PLAIN, link, work_folder=str(tmp_path / "work"), tool=given, abi="x86_64"
        )
        with pytest.raises(ToolUnusable, match=said):
            target.tool()
    assert len(link.pushes) == 1
