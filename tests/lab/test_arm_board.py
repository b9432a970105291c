"""The aarch64 board computes what this machine computes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.lab.board import Board
from tests.lab.cnn import cnn, samples

#: Reads a model and a batch from the home and writes the answers there, by the kernels that the argument names.
INFER = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
values = np.load("values.npy")
interpreter = Interpreter("model.tflite", experimental_op_resolver_type=OpResolverType[sys.argv[1]])
interpreter.resize_tensor_input(0, values.shape)
interpreter.allocate_tensors()
interpreter.set_tensor(0, values)
interpreter.invoke()
np.save("answers.npy", interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
"""


def both(board: Board, folder: Path, kernels: OpResolverType) -> tuple[np.ndarray, np.ndarray]:
    """What the int8 network answers here and on the board."""
    values = samples(16, quantized=True)
    cnn(folder / "model.tflite", quantized=True)
    np.save(folder / "values.npy", values)
    copied = subprocess.run(board.ssh("tar x"), input=packed(folder), capture_output=True, timeout=60, check=False)
    assert copied.returncode == 0, copied.stderr
    line = board.ssh(f"python3 - {kernels.name}")
    done = subprocess.run(line, input=INFER, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    here = Interpreter(str(folder / "model.tflite"), experimental_op_resolver_type=kernels)
    here.resize_tensor_input(0, values.shape)
    here.allocate_tensors()
    here.set_tensor(0, values)
    here.invoke()
    answer = here.get_tensor(here.get_output_details()[0]["index"])
    return answer.astype(int), np.load(board.home / "answers.npy").astype(int)


def packed(folder: Path) -> bytes:
    """The folder's files as a tar."""
    return subprocess.run(["tar", "c", "-C", str(folder), "."], capture_output=True, check=True).stdout


@pytest.mark.parametrize("kernels", [OpResolverType.AUTO, OpResolverType.BUILTIN_REF], ids=["xnnpack", "reference"])
def test_int8_outputs_equal_this_machines_bit_for_bit(
    arm_board: Board, tmp_path: Path, kernels: OpResolverType
) -> None:
    """LiteRT's aarch64 wheel gives for int8 the very bytes that x86 gives, with XNNPACK and by the reference kernels."""
    here, there = both(arm_board, tmp_path, kernels)
    assert np.array_equal(here, there)
    assert len(np.unique(here)) > 50


def test_int8_outputs_without_xnnpack_are_at_most_one_step_off(arm_board: Board, tmp_path: Path) -> None:
    """LiteRT's plain kernels round halves otherwise on ARM: a difference of more than one step would be another fault."""
    here, there = both(arm_board, tmp_path, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    assert np.abs(here - there).max() <= 1


def test_board_is_a_pi_to_its_programs(arm_board: Board) -> None:
    """Machine, processor and Python are those of a 64-bit Raspberry Pi, and both runtimes are installed."""
    script = (
        "uname -m; grep -m1 'CPU part' /proc/cpuinfo; python3 -c 'import onnxruntime; print(onnxruntime.__version__)'"
    )
    done = subprocess.run(arm_board.ssh(script), capture_output=True, text=True, timeout=120, check=False)
    machine, part, version = done.stdout.splitlines()
    assert (machine, part) == ("aarch64", "CPU part\t: 0xd0b")
    assert version.count(".") == 2
