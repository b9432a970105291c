"""Frozen records that the layers hand to one another.

Large arrays (latency samples, outputs) are numpy arrays held by a record; everything else is plain data, so that
a record becomes JSON plus one .npz. Units are in the names: ``_ns``, ``_bytes``, ``_percent``, ``_points``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeworthy.cells import CellId
from edgeworthy.runtimes import Runtime
from edgeworthy.text import printable

Layout = Literal["nhwc", "nchw"]
#: What one latency sample is: a single inference, or, of a tool that prints no more, an average of one load's inferences.
Statistic = Literal["inference", "median", "mean"]


@dataclass(frozen=True)
class Artifact:
    """The file that a variant became, addressed by the sha256 of everything that shaped it; ``source`` is the model's own.

    ``inputs`` says what it calls the source's inputs, and ``outputs`` are the names of its outputs in the order of the source's,
    where there are several; empty of a single one. ``state`` says which of its outputs is given back to an input of the source's
    at the step after.
    """

    key: str
    path: Path
    recipe: str
    runtime: Runtime
    layout: Layout
    size_bytes: int
    gzip_bytes: int
    source: str = ""
    outputs: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)

    @property
    def every_output(self) -> tuple[str, ...]:
        """What a step gives: the outputs, and then those that are only a state."""
        return tuple(dict.fromkeys([*self.outputs, *self.state.values()]))


@dataclass(frozen=True)
class Provenance:
    """Which artifact was measured: its recipe, layout and key, its sizes in bytes, and a checksum of the model's source."""

    recipe: str
    layout: str
    artifact: str
    size_bytes: int
    gzip_bytes: int
    source: str = ""

    @classmethod
    def of(cls, artifact: Artifact) -> Provenance:
        """That of an artifact at hand."""
        return cls(
            artifact.recipe, artifact.layout, artifact.key, artifact.size_bytes, artifact.gzip_bytes, artifact.source
        )


class OpTime(NamedTuple):
    """A node's mean time in ms, and its share in percent of its ``part``: the inference, or a delegate's work within a node."""

    part: str
    op: str
    mean_ms: float
    percent: float


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

    A state's readings are those of ``Target.state``; ``during`` holds the worst of each and how many
    ``telemetry_samples`` there were, and is empty where none were taken. ``invalid_reason`` says what happened during the
    measurement that makes the numbers incomparable.
    """

    fingerprint: dict[str, str]
    before: dict[str, float]
    after: dict[str, float]
    invalid_reason: str = ""
    during: dict[str, float] = field(default_factory=dict)


#: What a fingerprint holds beside its target's identity.
_BESIDE_IDENTITY = ("governor", "runtime")


def identity_of(fingerprint: Mapping[str, str]) -> dict[str, str]:
    """The target's identity within a measurement's fingerprint: hardware, system, backend options."""
    return {key: value for key, value in fingerprint.items() if key not in _BESIDE_IDENTITY}


@dataclass(frozen=True)
class Outputs:
    """What an artifact returned: dequantized float32 ``values`` of shape (samples, values).

    Of several outputs they stand one after the other; ``shapes`` are those of a sample in each. Where samples have outputs of
    different sizes these are the frames that hold them, with zeros after a smaller one, and ``sizes`` (samples, axes) are each
    sample's own, of several outputs one after the other.
    ``batch`` is the batch size that was used; 1 if a larger one changes the outputs or is not possible. ``seconds``
    went into the inferences, ``window_seconds`` into all that the runner did for it, loading included. ``delegation`` is
    known of a target that is not timed: everywhere else its timing has it. ``needs`` is what a microcontroller must have for
    the artifact, by metric.
    """

    values: NDArray[np.float32]
    batch: int
    seconds: float
    window_seconds: float
    conditions: Conditions
    shapes: tuple[tuple[int, ...], ...] = ()
    sizes: NDArray[np.int64] | None = None
    delegation: Delegation | None = None
    needs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Timing:
    """How long an artifact took: ``load_ns`` and ``first_ns`` of each reload, ``samples_ns[i]`` in load ``load_of[i]``.

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
    """An interleaved A/B of two artifacts on one device: median nanoseconds of each reload, both of shape (rounds,).

    Where the device's tool prints means only, they are means, of both sides alike.
    ``looks`` is how often the evidence was tested while rounds were added; its error rate depends on it.
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


Status = Literal["pass", "fail", "not comparable", "refused", "error", "waived", "absent", "emulated"]
#: What keeps a cell from being shipped.
RED_STATUSES: tuple[Status, ...] = ("error", "fail", "not comparable")
#: What says something of a cell: it was measured and judged, or it could not be.
JUDGED_STATUSES: tuple[Status, ...] = ("pass", *RED_STATUSES)
Evidence = Literal["conclusive", "inconclusive", "exact"]
ChangeStatus = Literal["regressed", "improved", "unchanged", "not comparable", "missing", "new"]


@dataclass(frozen=True)
class Interleaved:
    """Candidate over baseline latency (``ratio``, 1.0 = equal), from an interleaved A/B on one device in one session."""

    ratio: Estimate
    evidence: Evidence
    rounds: int
    seconds: float
    invalid_reason: str = ""


@dataclass(frozen=True)
class Effect:
    """How much worse a metric is than its baseline (``estimate``, negative: better), and how much worse it may be, in ``unit``.

    ``method`` says how it was found; ``key`` is the tolerance's under ``regression`` of models.yaml, empty of a built-in one.
    """

    estimate: Estimate
    tolerance: float
    unit: Literal["%", "pp"]
    method: str
    key: str = ""


@dataclass(frozen=True)
class Change:
    """What became of one metric of a cell since its baseline; ``before`` and ``after`` are in the metric's unit.

    There is no ``effect`` where the two cannot be compared.
    """

    cell: CellId
    metric: str
    status: ChangeStatus
    evidence: Evidence
    before: float | None
    after: float | None
    message: str
    hint: str = ""
    effect: Effect | None = None

    def __post_init__(self) -> None:
        _make_printable(self)


@dataclass(frozen=True)
class Checked:
    """One limit and the estimate it was compared with: ``side`` "max" allows at most ``limit``, "min" at least.

    ``value`` is NaN where the metric is unknown, and then never passes; ``low`` and ``high`` are its 95 % interval, or
    None. The unit ends the metric's name.
    """

    metric: str
    side: Literal["max", "min"]
    limit: float
    value: float
    low: float | None
    high: float | None
    evidence: Evidence
    passed: bool


@dataclass(frozen=True, repr=False)
class Verdict:
    """What the gate says of one axis (accuracy, latency, size, ...) of a cell. True where the cell may ship.

    ``checks`` are the limits that were compared, the worst first. ``waived_by`` names file and line of the waivers that
    cover it.
    """

    cell: CellId
    axis: str
    status: Status
    evidence: Evidence
    message: str
    hint: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    waived_by: tuple[str, ...] = ()
    checks: tuple[Checked, ...] = ()

    def __post_init__(self) -> None:
        _make_printable(self)

    def __bool__(self) -> bool:
        return self.status == "pass"

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message

    def __repr__(self) -> str:
        """Short, since pytest shows it beside the message where a test asserts a verdict."""
        return f"<{self.axis} {self.status}: {self.cell}>"


def _make_printable(said: Change | Verdict) -> None:
    """Both hold text of users, converters and devices."""
    for name in ("message", "hint"):
        object.__setattr__(said, name, printable(getattr(said, name)))
