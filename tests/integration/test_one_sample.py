"""What converts for one sample only, through the front door: a device runs one sample, so that is a variant, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from tests.integration.conftest import Project


def test_a_transposed_convolution_is_converted_for_one_sample(project: Project) -> None:
    """onnx2tf makes no transposed convolution of a dynamic batch; the variants made for one sample are the source."""
    path = project.root / "benchmarks" / "linear.onnx"
    model = onnx.load(path)
    # Each pixel becomes four equal ones, of which the mean is the pixel: the classifier behind it sees no difference.
    twice = helper.make_node("ConvTranspose", ["image", "ones"], ["twice"], kernel_shape=[2, 2], strides=[2, 2])
    mean = helper.make_node("AveragePool", ["twice"], ["pixels"], kernel_shape=[2, 2], strides=[2, 2])
    model.graph.node[0].input[0] = "pixels"
    model.graph.node.insert(0, mean)
    model.graph.node.insert(0, twice)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 1, 2, 2), np.float32), "ones"))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}, "fp32": {}, "int8": {}}
    done = project.run("-k", "accuracy or canary")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.statuses() == {
        "linear/ort_fp32/host:cpu": "pass",
        "linear/fp32/host:cpu": "pass",
        "linear/int8/host:cpu": "pass",
        "linear/canary/host:cpu": "rejected",
    }
