"""The Pareto front of the tried candidates, and the one to recommend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeworthy.metrics import Quality
from edgeworthy.tuning.candidates import Candidate


@dataclass(frozen=True)
class Tried:
    """A candidate and how far it came: a number is None where an earlier one already decided.

    ``quality`` is in the unit of what the model is judged by, and what is ``lost`` of it against the reference in that of its
    ``Quality.lost``: less is better, whichever direction the metric has.
    ``against`` says why it may not ship, and is empty where every budget holds.
    """

    candidate: Candidate
    against: str = ""
    size_kb: float | None = None
    quality: float | None = None
    lost: float | None = None
    p50_ms: float | None = None

    @property
    def fits(self) -> bool:
        """Whether all was measured and every budget holds."""
        return not self.against

    @property
    def axes(self) -> tuple[float, float, float]:
        """Size, latency and quality lost, of one that fits: less is better. On an emulated target none has a latency."""
        assert self.size_kb is not None
        return self.size_kb, 1.0 if self.p50_ms is None else self.p50_ms, self.lost or 0.0

    @property
    def cost(self) -> float:
        """Size times latency, of one that fits."""
        return self.axes[0] * self.axes[1]

    def plain(self, judged_by: Quality) -> dict[str, Any]:
        """The candidate as plain data, its numbers as cells.csv calls them; None where an earlier one already decided."""
        variant = self.candidate
        return {
            "variant": variant.name,
            "recipe": variant.recipe,
            "options": variant.variant.all_options,
            "own": variant.own,
            "failed_on": self.against,
            "metrics": {
                "size_kb": self.size_kb,
                judged_by.metric: self.quality,
                judged_by.lost: self.lost,
                "p50_ms": self.p50_ms,
            },
        }


def pareto_front(tried: Sequence[Tried]) -> list[Tried]:
    """Those that fit and that no other one beats on an axis without losing on another; the smallest cost first."""
    fitting = [one for one in tried if one.fits]
    front = [one for one in fitting if not any(_dominates(other, one) for other in fitting)]
    return sorted(front, key=lambda one: one.cost)


def recommended(tried: Sequence[Tried]) -> Tried | None:
    """The one of the least cost that is neither larger nor slower than the best of the model's own variants.

    Its own best is that of the least cost, the reference apart; where there is none that fits, all that fit are compared.
    """
    fitting = sorted((one for one in tried if one.fits), key=lambda one: one.cost)
    best_own = next((one for one in fitting if one.candidate.own and not one.candidate.reference), None)
    if best_own is None:
        return fitting[0] if fitting else None
    size, p50, _ = best_own.axes
    return next(one for one in fitting if one.axes[0] <= size and one.axes[1] <= p50)


def _dominates(one: Tried, other: Tried) -> bool:
    pairs = list(zip(one.axes, other.axes, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
