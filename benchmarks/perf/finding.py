"""What a measurement found, and the ratio of two sides that were measured in turns."""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Finding:
    """A number against its bound: ``most`` or ``least``; ``told`` is what lies behind it."""

    name: str
    value: float
    unit: str
    told: str
    most: float = float("inf")
    least: float = -float("inf")

    @property
    def met(self):
        """Whether the number keeps its bound."""
        return self.least <= self.value <= self.most

    @property
    def bound(self):
        """The bound in words."""
        return f"at most {self.most:g}" if self.most < float("inf") else f"at least {self.least:g}"


def ratio_of_medians(left, right):
    """The ratio of the medians of two series of loads, and the ends of its 95 % bootstrap interval over loads."""
    random = np.random.default_rng(0)
    resampled = [np.median(random.choice(side, (RESAMPLES, len(side))), axis=1) for side in (left, right)]
    low, high = np.quantile(resampled[0] / resampled[1], (0.025, 0.975))
    return np.median(left) / np.median(right), low, high


def median_ratio(left, right):
    """The median ratio of two series of neighbours in time, and the ends of its 95 % bootstrap interval.

    For long runs: another process that takes a core away for a while then slows both neighbours alike.
    """
    ratios = np.array(left) / np.array(right)
    medians = np.median(np.random.default_rng(0).choice(ratios, (RESAMPLES, ratios.size)), axis=1)
    return np.median(ratios), *np.quantile(medians, (0.025, 0.975))
