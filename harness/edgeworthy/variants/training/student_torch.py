"""A PyTorch module that learns from a teacher, or a teacher whose layers are learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeworthy.datasets.samples import in_layout
from edgeworthy.errors import SourceError
from edgeworthy.records import Layout
from edgeworthy.suggestions import did_you_mean
from edgeworthy.variants.training.copied_torch import CopiedTorch
from edgeworthy.variants.training.distilling import Arrays, Lesson, Subject


class StudentTorch(CopiedTorch):
    """Trains a copy of ``module``; ``layers`` are those whose outputs are features, by name."""

    layout: Layout = "nchw"

    def __init__(self, module: Any, title: str, layers: Sequence[str], seed: int) -> None:
        super().__init__(module, seed)
        known = dict(self._trained.named_modules())
        self._features: dict[str, Any] = {}
        self._hooks = []
        for name in layers:
            if name not in known:
                raise SourceError(
                    f"{title}: features: it has no layer {name!r}; {did_you_mean(name, known)}",
                    hint="correct the layer's name",
                )
            self._hooks.append(known[name].register_forward_hook(self._keeping(name)))
        self._names = list(layers)
        self._projections: list[Any] = []

    @property
    def model(self) -> Any:
        """The module as it was given, with other weights, in eval mode."""
        for hook in self._hooks:
            hook.remove()
        return self._trained.eval()

    def compile(self, subject: Subject, learning_rate: float, steps: int, channels: Sequence[int]) -> None:
        """Prepare for ``steps`` steps; ``channels`` are those of the teacher's features."""
        self._subject = subject
        own = [self._features[name].shape[-1] for name in self._names]
        self._projections = [
            nn.init.xavier_uniform_(torch.empty(here, there)).requires_grad_()
            for here, there in zip(own, channels, strict=True)
        ]
        self._optimizer = torch.optim.Adam([*self._trained.parameters(), *self._projections], learning_rate)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, steps)

    def learn(self, images: NDArray[np.float32], lesson: Lesson) -> None:
        """One step on images (N, H, W, C)."""
        self._trained.train()
        self._optimizer.zero_grad()
        loss = self._loss(self._called(images), lesson)
        for name, projection, target, spread in zip(
            self._names, self._projections, lesson.features, self._subject.feature_spreads, strict=True
        ):
            loss = loss + (((self._features[name] @ projection) - torch.from_numpy(target)) / spread).square().mean()
        loss.backward()
        self._optimizer.step()
        self._schedule.step()

    def outputs(self, images: NDArray[np.float32]) -> Arrays:
        """Each output (N, ...), float32."""
        self._trained.eval()
        with torch.no_grad():
            return [each.float().numpy() for each in self._called(images)]

    def features(self, images: NDArray[np.float32]) -> Arrays:
        """What its feature layers give (N, ..., channels), float32."""
        self.outputs(images)
        return [self._features[name].numpy() for name in self._names]

    def _keeping(self, name: str) -> Any:
        """A hook that keeps what the layer gives, its channels last."""

        def keep(_: Any, __: Any, given: Any) -> None:
            self._features[name] = given.movedim(1, -1)

        return keep

    def _called(self, images: NDArray[np.float32]) -> tuple[Any, ...]:
        given = self._trained(torch.from_numpy(in_layout(images, "nchw")))
        return given if isinstance(given, tuple) else (given,)

    def _loss(self, outputs: tuple[Any, ...], lesson: Lesson) -> Any:
        subject, hard, labels = self._subject, self._subject.hard_labels, torch.from_numpy(lesson.labels)
        wanted = [torch.from_numpy(each) for each in lesson.outputs]
        if subject.classes:
            logits = torch.log(outputs[0].clamp_min(1e-7)) if subject.probabilities else outputs[0]
            distilled = subject.distillation
            softened = (logits / distilled.temperature).log_softmax(1)
            loss = -distilled.factor * (wanted[0] * softened).sum(1).mean()
            return loss + hard * nn.functional.cross_entropy(logits, labels.long()) if hard else loss
        errors = [
            ((given - target) / spread).square().mean()
            for given, target, spread in zip(outputs, wanted, subject.spreads, strict=True)
        ]
        loss = (1 - hard) * sum(errors) / len(errors)
        return loss + hard * ((outputs[0] - labels.float()) / subject.spreads[0]).square().mean() if hard else loss
