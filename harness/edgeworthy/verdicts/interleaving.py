"""A candidate timed interleaved (A/B) with its baseline's artifact, as evidence for comparing the two."""

from __future__ import annotations

from edgeworthy.cells import CellId
from edgeworthy.measurements.interleaved import Enough, interleaved_identity
from edgeworthy.records import Estimate, Interleaved, PairedTiming, identity_of
from edgeworthy.runs.journal import Journal
from edgeworthy.statistics.sequential import decided, slowdown
from edgeworthy.verdicts.snapshots import Snapshot


def enough(tolerance_percent: float) -> Enough:
    """When to stop adding rounds: the evidence says on which side of the tolerance the candidate is."""
    return lambda ratios, look: decided(ratios, look, tolerance_percent)


def interleaved(timing: PairedTiming, tolerance_percent: float) -> Interleaved:
    """What was timed, as a ratio."""
    found = slowdown(timing, tolerance_percent)
    low, high = (None if end is None else 1 + end / 100 for end in (found.percent.low, found.percent.high))
    ratio = Estimate(1 + found.percent.value / 100, low, high)
    return Interleaved(ratio, found.evidence, found.rounds, timing.seconds, timing.conditions.invalid_reason)


def stored_interleaved(
    journal: Journal, cell: CellId, before: Snapshot, after: Snapshot, tolerance_percent: float
) -> Interleaved | None:
    """The run's interleaved timing against this baseline, if there is one. Raises StoreError."""
    there, runtime = identity_of(after.fingerprint), after.fingerprint.get("runtime", "")
    identity = interleaved_identity(before.artifact, after.artifact, after.dataset, there, runtime)
    timing = journal.find(PairedTiming, cell, identity)
    return interleaved(timing, tolerance_percent) if timing else None
