"""A plain PyTorch CNN for 32x32x1 images: 24k weights, convolution / batch norm / ReLU only, traceable by FX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

EPOCHS = 30
BATCH = 32
SHIFT_PIXELS = 2


def build() -> Any:
    """The untrained torch.nn.Module: input (batch, 1, 32, 32) float32, output (batch, 10) logits."""
    return nn.Sequential(
        *_block(1, 16, stride=2),
        *_block(16, 32, stride=2),
        *_block(32, 32, stride=1),
        *_block(32, 32, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def train(splits: Mapping[str, NDArray[Any]], out: Path, progress: Callable[[str], None]) -> None:
    """Train on ``train_*`` of ``splits``, keep the epoch with the least loss on ``validation_*``, write ``out``.

    Images are float32 (N, 32, 32, 1) in [0, 1]; labels are integers 0 to 9; ``out`` becomes a state_dict.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)  # the same sums on every machine; a small step waits longer for a thread than it takes
    model = build()
    images, labels = _tensors(splits, "train")
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    least = float("inf")
    for epoch in range(EPOCHS):
        _one_epoch(model, images, labels, optimizer, schedule)
        loss, top1_percent = _validate(model, *_tensors(splits, "validation"))
        progress(f"epoch {epoch + 1}/{EPOCHS}, validation top-1 {top1_percent:.1f} %")
        if loss < least:
            least = loss
            torch.save(model.state_dict(), out)


def _block(channels_in: int, channels_out: int, *, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def _one_epoch(model: Any, images: Any, labels: Any, optimizer: Any, schedule: Any) -> None:
    model.train()
    # The last, smaller batch is dropped: its batch-norm statistics would be the noisiest of the epoch.
    for chosen in torch.randperm(len(images)).split(BATCH)[: len(images) // BATCH]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(_shifted(images[chosen])), labels[chosen]).backward()
        optimizer.step()
        schedule.step()


def _shifted(images: Any) -> Any:
    """Each image moved by up to SHIFT_PIXELS each way; zeros come in from outside."""
    padded = nn.functional.pad(images, [SHIFT_PIXELS] * 4)
    height, width = images.shape[-2:]
    corners = torch.randint(0, 2 * SHIFT_PIXELS + 1, (len(images), 2)).tolist()
    return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, corners, strict=True)])


def _validate(model: Any, images: Any, labels: Any) -> tuple[float, float]:
    model.eval()
    with torch.inference_mode():
        logits = model(images)
    loss = nn.functional.cross_entropy(logits, labels).item()
    return loss, 100 * (logits.argmax(1) == labels).float().mean().item()


def _tensors(splits: Mapping[str, NDArray[Any]], name: str) -> tuple[Any, Any]:
    images = np.ascontiguousarray(splits[f"{name}_x"].transpose(0, 3, 1, 2), dtype=np.float32)
    return torch.from_numpy(images), torch.from_numpy(splits[f"{name}_y"].astype(np.int64))
