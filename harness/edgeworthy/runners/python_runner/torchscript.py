"""A TorchScript file in torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jobs import Array, Facts, Job, RunnerError
from .signatures import (
    all_outputs,
    check_signature,
    shaped,
    undeclared_shapes,
    undeclared_types,
    wanted_inputs,
    wanted_outputs,
)


class TorchModel:
    """A TorchScript file."""

    def __init__(self, job: Job) -> None:
        import torch

        self.job = job
        torch.set_num_threads(job["threads"])
        torch.backends.mkldnn.enabled = job["delegate"]
        self.torch = torch
        self.whole_numbers = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
        self.module = torch.jit.load(job["artifact"], map_location="cpu").eval()
        arguments = self.module._c._get_method("forward").schema.arguments[1:]
        required = [each for each in arguments if not each.has_default_value()]
        check_signature(job, [(each.name, str(each.type)) for each in required or arguments], [])
        self.input_shapes = undeclared_shapes(job)
        self.types = undeclared_types(job)
        #: Its inputs have no names, but places: those of the job's.
        self.places: list[int] = wanted_inputs(job, {str(place): place for place in range(len(self.input_shapes))})
        self.given: list[Any] = []
        self.result: Any = None

    def keeps_state(self) -> bool:
        """No: what a module keeps shows where samples are run again."""
        return False

    def fit(self, shapes: list[tuple[int, ...]]) -> None:
        """Nothing: TorchScript declares no shape."""

    def resize(self, batch: int) -> None:
        """Nothing: TorchScript declares no batch."""

    def native(self, given: list[Array], first: int = 0) -> list[Any]:
        """Samples as the runtime takes them, by input."""
        values = zip(shaped(given, self.input_shapes), self.types, strict=True)
        return [self.torch.from_numpy(np.array(each, dtype, order="C")) for each, dtype in values]

    def feed(self, native: list[Any]) -> None:
        """Set the inputs, in the module's order."""
        self.given = [native[self.places.index(place)] for place in range(len(native))]

    def invoke(self) -> None:
        """One inference."""
        with self.torch.inference_mode():
            self.result = self.module(*self.given)

    def output(self) -> list[Array]:
        """The wanted outputs, float32."""
        several = isinstance(self.result, (tuple, list))
        found = {str(place): each for place, each in enumerate(self.result if several else [self.result])}
        return [self._numbers(each) for each in wanted_outputs(all_outputs(self.job), found)]

    def _numbers(self, result: Any) -> Array:
        if not isinstance(result, self.torch.Tensor) or result.is_complex():
            kind = result.dtype if isinstance(result, self.torch.Tensor) else type(result).__name__
            raise RunnerError("input_mismatch", f"the model's output is {kind}, not real numbers")
        return np.asarray(result.numpy() if result.dtype in self.whole_numbers else result.float().numpy())

    def floats(self, raw: Array, place: int = 0) -> Array:
        """An output as float32."""
        return raw.astype(np.float32, copy=False)

    def state(self, raw: Array, place: int) -> Array:
        """An output as the state that it becomes."""
        return raw

    def delegation(self, native: Any) -> Facts | None:
        """None: TorchScript has no delegates."""
        return None
