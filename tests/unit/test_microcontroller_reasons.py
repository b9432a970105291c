"""What TFLM and Vela write on standard error, as the reason of a refusal."""

from __future__ import annotations

import pytest
from edgeworthy.runners.python_runner import tflm, vela

NO_OP = """Didn't find op for builtin opcode 'UNIDIRECTIONAL_SEQUENCE_RNN'
Failed to get registration from op code UNIDIRECTIONAL_SEQUENCE_RNN

"""
HYBRID = """tensorflow/lite/micro/kernels/conv_common.cc Hybrid models are not supported on TFLite Micro.
Node CONV_2D (number 11) failed to prepare with status 1
"""
HALVES = """tensorflow/lite/micro/kernels/dequantize_common.cc:42 input->type == kTfLiteInt8 was not true.
Node DEQUANTIZE (number 1) failed to prepare with status 1
"""


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (NO_OP, "Didn't find op for builtin opcode 'UNIDIRECTIONAL_SEQUENCE_RNN'"),
        (
            HYBRID,
            "Node CONV_2D (number 11) failed to prepare with status 1: Hybrid models are not supported on TFLite Micro.",
        ),
        (
            HALVES,
            "Node DEQUANTIZE (number 1) failed to prepare with status 1: input->type == kTfLiteInt8 was not true.",
        ),
        ("", ""),
    ],
)
def test_tflm_names_the_node_and_the_cause(said: str, reason: str):
    """The node comes first, and TFLM's sources are not named."""
    assert tflm.reason_in(said) == reason


SEMANTICS = """Traceback (most recent call last):
  File "vela.py", line 137, in process_regor
    compiled_model = regor.compile(accelerator, network)
RuntimeError: Compilation failed: Error: HARD_SWISH 'act' Does not have valid TFLite Semantics.
 - IFM has to be 8bit
   IFM type=FLOAT32,\x20
Failed to parse TFLite file

"""
OPTION = """Traceback (most recent call last):
  File "architecture_features.py", line 655, in _get_vela_config
    raise CliOptionError(
ethosu.vela.errors.CliOptionError: 'Error: Incorrect argument to CLI option --system-config=Foo: Section not found'
"""


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (
            SEMANTICS,
            1,
            "HARD_SWISH 'act' Does not have valid TFLite Semantics. - IFM has to be 8bit IFM type=FLOAT32, Failed to parse"
            " TFLite file",
        ),
        (OPTION, 1, "Incorrect argument to CLI option --system-config=Foo: Section not found"),
        ("usage: vela [-h]\nvela: error: argument --memory-mode: needs one\n", 2, "argument --memory-mode: needs one"),
        ("Warning: No configuration file specified.\n", -8, "it was killed by SIGFPE"),
        ("", 3, "it exited with status 3"),
    ],
)
def test_vela_says_why(said: str, status: int, reason: str):
    """Its exception without the traceback, its usage error, or how it ended."""
    assert vela.reason_in(said, status) == reason
