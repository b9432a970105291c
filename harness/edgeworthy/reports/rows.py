"""One row per cell, from its verdicts and measurements. The columns and their units are listed here, once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY
from edgeworthy.metrics import METRICS
from edgeworthy.records import RED_STATUSES, Conditions, Outputs, Timing, Verdict
from edgeworthy.runs.journal import Journal

#: Status of a cell, worst first.
STATUSES = ("error", "fail", "not comparable", "not run", "waived", "absent", "refused", "pass", "emulated", "rejected")

_INTERVALS = tuple(name for name, metric in METRICS.items() if metric.interval)

#: Readings of the device that are shown with a cell: those of ``Target.state``.
READINGS = {
    "temperature_c": "degrees Celsius (a phone's skin, a board's hottest sensor)",
    "battery_percent": "charge of the battery",
    "cpu_mhz": "clock of the processor",
    "load_1min": "load average of the last minute",
    "throttled": "1 where the device throttled",
}

#: Those that are read again while a cell is timed.
_MEANWHILE = ("temperature_c", "cpu_mhz", "throttled")

#: Every column of cells.csv and cells.parquet.
COLUMNS: dict[str, str] = {
    "model": "name in models.yaml",
    "variant": "name in models.yaml, or 'canary'",
    "target": "device:backend of devices.yaml",
    "emulated": "what emulates the target, such as htp: no time and no memory of such a cell is known; empty of a device",
    "status": "error, fail, not comparable (measured while the device throttled), not run, waived (failing, but covered by a "
    "waiver), absent (its optional device is not connected), refused (the recipe cannot take the model), pass, emulated (only "
    "times or memory were asked for, which an emulation has not), or rejected (the canary, as expected)",
    "axis": "what decided the status: accuracy, latency, footprint, consistency, regression, canary, or a test of your own",
    "evidence": "conclusive, inconclusive, or exact where the number has no noise",
    "message": "why the cell has its status",
    "hint": "what to do next",
    "metric": "what the model is judged by: a name such as top1, map or fidelity, or that of your own function or task",
    "recipe": "the recipe that made the artifact",
    "layout": "layout of its images: nhwc (batch, height, width, channels) or nchw; that of other inputs is the dataset's",
    "runtime": "runtime and version that ran it",
    "artifact": "content address of the artifact (sha256)",
    **{name: f"{metric.label}{f',{metric.unit}' if metric.unit else ''}" for name, metric in METRICS.items()},
    **{f"{name}_{end}": f"{end} end of the 95 % interval of {name}" for name in _INTERVALS for end in ("low", "high")},
    "mcnemar_p": "exact two-sided p-value of McNemar's test against the reference",
    "metric_p": "two-sided p-value of the paired t test of the model's metric against the reference",
    "worst_class": "the class with the lowest accuracy",
    "consistency_difference": "largest difference of one output against the first target",
    "batch": "batch size of the accuracy run; 1 where a larger one would change the outputs",
    "loads": "reloads that latency was sampled over",
    "samples": "latency samples",
    "statistic": "what one latency sample is: an inference, or the median or mean of one load's inferences",
    "cpu_percent": "processor time over wall time while timing; 100 is one core busy",
    "delegated_nodes": "graph nodes that the delegate took",
    "graph_nodes": "nodes of the graph",
    "window_s": "seconds inside the runner while timing",
    **{
        f"{name}_{when}": f"{meaning}, {when} timing, where the device reports it"
        for name, meaning in READINGS.items()
        for when in ("before", "after")
    },
    **{
        f"{name}_during": f"{READINGS[name]}, at its worst while timing, where the device was sampled"
        for name in _MEANWHILE
    },
    "telemetry_samples": "telemetry samples taken while timing",
}


def cell_rows(
    planned: Sequence[CellId],
    verdicts: Sequence[Verdict],
    journal: Journal,
    emulated: Mapping[str, str] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """A row for every planned or judged cell, the worst first, with the keys of COLUMNS (None where unknown).

    ``emulated`` names the emulator of each target that is no device.
    """
    by_cell: dict[CellId, list[Verdict]] = defaultdict(list)
    for cell in planned:
        by_cell[cell] = []
    for verdict in verdicts:
        by_cell[verdict.cell].append(verdict)
    judged_by = {model: _judged_by(model, journal) for model in {cell.model for cell in by_cell}}
    rows = [
        {**_row(cell, found, journal), "metric": judged_by[cell.model], "emulated": emulated.get(cell.target)}
        for cell, found in by_cell.items()
    ]
    return sorted(rows, key=lambda row: STATUSES.index(row["status"]))


def _row(cell: CellId, verdicts: list[Verdict], journal: Journal) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row.update(model=cell.model, variant=cell.variant, target=cell.target, status="not run", message="not run")
    row.update(hint="resume the run with --edge-resume")
    for verdict in verdicts:
        row.update({name: value for name, value in verdict.metrics.items() if name in COLUMNS})
    if verdicts:
        worst = min(verdicts, key=lambda verdict: STATUSES.index(status(verdict)))
        row.update(
            status=status(worst),
            axis=worst.axis,
            evidence=worst.evidence,
            message=_with_others(worst, verdicts),
            hint=worst.hint,
        )
    row.update(_measured(cell, journal))
    return row


def _with_others(worst: Verdict, verdicts: list[Verdict]) -> str:
    """The worst verdict's message, and those of the other axes that failed: a broken budget hides no regression."""
    others = [found for found in verdicts if found.status in RED_STATUSES and found.message != worst.message]
    also = (f"also {verdict.axis}, {verdict.status}: {verdict.message}" for verdict in others)
    return "; ".join([worst.message, *also])


def _judged_by(model: str, journal: Journal) -> str | None:
    truth = journal.truth(model)
    return truth.metric if truth else None


def status(verdict: Verdict) -> str:
    """The verdict's outcome, or ``rejected`` for a canary that was."""
    return "rejected" if verdict.cell.variant == CANARY and verdict else verdict.status


def _measured(cell: CellId, journal: Journal) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    outputs, timing = journal.find(Outputs, cell), journal.find(Timing, cell)
    if outputs:
        facts["batch"] = outputs.batch
    if timing:
        facts.update(
            loads=len(timing.load_ns),
            samples=len(timing.samples_ns),
            statistic=timing.statistic,
            cpu_percent=timing.cpu_percent,
            window_s=timing.window_seconds,
            **_readings(timing.conditions),
        )
    measured = timing or outputs
    if measured and measured.delegation:
        facts.update(delegated_nodes=measured.delegation.taken, graph_nodes=measured.delegation.total)
    if measured:
        facts["runtime"] = measured.conditions.fingerprint["runtime"]
        provenance = journal.provenance(cell)
        facts.update(recipe=provenance.recipe, layout=provenance.layout, artifact=provenance.artifact)
    return facts


def _readings(conditions: Conditions) -> dict[str, float | None]:
    states = {"before": conditions.before, "after": conditions.after}
    found = {f"{name}_{when}": state.get(name) for name in READINGS for when, state in states.items()}
    during = {f"{name}_during": conditions.during.get(name) for name in _MEANWHILE}
    return {**found, **during, "telemetry_samples": conditions.during.get("telemetry_samples")}
