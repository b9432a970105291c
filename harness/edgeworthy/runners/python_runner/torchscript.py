"""A TorchScript file in torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jobs import Array, Job, RunnerError
from .signatures import all_outputs, check_signature, wanted_inputs, wanted_outputs
from .undeclared import Undeclared


class TorchModel(Undeclared):
    """A TorchScript file."""

    def __init__(self, job: Job) -> None:
        import torch

        super().__init__(job)
        torch.set_num_threads(job["threads"])
        torch.backends.mkldnn.enabled = job["delegate"]
        self.torch = torch
        self.whole_numbers = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
        self.module = torch.jit.load(job["artifact"], map_location="cpu").eval()
        arguments = self.module._c._get_method("forward").schema.arguments[1:]
        required = [each for each in arguments if not each.has_default_value()]
        check_signature(job, [(each.name, str(each.type)) for each in required or arguments], [])
        #: Its inputs have no names, but places: those of the job's.
        self.places: list[int] = wanted_inputs(job, {str(place): place for place in range(len(self.input_shapes))})
        self.given: list[Any] = []
        self.result: Any = None

    def native(self, given: list[Array], first: int = 0) -> list[Any]:
        """Samples as the runtime takes them, by input."""
        return [self.torch.from_numpy(each) for each in self.typed(given)]

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
