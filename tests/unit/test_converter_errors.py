"""What a runtime says of an artifact that it cannot run, and what to do then."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeworthy.errors import RecipeRefused
from edgeworthy.variants.conversion.converter_errors import ANOTHER_RECIPE, reason_line, refusing_what_does_not_run

DIV = "tflite/kernels/div.cc:262 data[i] != zero_point was not true.Node number 39 (DIV) failed to invoke."


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (DIV, "leave this op in float, by the recipe 'mixed' with float_ops: [DIV], or choose another recipe"),
        ("Node number 80 (TfLiteXNNPackDelegate) failed to prepare.", ANOTHER_RECIPE),
        ("Encountered unresolved custom op: Mine.", ANOTHER_RECIPE),
    ],
)
def test_the_op_that_does_not_run_may_stay_in_float(said: str, hint: str) -> None:
    """Where the runtime names it; a delegate is no op of the graph."""
    with (
        pytest.raises(RecipeRefused, match="int8 made an artifact that its runtime cannot run") as refused,
        refusing_what_does_not_run("int8 made an artifact", Path("artifact.tflite")),
    ):
        raise RuntimeError(said)
    assert refused.value.hint == hint


def test_what_a_layer_raised_is_said_with_its_name() -> None:
    """Keras writes it two lines below, and the layer's arguments, which may be long, after it."""
    layer = "Exception encountered when calling layer 'tf.math.add_93' (type TFOpLambda)."
    arguments = "Call arguments received by layer 'tf.math.add_93': " + 100 * "tf.Tensor "
    said = f"{layer}\n\nDimensions must be equal, but are 20 and 40.\n\n{arguments}"
    assert reason_line(ValueError(said)) == f"{layer} Dimensions must be equal, but are 20 and 40."
