"""A PyTorch module as fine-tuning sees it: a copy of the user's, with kernels that can be read and written."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.ao.quantization import FakeQuantize, MovingAverageMinMaxObserver, disable_observer, enable_observer

from edgeworthy.datasets.samples import in_layout
from edgeworthy.variants.training.copied_torch import CopiedTorch
from edgeworthy.variants.training.fine_tuning import Distillation
from edgeworthy.variants.training.weight_constraints import Kernel

WITH_KERNEL = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


class TrainableTorch(CopiedTorch):
    """Trains a copy of ``module``; ``rounds_inputs`` computes layers with kernels on inputs rounded to int8."""

    def __init__(self, module: Any, seed: int, rounds_inputs: bool) -> None:
        super().__init__(module, seed)
        self._layers = [layer for layer in self._trained.modules() if isinstance(layer, WITH_KERNEL)]
        self._rounders = [_round_inputs(layer) for layer in self._layers] if rounds_inputs else []

    @property
    def model(self) -> Any:
        """The module as it was given, with other weights, in eval mode."""
        for _, hook in self._rounders:
            hook.remove()
        return self._trained.eval()

    def compile(self, learning_rate: float, probabilities: bool, distillation: Distillation | None) -> None:
        """Prepare for training; ``probabilities`` says that the model ends in a softmax."""
        self._distillation = distillation
        self._optimizer = torch.optim.Adam(self._trained.parameters(), learning_rate)
        self._probabilities = probabilities

    def channel_axes(self) -> tuple[tuple[int, ...], ...]:
        """The axes of the output channels of each kernel."""
        return tuple((1,) if isinstance(layer, nn.ConvTranspose2d) else (0,) for layer in self._layers)

    def kernels(self) -> list[Kernel]:
        """The weights of convolutions and linear layers."""
        return [layer.weight.detach().numpy().copy() for layer in self._layers]

    def set_kernels(self, values: list[Kernel]) -> None:
        """Write what ``kernels`` read."""
        with torch.no_grad():
            for layer, value in zip(self._layers, values, strict=True):
                layer.weight.copy_(torch.from_numpy(value))

    def train_batch(
        self, images: NDArray[np.float32], labels: NDArray[np.int64], soft: NDArray[np.float32] | None
    ) -> None:
        """One step on images (N, H, W, C)."""
        self._mode(training=True)
        self._optimizer.zero_grad()
        outputs = self._trained(torch.from_numpy(in_layout(images, "nchw")))
        logarithms = torch.log(outputs.clamp_min(1e-7)) if self._probabilities else outputs.log_softmax(1)
        loss = nn.functional.nll_loss(logarithms, torch.from_numpy(labels))
        if self._distillation and soft is not None:
            softened = (logarithms / self._distillation.temperature).log_softmax(1)
            distilled = -(torch.from_numpy(soft) * softened).sum(1).mean()
            loss = (1 - self._distillation.share) * loss + self._distillation.factor * distilled
        loss.backward()
        self._optimizer.step()

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs (N, classes) for images (N, H, W, C), float32."""
        self._mode(training=False)
        with torch.no_grad():
            outputs: NDArray[np.float32] = self._trained(torch.from_numpy(in_layout(images, "nchw"))).numpy()
        return outputs

    def _mode(self, training: bool) -> None:
        self._trained.train(training)
        for rounder, _ in self._rounders:
            rounder.apply(enable_observer if training else disable_observer)


def _round_inputs(layer: Any) -> tuple[Any, Any]:
    """The rounder that now stands before the layer, and the hook that holds it there."""
    rounder = FakeQuantize(
        observer=MovingAverageMinMaxObserver,
        quant_min=-128,
        quant_max=127,
        dtype=torch.qint8,
        qscheme=torch.per_tensor_affine,
        averaging_constant=0.1,
    )
    return rounder, layer.register_forward_pre_hook(lambda _, inputs: (rounder(inputs[0]), *inputs[1:]))
