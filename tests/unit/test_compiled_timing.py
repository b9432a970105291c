"""What counts as one inference of LiteRT's CompiledModel, with a model that only records what is asked of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgeworthy.runners.python_runner.compiled import CompiledLiteRtModel


class Recorded:
    """A compiled model of one output, and its buffer."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def create_input_buffers(self, signature: int) -> list[Any]:
        return []

    def create_output_buffers(self, signature: int) -> list[Any]:
        return [self]

    def get_output_tensor_details(self, key: str) -> dict[str, Any]:
        return {"y": {"shape": [1, 3]}}

    def run_by_index(self, *_: Any) -> None:
        self.calls.append("run")

    def read(self, count: int, dtype: Any) -> Any:
        self.calls.append("read")
        return np.zeros(count, dtype)


@pytest.mark.parametrize(("on_cpu", "calls"), [(True, ["run"]), (False, ["run", "read"])])
def test_an_accelerator_is_waited_for(on_cpu: bool, calls: list[str]) -> None:
    """A GPU's ``run_by_index`` returns when the work is submitted; the processor's when it is done."""
    recorded, model = Recorded(), object.__new__(CompiledLiteRtModel)
    model.model, model.on_cpu = recorded, on_cpu
    model.signature = {"key": "serving_default", "inputs": [], "outputs": ["y"]}
    model.output_details = [{"signature_name": "y", "dtype": "float32"}]
    model._take_buffers()
    model.invoke()
    assert recorded.calls == calls
