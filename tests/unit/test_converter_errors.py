"""What a runtime says of an artifact that it cannot run, and what to do then."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeworthy.errors import RecipeRefused
from edgeworthy.variants.conversion.converter_errors import ANOTHER_RECIPE, refusing_what_does_not_run

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
