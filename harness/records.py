"""Frozen records that the layers hand to one another.

Large arrays (latency samples, outputs) are numpy arrays held by a record; everything else is plain data, so that
a record becomes JSON plus one .npz. Units are in the names: ``_ns``, ``_bytes``, ``_percent``, ``_points``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Layout = Literal["nhwc", "nchw"]
#: What one latency sample is: a single inference, or, of a tool that prints no more, an average of one load's inferences.
Statistic = Literal["inference", "median", "mean"]


class CellId(NamedTuple):
    """model x variant x target: the unit that is measured, judged and stored."""

    model: str
    variant: str
    target: str

    def __str__(self) -> str:
        return f"{self.model}/{self.variant}/{self.target}"

    def slug(self) -> str:
        """A file name; names hold no ``/`` and targets exactly one ``:``, so it is unique."""
        return f"{self.model}+{self.variant}+{self.target.replace(':', '@')}"


@dataclass(frozen=True)
class Artifact:
    """The file that a variant became, addressed by the sha256 of everything that shaped it."""

    key: str
    path: Path
    recipe: str
    runtime: str
    layout: Layout
    size_bytes: int
    gzip_bytes: int


@dataclass(frozen=True)
class Delegation:
    """Evidence of where the graph ran: how many of its nodes the backend's delegate took."""

    delegate: str
    taken: int
    total: int
    proof: str

    @property
    def percent(self) -> float:
        """Share of the nodes that the delegate took, in percent."""
        return 100.0 * self.taken / self.total if self.total else 0.0


@dataclass(frozen=True)
class Conditions:
    """What would make a number incomparable (``fingerprint``), and the state of the device before, after and meanwhile.

    A state's readings are those of ``Target.state``; ``during`` holds the worst of each and how many ``looks`` there
    were, and is empty where the device was not looked at. ``trouble`` says what happened meanwhile that makes the numbers
    incomparable.
    """

    fingerprint: dict[str, str]
    before: dict[str, float]
    after: dict[str, float]
    trouble: str = ""
    during: dict[str, float] = field(default_factory=dict)


#: What a fingerprint holds beside its target's identity.
_BESIDE_IDENTITY = ("governor", "runtime")


def identity_of(fingerprint: Mapping[str, str]) -> dict[str, str]:
    """The target's identity within a measurement's fingerprint: hardware, system, backend options."""
    return {key: value for key, value in fingerprint.items() if key not in _BESIDE_IDENTITY}


@dataclass(frozen=True)
class Outputs:
    """What an artifact answered: dequantized float32 ``values`` of shape (samples, classes).

    ``batch`` is the batch size that was used; 1 where a larger one changes the answers or cannot be had. ``seconds``
    went into answering, ``window_seconds`` into all that the runner did for it, loading included.
    """

    values: NDArray[np.float32]
    batch: int
    seconds: float
    window_seconds: float
    conditions: Conditions


@dataclass(frozen=True)
class Truth:
    """What a model's answers are judged by: ``labels`` and the reference's answers, float32 (samples, values).

    Labels are class numbers, int64 (samples,), or numbers that were to be predicted, float32 (samples, values).
    ``metric`` is what is judged: ``top1``, ``top5``, ``mse``, ``psnr``, or a function's name, found from ``folder``.
    ``dataset`` is the checksum of the evaluation samples and their labels.
    With ``random_weights`` labels say nothing, and a variant is judged by its fidelity to the reference alone.
    """

    labels: NDArray[Any]
    reference: NDArray[np.float32]
    metric: str
    dataset: str
    higher_is_better: bool = True
    unit: str = "%"
    folder: str = ""
    random_weights: bool = False

    @property
    def classifies(self) -> bool:
        """Whether the answers are scores of classes."""
        return self.labels.ndim == 1 and np.issubdtype(self.labels.dtype, np.integer)


@dataclass(frozen=True)
class Timing:
    """How long an artifact took: ``load_ns`` and ``first_ns`` of each fresh load, ``samples_ns[i]`` in load ``load_of[i]``.

    A device's tool may print no single inferences. ``statistic`` then says that there is one sample for each load, the
    median or the mean of its inferences, and ``mean_loads_ns`` and ``p95_loads_ns`` hold the mean and the 95th
    percentile within each load, None where the tool does not tell them.
    """

    samples_ns: NDArray[np.int64]
    load_of: NDArray[np.int64]
    load_ns: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    peak_memory_bytes: int | None
    cpu_percent: float | None
    delegation: Delegation | None
    window_seconds: float
    conditions: Conditions
    statistic: Statistic = "inference"
    mean_loads_ns: NDArray[np.int64] | None = None
    p95_loads_ns: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class PairedTiming:
    """Two artifacts in turn on one device: median nanoseconds of each fresh load, both of shape (rounds,).

    Where the device's tool prints means only, they are means, of both sides alike.
    ``looks`` is how often the evidence was looked at while rounds were added; its error rate depends on it.
    """

    baseline_ns: NDArray[np.int64]
    candidate_ns: NDArray[np.int64]
    looks: int
    seconds: float
    conditions: Conditions


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; ``low`` and ``high`` are None where the number is exact or has no interval."""

    value: float
    low: float | None = None
    high: float | None = None


Outcome = Literal["pass", "fail", "not comparable", "refused", "error", "waived", "absent"]
#: What keeps a cell from being shipped.
RED_OUTCOMES: tuple[Outcome, ...] = ("error", "fail", "not comparable")
#: What says something of a cell: it was measured and judged, or it could not be.
JUDGED_OUTCOMES: tuple[Outcome, ...] = ("pass", *RED_OUTCOMES)
Evidence = Literal["conclusive", "inconclusive", "exact"]
Word = Literal["regressed", "improved", "unchanged", "not comparable", "missing", "new"]


@dataclass(frozen=True)
class Interleaved:
    """Candidate over baseline latency (``ratio``, 1.0 = equal), both run in turn on one device in one session."""

    ratio: Estimate
    evidence: Evidence
    rounds: int
    seconds: float
    trouble: str = ""


@dataclass(frozen=True)
class Change:
    """What became of one metric of a cell since its baseline; ``before`` and ``after`` are in the metric's unit."""

    cell: CellId
    metric: str
    word: Word
    evidence: Evidence
    before: float | None
    after: float | None
    sentence: str
    next_step: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one axis (accuracy, latency, size, ...) of a cell. True where the cell may ship.

    ``waived_by`` names file and line of the waivers that let it be for now.
    """

    cell: CellId
    axis: str
    outcome: Outcome
    evidence: Evidence
    sentence: str
    next_step: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    waived_by: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.outcome == "pass"
