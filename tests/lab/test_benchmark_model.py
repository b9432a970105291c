"""The stand-in of benchmark_model, against the interpreter on this machine, recorded transcripts, and the real tool."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.lab.cnn import INPUT, SHAPE, cnn, samples
from tests.lab.phone import Phone

TRANSCRIPTS = Path(__file__).parents[1] / "data" / "benchmark_model-2.14"
#: Transcripts whose runs need what the stand-in is not: op profiling, and kernels that take a wrong shape.
NOT_ITS_OWN = {"op_profile", "op_profile_csv", "wrong_channels"}
ONCE = ["--num_runs=1", "--min_secs=0", "--warmup_runs=0", "--warmup_min_secs=0"]
PASSED_OVER = ("Duplicate flags", "Created TensorFlow Lite XNNPACK", "Aborted")
NUMBER = re.compile(r"\d+(\.\d+)?(e-?\d+)?")
Ran = subprocess.CompletedProcess[str]


def on_phone(phone: Phone, command: str) -> Ran:
    """Run a line of shell on the phone, in its work folder, without adbd."""
    line = ["/usr/bin/env", "PATH=/lab/bin:/system/bin:/usr/bin", "sh", "-c", f"cd {phone.disk} && {command}"]
    return subprocess.run(
        phone.sandbox.command(*line), capture_output=True, text=True, errors="replace", timeout=120, check=False
    )


@pytest.fixture(scope="module")
def files(phone: Phone) -> Phone:
    """The phone with the files that the transcripts speak of in its work folder."""
    cnn(phone.work / "f32.tflite")
    cnn(phone.work / "u8.tflite", quantized=True)
    cnn(phone.work / "mv3s_f32.tflite")
    (phone.work / "trunc.tflite").write_bytes((phone.work / "f32.tflite").read_bytes()[:1000])
    (phone.work / "x.bin").write_bytes(samples(64).tobytes())
    (phone.work / "short.bin").write_bytes(bytes(100))
    if phone.tflite_benchmark_model:
        tool = phone.work / "tflite_benchmark_model"
        tool.write_bytes(phone.tflite_benchmark_model.read_bytes())
        tool.chmod(0o755)
    return phone


def expected(model: Path, values: np.ndarray, delegate: bool) -> np.ndarray:
    """What the interpreter on this machine answers to the batch."""
    kernels = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(model), experimental_op_resolver_type=kernels)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], values.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    answer: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return answer


def answers(phone: Phone, tool: str, model: str, values: np.ndarray, *flags: str) -> np.ndarray:
    """What the tool on the phone answers to the batch."""
    (phone.work / "values.bin").write_bytes(values.tobytes())
    shape = ",".join(map(str, values.shape))
    given = [f"--graph={model}", "--input_layer=x", f"--input_layer_shape={shape}"]
    given += ["--input_layer_value_files=x:values.bin", "--output_filepath=out.bin", *ONCE, *flags]
    done = on_phone(phone, shlex.join([tool, *given]))
    assert done.returncode == 0, done.stderr
    return np.frombuffer((phone.work / "out.bin").read_bytes(), values.dtype).reshape(len(values), -1)


@pytest.mark.parametrize("delegate", [True, False], ids=["xnnpack", "reference"])
@pytest.mark.parametrize("quantized", [False, True], ids=["float", "int8"])
def test_stand_in_gives_the_interpreters_outputs(files: Phone, quantized: bool, delegate: bool) -> None:
    """A batch of 64 through the tool equals the interpreter here, bit for bit, in float and int8, with XNNPACK and not."""
    model, values = "u8.tflite" if quantized else "f32.tflite", samples(64, quantized)
    flag = f"--use_xnnpack={str(delegate).lower()}"
    found = answers(files, "benchmark_model", model, values, flag)
    assert np.array_equal(found, expected(files.work / model, values, delegate))
    assert len(np.unique(found)) > 60


def test_real_tool_gives_the_interpreters_outputs(files: Phone, tflite_tool: Path) -> None:
    """TFLite's own tool answers to the same files alike: int8 the same, float within rounding."""
    values = samples(64, quantized=True)
    whole = answers(files, "./tflite_benchmark_model", "u8.tflite", values)
    assert np.array_equal(whole, expected(files.work / "u8.tflite", values, delegate=False))
    exact = expected(files.work / "f32.tflite", samples(64), delegate=False)
    found = answers(files, "./tflite_benchmark_model", "f32.tflite", samples(64))
    assert np.abs(found - exact).max() < 1e-5 * np.abs(exact).max()


def form(transcript: str) -> list[str]:
    """Lines without what differs between two runs: numbers, percentiles, the words of one build and of the shell."""
    lines = []
    for line in transcript.splitlines():
        blurred = NUMBER.sub("#", line)
        blurred = re.sub(r" p#=# median=# p#=#$", "", blurred)
        blurred = re.sub(r"count=# .*", "count=# ...", blurred)
        if blurred and not any(words in blurred for words in PASSED_OVER):
            lines.append(blurred)
    return lines


def recorded() -> list[Path]:
    return [path for path in sorted(TRANSCRIPTS.glob("*.txt")) if path.stem not in NOT_ITS_OWN]


@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)
@pytest.mark.parametrize("tool", ["benchmark_model", "./tflite_benchmark_model"], ids=["stand_in", "real"])
def test_tools_print_what_was_recorded(files: Phone, tool: str, path: Path, request: pytest.FixtureRequest) -> None:
    """The recorded command gives the recorded lines in their order, but for the numbers, and the recorded status."""
    if tool != "benchmark_model":
        request.getfixturevalue("tflite_tool")
    command, *said, status = path.read_text().splitlines()
    done = on_phone(files, f"{tool}{command.removeprefix('$ benchmark_model')} 2>&1")
    assert form(done.stdout) == form("\n".join(said))
    assert f"[exit {done.returncode}]" == status


def test_stand_in_reports_the_nodes_of_xnnpack(files: Phone) -> None:
    """Explicitly asked for, the evidence line says so; forbidden to fall back, a plain run fails."""
    full = "--graph=f32.tflite --num_runs=1 --min_secs=0 --warmup_min_secs=0 --require_full_delegation=true"
    done = on_phone(files, f"benchmark_model {full} --use_xnnpack=true")
    assert "the model graph will be completely executed by the delegate." in done.stdout
    assert done.returncode == 0
    assert on_phone(files, f"benchmark_model {full}").returncode == 1


def test_stand_in_times_single_inferences(files: Phone) -> None:
    """Percentiles are ordered, lie about the mean, and a batch of 64 takes many times as long as one image."""
    fastest = []
    for batch in (1, 64):
        shape = ",".join(map(str, (batch, *SHAPE[1:])))
        flags = f"--graph=f32.tflite --input_layer=x --input_layer_shape={shape} --min_secs=0.2 --warmup_min_secs=0.1"
        done = on_phone(files, f"benchmark_model {flags} --use_xnnpack=false")
        line = re.findall(r"count=.*", done.stdout)[1]
        found = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", line)}
        assert found["min"] <= found["p5"] <= found["median"] <= found["p95"] <= found["max"]
        assert found["min"] <= found["avg"] <= found["max"]
        assert found["count"] >= 50
        fastest.append(found["min"])
    assert fastest[1] > 8 * fastest[0]


def test_stand_in_reads_a_colon_in_a_name(files: Phone) -> None:
    """As in newer builds, ``::`` stands for a colon of an input's name; then the name fits and there is no warning."""
    name = INPUT.replace(":", "::")
    flags = f"--graph=f32.tflite --input_layer={INPUT} --input_layer_shape=64,32,32,1"
    done = on_phone(files, f"benchmark_model {flags} --input_layer_value_files={name}:x.bin {' '.join(ONCE)}")
    assert done.returncode == 0
    assert "WARN" not in done.stdout
