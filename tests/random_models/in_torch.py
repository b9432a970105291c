"""The torch module of a spec: ``python -m tests.random_models.in_torch FOLDER`` writes weights, ONNX files and datasets.

A project's factories are this file's ``build`` too, copied beside its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

ACTIVATIONS = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky": lambda: nn.LeakyReLU(0.1),
    "hard_swish": nn.Hardswish,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


class Residual(nn.Module):
    """The input added to what a layer makes of it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        """(batch, C, H, W) to the same."""
        return x + self.inner(x)


class Net(nn.Module):
    """Layers, then a head."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__()
        height, width, channels = spec["shape"]
        layers: list[nn.Module] = []
        for layer in spec["layers"]:
            made, channels = _layer(layer, channels)
            layers += made
        self.features = nn.Sequential(*layers)
        with torch.no_grad():
            size = self.features(torch.zeros(1, spec["shape"][2], height, width)).shape
        self.pool = nn.Identity() if spec["flatten"] else nn.AdaptiveAvgPool2d(1)
        count = size[1] * (size[2] * size[3] if spec["flatten"] else 1)
        hidden = [nn.Linear(count, spec["hidden"]), nn.ReLU()] if spec["hidden"] else []
        self.scores = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(spec["hidden"] or count, spec["columns"]))
        heads = {"probabilities": nn.Softmax(1), "binary": nn.Sigmoid()}
        self.head = heads.get(spec["head"], nn.Identity())

    def forward(self, x: Any) -> Any:
        """(batch, C, H, W) to (batch, columns)."""
        return self.head(self.scores(self.pool(self.features(x))))


def build(spec: dict[str, Any]) -> nn.Module:
    """The module with weights by the spec's seed, in eval mode."""
    torch.manual_seed(spec["seed"])
    net = Net(spec)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return net.eval()


def _layer(layer: dict[str, Any], channels: int) -> tuple[list[nn.Module], int]:
    out, kernel = layer["channels"], layer["kernel"]
    if layer["kind"] == "residual":
        out = channels
    stride = 1 if layer["kind"] == "residual" else layer["stride"]
    made: list[nn.Module] = [nn.Conv2d(channels, out, kernel, stride, kernel // 2)]
    if layer["kind"] == "separable":
        made = [
            nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels),
            nn.Conv2d(channels, out, 1),
        ]
    if layer["norm"]:
        made.append(nn.BatchNorm2d(out))
    made.append(ACTIVATIONS[layer["activation"]]())
    made = [Residual(nn.Sequential(*made))] if layer["kind"] == "residual" else made
    pools = {"max": nn.MaxPool2d(2), "average": nn.AvgPool2d(2)}
    return [*made, *([pools[layer["pool"]]] if layer["pool"] else [])], out


def main(folder: Path) -> None:
    """Write what the specs of torch and ONNX models need."""
    import numpy as np

    from tests.random_models import specs

    for name, spec in json.loads((folder / "specs.json").read_text()).items():
        if spec["framework"] == "keras":
            continue
        net = build(spec)
        images = torch.from_numpy(specs.samples(spec, specs.CANDIDATES).transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            last = net.scores[-1]
            offset, factor = specs.centred(spec, net.scores(net.pool(net.features(images))).numpy())
            last.weight.mul_(factor)
            last.bias.add_(torch.from_numpy(offset)).mul_(factor)
            outputs = net(images).numpy()
        torch.save(net.state_dict(), folder / f"{name}.pt")
        if spec["framework"] == "onnx":
            with torch.no_grad():
                torch.onnx.export(
                    net, (images[:2],), str(folder / f"{name}.onnx"), input_names=["image"], output_names=["out"],
                    dynamic_axes={"image": {0: "batch"}, "out": {0: "batch"}}, dynamo=False, opset_version=17,
                )  # fmt: skip
        np.savez(folder / f"{name}.npz", **specs.dataset(spec, outputs))


if __name__ == "__main__":
    import sys
    import warnings

    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
