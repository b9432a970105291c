"""``make weights-tasks``: train the models of models.yaml anew, on samples that data.py does not judge them by.

    .venv/bin/python benchmarks/tasks/train.py [MODEL ...]

The same machine and package versions give the same weights; on another processor the last bits differ, and after some epochs more
than that. That is why the weights are committed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import networks
import torch
from canvases import NO_OBJECT, SIDE, canvases
from digits import digits
from lines import lines, tokens
from torch import Tensor, nn
from torch.nn import functional
from tumors import tumors
from words import words

WEIGHTS = Path(__file__).parent / "weights"
BATCH = 32
SEED = 0
#: Pixels of the detector's cells, and of the side of its anchors.
STRIDE, ANCHOR = 8, 16
Loss = Callable[..., Tensor]


def fit(network: nn.Module, loss: Loss, samples: Sequence[Tensor], epochs: int, rate: float = 5e-3) -> nn.Module:
    """Train ``network`` on the samples, arrays of as many; ``loss`` is of the network and a batch of each."""
    steps = epochs * (len(samples[0]) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
    network.train()
    for epoch in range(epochs):
        total = 0.0
        # The last, smaller batch is dropped: its batch-norm statistics would be the noisiest of the epoch.
        for chosen in torch.randperm(len(samples[0])).split(BATCH)[: len(samples[0]) // BATCH]:
            optimizer.zero_grad()
            error = loss(network, *(each[chosen] for each in samples))
            error.backward()
            optimizer.step()
            schedule.step()
            total += error.item()
        print(f"epoch {epoch + 1}/{epochs}, loss {BATCH * total / len(samples[0]):.4f}", flush=True)
    return network.eval()


def of_classes(network: nn.Module, *batch: Tensor) -> Tensor:
    """Cross-entropy; the last of the batch is the targets."""
    return functional.cross_entropy(network(*batch[:-1]), batch[-1])


def of_boxes(network: nn.Module, images: Tensor, boxes: Tensor) -> Tensor:
    """Cross-entropy of each cell's scores, and how far the offsets of the cells are off that have an object's centre."""
    found = network(images)
    sample, row = torch.nonzero(boxes[..., 4] != NO_OBJECT, as_tuple=True)
    objects = boxes[sample, row]
    cells, offsets = _encoded(objects)
    scores = torch.zeros_like(found["scores"])
    scores[sample, cells, objects[:, 4].long()] = 1
    of_scores = functional.binary_cross_entropy_with_logits(found["scores"], scores, reduction="sum") / len(objects)
    return of_scores + 2 * functional.l1_loss(found["boxes"][sample, cells], offsets)


def _encoded(objects: Tensor) -> tuple[Tensor, Tensor]:
    """The cell of each object's centre, (objects,), and its offsets y, x, height, width from the anchor there, (objects, 4).

    As the anchors, and the scales of 10 and 5, of models.yaml undo it.
    """
    centres = (objects[:, :2] + objects[:, 2:4]) / 2
    cells = centres // STRIDE
    shifts = 10 * (centres - (cells + 0.5) * STRIDE) / ANCHOR
    sides = 5 * ((objects[:, 2:4] - objects[:, :2]) / ANCHOR).log()
    return (cells[:, 1] * (SIDE // STRIDE) + cells[:, 0]).long(), torch.cat([shifts.flip(1), sides.flip(1)], dim=1)


def of_sequences(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy at the last row; images are shifted and noisy, for there are few."""
    shifts = torch.randint(-1, 2, (len(images),)).tolist()
    rows = torch.stack([image.roll(shift, 1) for image, shift in zip(images, shifts, strict=True)])
    rows = rows + 0.1 * torch.randn_like(rows)
    state = torch.zeros(len(images), networks.HIDDEN)
    for row in rows.unbind(1):
        given = network(row, state)
        state = given["state"]
    return functional.cross_entropy(given["logits"], labels)


def detector() -> nn.Module:
    """20 epochs over 8,000 canvases."""
    made = canvases("train", 8000, SEED)
    return fit(networks.detector(), of_boxes, [_channels_first(made.images), torch.tensor(made.boxes)], 20, rate=1e-2)


def segmenter() -> nn.Module:
    """15 epochs over 4,000 canvases."""
    made = canvases("train", 4000, SEED)
    return fit(
        networks.segmenter(), of_classes, [_channels_first(made.images), torch.tensor(made.masks)], 15, rate=1e-2
    )


def word_spotter() -> nn.Module:
    """20 epochs over 4,800 words."""
    spectra, labels = words(4800, SEED)
    return fit(networks.word_spotter(), of_classes, [_channels_first(spectra), torch.tensor(labels)], 20)


def tumor_classifier() -> nn.Module:
    """60 epochs; means and deviations are those of the training samples."""
    values, benign = (torch.tensor(each) for each in tumors("train"))
    network = networks.tumor_classifier()
    network.mean, network.deviation = values.mean(dim=0), values.std(dim=0)
    return fit(network, of_classes, [values, benign], 60)


def line_classifier() -> nn.Module:
    """8 epochs over 8,000 lines."""
    texts, kinds = lines("train", 8000)
    ids, mask = (torch.tensor(each) for each in tokens(texts))
    return fit(networks.line_classifier(), of_classes, [ids, mask, torch.tensor(kinds)], 8)


def row_reader() -> nn.Module:
    """80 epochs over 1,000 digits."""
    images, labels = (torch.tensor(each) for each in digits("train"))
    return fit(networks.row_reader(), of_sequences, [images, labels], 80)


def _channels_first(images: Any) -> Tensor:
    return torch.tensor(images).permute(0, 3, 1, 2).contiguous()


TRAINERS = (detector, segmenter, word_spotter, tumor_classifier, line_classifier, row_reader)


def main(names: Sequence[str]) -> None:
    """Train the named models, or all, each with the same seed and one thread, and write their weights."""
    torch.set_num_threads(1)  # the same sums on every machine; a small step waits longer for a thread than it takes
    WEIGHTS.mkdir(exist_ok=True)
    for trainer in TRAINERS:
        if not names or trainer.__name__ in names:
            torch.manual_seed(SEED)
            out = WEIGHTS / f"{trainer.__name__}.pt"
            torch.save(trainer().state_dict(), out)
            print(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
