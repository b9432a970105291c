"""Models are fed in their input's own type when they are converted, and why one cannot be is shown whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeworthy.variants.conversion.converter_errors import reason_line
from edgeworthy.variants.models.model_outputs import of_artifact
from onnx import TensorProto, helper


@pytest.mark.parametrize("dtype", ["FLOAT16", "DOUBLE", "UINT8", "INT64"])
def test_onnx_inputs_are_fed_in_their_own_type(tmp_path: Path, dtype: str) -> None:
    """Whole numbers come out of a model that only casts its input as they went in."""
    nodes = [
        helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["c"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", getattr(TensorProto, dtype), ["n", 1, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16])
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, tmp_path / "model.onnx")
    images = np.arange(32, dtype=np.float32).reshape(2, 4, 4, 1)
    outputs = of_artifact(tmp_path / "model.onnx", "nchw")(images)
    np.testing.assert_array_equal(outputs, images.reshape(2, 16))


def test_a_reason_of_several_lines_is_shown_whole() -> None:
    """ONNX Runtime gives the sizes of an input that does not fit on the lines after the first."""
    error = ValueError("Got invalid dimensions for input: x for the following indices\n index: 0 Got: 8 Expected: 4\n")
    assert reason_line(error).endswith("for the following indices index: 0 Got: 8 Expected: 4")


def test_the_reason_stands_at_the_end_of_a_stack_of_tensorflow() -> None:
    """Files and lines of a library come first, and would push the reason out of the sentence."""
    error = ValueError(
        'in user code:\n\n    File "onnx2tf.py", line 1444, in None  *\n        lambda *inputs\n'
        "    ValueError: Dimensions must be equal, but are 8 and 16\n"
    )
    assert reason_line(error) == "ValueError: Dimensions must be equal, but are 8 and 16"
