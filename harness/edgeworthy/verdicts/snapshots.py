"""A cell's numbers as they are accepted and compared: from a run's stored measurements or from a baseline file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeworthy.cells import CellId
from edgeworthy.measurements.tasks import judged
from edgeworthy.metrics import TOP_K
from edgeworthy.records import Delegation, Outputs, Provenance, Timing
from edgeworthy.runs.journal import Journal
from edgeworthy.tasks.task import Evidence, Measure
from edgeworthy.truth import Truth
from edgeworthy.verdicts import fidelity, scoring

LoadStatistic = Literal["median", "mean"]
LATENCY_METRICS: dict[LoadStatistic, str] = {"median": "p50_ms", "mean": "mean_ms"}


@dataclass(frozen=True)
class Snapshot:
    """One cell: numbers of each sample, latency and load times in ns of every reload.

    ``predictions`` and ``correct`` (of an accuracy) or ``scores`` (of another metric) have shape (samples,); of a metric over
    all samples there is the ``evidence`` of ``samples``, by the ``task`` with its options, and how it is measured where the
    task's code is at hand.
    ``statistic`` says whether a load's latency is the median or, where the device's tool prints no more, the mean of its
    inferences; ``metrics`` has ``p50_ms`` or ``mean_ms`` accordingly.
    ``metrics`` are exact numbers with their unit in the name; what was not measured is not among them.
    ``fingerprint`` says where it ran, ``invalid_reason`` why its times cannot be compared, ``dataset`` and ``labels``
    (checksums) and ``metric`` what it was measured by, ``source`` is a checksum of the model's source.
    """

    artifact: str
    fingerprint: Mapping[str, str]
    dataset: str
    labels: str
    metric: str
    metrics: Mapping[str, float]
    statistic: LoadStatistic
    latency_loads_ns: NDArray[np.int64]
    load_loads_ns: NDArray[np.int64]
    predictions: NDArray[np.int64] | None = None
    correct: NDArray[np.bool_] | None = None
    scores: NDArray[np.float32] | None = None
    evidence: Evidence | None = None
    samples: int = 0
    measure: Measure | None = None
    task: Mapping[str, Any] = field(default_factory=dict)
    higher_is_better: bool = True
    invalid_reason: str = ""
    source: str = ""

    @property
    def judged(self) -> int:
        """How many samples' quality there is: ``correct``, ``scores`` or ``evidence``."""
        given = self.correct if self.correct is not None else self.scores
        return self.samples if given is None else given.size

    @property
    def latency_ms(self) -> float | None:
        """The time of one inference: the median over loads of their medians, or the mean of their means."""
        return self.metrics.get(LATENCY_METRICS[self.statistic])


def snapshot(provenance: Provenance, truth: Truth | None, outputs: Outputs | None, timing: Timing | None) -> Snapshot:
    """What was measured of a cell. Raises ValueError where nothing was."""
    measured = timing or outputs
    if measured is None:
        raise ValueError("a cell without measurements has no snapshot")
    sizes = {"size_kb": provenance.size_bytes / 1e3, "gzip_kb": provenance.gzip_bytes / 1e3}
    quality = _Quality.of(outputs, truth)
    return Snapshot(
        artifact=provenance.artifact,
        fingerprint=measured.conditions.fingerprint,
        dataset=truth.dataset if truth else "",
        labels=checksum(truth.labels) if truth else "",
        metric=scoring.identity(truth) if truth else "top1",
        metrics={
            **sizes,
            **quality.metrics,
            **(outputs.needs if outputs else {}),
            **_taken(measured.delegation),
            **(_timed(timing) if timing else {}),
        },
        statistic=_statistic(timing) if timing else "median",
        latency_loads_ns=latency_loads(timing) if timing else np.zeros(0, np.int64),
        load_loads_ns=timing.load_ns if timing else np.zeros(0, np.int64),
        **quality.kept,
        task=truth.task if truth else {},
        higher_is_better=truth.higher_is_better if truth else True,
        source=provenance.source,
        invalid_reason=timing.conditions.invalid_reason if timing else "",
    )


def stored_snapshot(journal: Journal, cell: CellId) -> Snapshot | None:
    """The cell as a run's folder has it, or None where nothing of it was measured. Raises StoreError."""
    outputs, timing = journal.find(Outputs, cell), journal.find(Timing, cell)
    if outputs is None and timing is None:
        return None
    return snapshot(journal.provenance(cell), journal.truth(cell.model), outputs, timing)


def checksum(labels: NDArray[Any]) -> str:
    """The sha256 of labels, apart from the samples that they belong to."""
    if labels.dtype.kind == "U":
        return hashlib.sha256("\0".join(labels.ravel().tolist()).encode(errors="surrogatepass")).hexdigest()
    stored = "<i8" if np.issubdtype(labels.dtype, np.integer) else "<f4"
    return hashlib.sha256(np.ascontiguousarray(labels, stored).tobytes()).hexdigest()


@dataclass(frozen=True)
class _Quality:
    """The metric that a cell is judged by, by its column; and what is kept of its samples, by the snapshot's fields."""

    metrics: dict[str, float]
    kept: dict[str, Any]

    @classmethod
    def of(cls, outputs: Outputs | None, truth: Truth | None) -> _Quality:
        """That of measured outputs."""
        if outputs is None or truth is None:
            return cls({}, {})
        if truth.task:
            return cls._of_task(outputs, truth)
        if truth.metric in TOP_K:
            classes = truth.class_scores(outputs.values)
            correct = fidelity.in_top_k(classes, truth.labels, TOP_K[truth.metric])
            kept = {"predictions": fidelity.top1(classes), "correct": correct}
            return cls({f"{truth.metric}_percent": 100.0 * float(correct.mean())}, kept)
        scores = scoring.scores(outputs.values, truth).astype(np.float32)
        return cls({scoring.column(truth): float(scores.mean(dtype=np.float64))}, {"scores": scores})

    @classmethod
    def _of_task(cls, outputs: Outputs, truth: Truth) -> _Quality:
        task = judged(truth)
        corpus = task.of(task.decode(outputs.values))
        kept = {"evidence": corpus.evidence, "samples": corpus.samples, "measure": corpus.measure}
        return cls({scoring.column(truth): corpus.value}, kept)


def _taken(delegation: Delegation | None) -> dict[str, float]:
    return {"delegated_percent": delegation.percent} if delegation else {}


def _timed(timing: Timing) -> dict[str, float]:
    found = {
        LATENCY_METRICS[_statistic(timing)]: over_all(_statistic(timing), latency_loads(timing)) / 1e6,
        "load_ms": float(np.median(timing.load_ns)) / 1e6,
        "peak_memory_mb": None if timing.peak_memory_bytes is None else timing.peak_memory_bytes / 1e6,
    }
    return {name: value for name, value in found.items() if value is not None}


def over_all(statistic: LoadStatistic, loads_ns: NDArray[np.int64]) -> float:
    """One number of all loads, in ns: the median of medians, the mean of means."""
    return float(np.median(loads_ns) if statistic == "median" else np.mean(loads_ns))


def _statistic(timing: Timing) -> LoadStatistic:
    return "mean" if timing.statistic == "mean" else "median"


def latency_loads(timing: Timing) -> NDArray[np.int64]:
    """One time for each reload, in ns: the median of its inferences, or the average that the device's tool prints."""
    if timing.statistic != "inference":
        return timing.samples_ns
    order = np.argsort(timing.load_of, kind="stable")
    starts = np.flatnonzero(np.diff(timing.load_of[order])) + 1
    return np.array([np.median(load) for load in np.split(timing.samples_ns[order], starts)]).astype(np.int64)
