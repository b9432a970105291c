"""Errors of layers, summed up sample by sample so that no activation needs to be kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.diagnosis.graph import Range
from edgeworthy.diagnosis.records import Cause

Array = NDArray[np.floating[Any]]


def decibels(signal: float, noise: float) -> float | None:
    """10 log10(signal / noise) of two sums of squares; None where there is no noise, -200 at worst."""
    if noise <= 0:
        return None
    return max(10 * math.log10(signal / noise), -200.0) if signal > 0 else -200.0


def energy(values: Array) -> float:
    """The sum of squares; what is not finite counts as the largest float32."""
    finite = np.nan_to_num(np.asarray(values, np.float64), nan=_HUGE, posinf=_HUGE, neginf=-_HUGE)
    return float(np.square(finite).sum())


_HUGE = float(np.finfo(np.float32).max)


def shares_percent(reached: Sequence[float]) -> list[float]:
    """Each layer's part of an output's error, in percent of the sum; nothing where there is no error."""
    total = math.fsum(reached)
    return [100.0 * part / total if total > 0 else 0.0 for part in reached]


def rounded(values: Array, held: Range) -> Array:
    """The values as a quantized tensor of this range holds them."""
    clipped = np.clip(values, held.low, held.high)
    levels: Array = np.rint((clipped - held.low) / held.step)
    return held.low + levels * held.step


class OutputSums:
    """What is known of one output of the model."""

    def __init__(self) -> None:
        self.signal = self.noise = 0.0

    def add(self, floats: Array, quantized: Array) -> None:
        """One sample: the float graph's output, and the quantized graph's."""
        self.signal += energy(floats)
        self.noise += energy(quantized - floats)

    @property
    def sqnr_db(self) -> float | None:
        """The quantized graph against the float one."""
        return decibels(self.signal, self.noise)

    @property
    def error_percent(self) -> float:
        """The root of the error's energy over that of the float graph's output, in percent."""
        found = self.sqnr_db
        return 0.0 if found is None else float(100 * 10 ** (-found / 20))

    def relative(self, reached: float) -> float:
        """An energy at the output over that of its values, so that outputs of any size count alike."""
        return reached / (self.signal or 1.0)


class LayerSums:
    """What is known of one layer; ``channel_axis`` counts from the end, ``outputs`` is how many the model has."""

    def __init__(self, held: Range | None, channel_axis: int, outputs: int) -> None:
        self.held = held
        self.channel_axis = channel_axis
        self.signal = self.noise = self.expected = self.added = self.own_rounding = 0.0
        self.reached = [0.0] * outputs
        self.values = self.clipped = 0
        self.low, self.high = math.inf, -math.inf
        self._float_channels: list[Array] = []
        self._quantized_channels: list[Array] = []

    def add(self, floats: Array, quantized: Array, expected: Array, reached: Sequence[float]) -> None:
        """One sample: the float graph's output of the layer, the quantized graph's, what the float layer makes of the
        quantized graph's inputs, and the energy that the difference of the last two has at each of the model's outputs."""
        self.signal += energy(floats)
        self.noise += energy(quantized - floats)
        self.expected += energy(expected)
        self.added += energy(quantized - expected)
        self.reached = [known + more for known, more in zip(self.reached, reached, strict=True)]
        self.values += floats.size
        self.low, self.high = min(self.low, float(floats.min())), max(self.high, float(floats.max()))
        self._float_channels = self._spread(self._float_channels, floats)
        self._quantized_channels = self._spread(self._quantized_channels, quantized)
        if self.held:
            self.own_rounding += energy(rounded(expected, self.held) - expected)
            slack = self.held.step / 2
            self.clipped += int(((floats < self.held.low - slack) | (floats > self.held.high + slack)).sum())

    @property
    def sqnr_db(self) -> float | None:
        """The quantized graph against the float one."""
        return decibels(self.signal, self.noise)

    @property
    def added_sqnr_db(self) -> float | None:
        """The quantized layer against the float layer on the same inputs."""
        return decibels(self.expected, self.added)

    @property
    def cause(self) -> Cause:
        """``range`` where rounding and clipping the output alone makes at least half of the added error."""
        return "range" if self.added > 0 and self.own_rounding >= self.added / 2 else "weights"

    @property
    def saturated_percent(self) -> float:
        """Share of the float graph's values that the calibrated range cannot hold."""
        return 100.0 * self.clipped / self.values if self.values else 0.0

    @property
    def channels(self) -> int:
        """How many channels the output has."""
        return int(self._float_channels[0].size)

    @property
    def dead_channels(self) -> int:
        """Channels that vary in the float graph and not in the quantized one."""
        (float_low, float_high), (low, high) = self._float_channels, self._quantized_channels
        return int(((float_high > float_low) & (high == low)).sum())

    def _spread(self, known: list[Array], values: Array) -> list[Array]:
        axis = values.ndim + self.channel_axis
        others = tuple(index for index in range(values.ndim) if index != axis)
        low, high = values.min(axis=others), values.max(axis=others)
        return [np.minimum(known[0], low), np.maximum(known[1], high)] if known else [low, high]
