"""Fixture objects: one cell, or a pair of cells that share an artifact."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import pytest

from edgeworthy.cells import CellId
from edgeworthy.errors import DeviceAbsent, EdgeworthyError, RecipeRefused
from edgeworthy.measurements.bench import Bench
from edgeworthy.pytest_plugin.gate import Gate
from edgeworthy.records import Artifact, Outputs, Status, Timing, Verdict
from edgeworthy.runs.verdict_log import VerdictLog
from edgeworthy.verdicts.accuracy import judge_accuracy
from edgeworthy.verdicts.consistency import judge_consistency
from edgeworthy.verdicts.footprint import judge_footprint
from edgeworthy.verdicts.hints import fit_hint
from edgeworthy.verdicts.latency import judge_latency

if TYPE_CHECKING:
    import pandas as pd


class BenchmarkFixture(Protocol):
    """The part of pytest-benchmark's fixture that is used here."""

    group: str | None
    extra_info: dict[str, object]

    def pedantic(self, target: Callable[[], None], *, rounds: int) -> object:
        """Call ``target`` ``rounds`` times and time it with the fixture's timer."""


def is_excused(error: EdgeworthyError) -> bool:
    """Whether the error is the absence of an optional device."""
    return isinstance(error, DeviceAbsent) and not error.required


class Handle:
    """What is common: limits, and verdicts that are logged and become JUnit properties."""

    def __init__(
        self, item: pytest.Item, bench: Bench, gate: Gate, log: VerdictLog, cell: CellId, overrides: dict[str, float]
    ) -> None:
        self.id = cell
        self._item = item
        self._bench = bench
        self._gate = gate
        self._log = log
        self._overrides = overrides
        self.verdicts: list[Verdict] = []

    @property
    def limits(self) -> dict[str, float]:
        """The cell's limits, all layers of configuration applied."""
        return {**self._bench.project.limits(self.id), **self._overrides}

    def settle(self, test: str, raised: BaseException | None) -> None:
        """Record the test's outcome as a verdict on the axis ``test``, unless a verdict of the handle explains it already."""
        if raised is None and not self.verdicts:
            self._note(Verdict(self.id, test, "pass", "exact", f"{test} passed"))
        elif isinstance(raised, EdgeworthyError) and all(self.verdicts):
            self._note(Verdict(self.id, test, "error", "exact", raised.message, raised.hint))
        elif isinstance(raised, (Exception, pytest.fail.Exception)) and all(self.verdicts):
            said = " ".join(str(raised).split()) or type(raised).__name__
            self._note(Verdict(self.id, test, "fail", "exact", f"{test}: {said}", "see the test's report"))

    def report(self) -> None:
        """Attach the verdicts to the test's report, so that JUnit has them as properties."""
        for verdict in self.verdicts:
            properties = {
                "model": verdict.cell.model,
                "variant": verdict.cell.variant,
                "target": verdict.cell.target,
                "axis": verdict.axis,
                "status": verdict.status,
                "evidence": verdict.evidence,
                "message": verdict.message,
                **{name: f"{value:.6g}" for name, value in verdict.metrics.items()},
            }
            self._item.user_properties.extend((f"edge_{name}", value) for name, value in properties.items())

    def _judged(self, axis: str, judge: Callable[[], Verdict]) -> Verdict:
        """The verdict, logged; an error that keeps the cell from being judged is logged as one too.

        Skips where a recipe refuses the model or an optional device is absent; a test whose verdict is waived xfails.
        """
        try:
            return self._waived(judge())
        except EdgeworthyError as error:
            status = self._outcome(error)
            self._waived(Verdict(self.id, axis, status, "exact", error.message, error.hint))
            if status == "error":
                raise
            pytest.skip(f"{status}: {error.message}")

    def _outcome(self, error: EdgeworthyError) -> Status:
        if isinstance(error, RecipeRefused) and not self._bench.project.plan(self.id.model, self.id.variant).required:
            return "refused"
        return "absent" if is_excused(error) else "error"

    def _waived(self, verdict: Verdict) -> Verdict:
        """Record the verdict; where a waiver covers it, end the test as expected to fail (xfail)."""
        noted = self._note(self._gate.waivers.waive(verdict))
        if noted.status == "waived":
            pytest.xfail(noted.message)
        return noted

    def _note(self, verdict: Verdict) -> Verdict:
        self.verdicts.append(verdict)
        self._log.add(verdict)
        return verdict


class CellHandle(Handle):
    """One cell; each of its measurements is taken when first asked for, and then kept for the run."""

    @property
    def artifact(self) -> Artifact:
        """The variant's file. Raises VariantError or SourceError."""
        return self._bench.artifact(self.id.model, self.id.variant)

    @property
    def outputs(self) -> Outputs:
        """The cell's outputs for the evaluation samples. Raises EdgeworthyError."""
        return self._bench.outputs(self.id)

    @property
    def timing(self) -> Timing:
        """Raw latency samples, load times, memory, delegation evidence. Raises EdgeworthyError."""
        return self._bench.timing(self.id)

    def profile(self) -> pd.DataFrame:
        """The time of every op on the phone, one row each (see docs/devices.md). Measured anew each time.

        Raises ProfileUnavailable where the target cannot profile, and whatever else keeps the cell from being measured.
        """
        return self._bench.profile(self.id)

    def judge(self, axis: str) -> Verdict:
        """Measure what the axis (``accuracy``, ``latency`` or ``footprint``) needs and check it against the limits.

        ``regression`` measures everything and compares it with the cell's baseline instead.
        The verdict is true where the cell may ship. Skips the test where the recipe refuses the model and the model's
        entry does not require it. Raises EdgeworthyError where the cell cannot be measured, ValueError for another axis.
        """
        judges = {
            "accuracy": self._accuracy,
            "latency": self._latency,
            "footprint": self._footprint,
            "regression": self._regression,
        }
        if axis not in judges:
            raise ValueError(f"no axis {axis!r}; there are: {', '.join(judges)}")
        return self._judged(axis, judges[axis])

    def replay(self, benchmark: BenchmarkFixture) -> None:
        """Feed the raw samples through pytest-benchmark's fixture; the test's mark gives it ``device_clock`` as timer."""
        from edgeworthy.pytest_plugin.device_clock import device_clock

        timing = self.timing
        benchmark.group = self.id.model
        benchmark.extra_info.update(
            model=self.id.model, variant=self.id.variant, target=self.id.target, statistic=timing.statistic
        )
        benchmark.pedantic(device_clock.replay(timing.samples_ns), rounds=len(timing.samples_ns))

    def _accuracy(self) -> Verdict:
        project, (model, variant, _) = self._bench.project, self.id
        verdict = judge_accuracy(self.id, self.outputs.values, self._bench.truth(model), self.limits)
        is_reference = variant == project.models.models[model].reference
        return fit_hint(verdict, project.plan(model, variant).recipe, is_reference=is_reference)

    def _latency(self) -> Verdict:
        return judge_latency(self.id, self.timing, self.limits)

    def _footprint(self) -> Verdict:
        return judge_footprint(self.id, self.artifact, self.timing, self.limits)

    def _regression(self) -> Verdict:
        return self._gate.judge(self._bench, self.id)


class PairHandle(Handle):
    """A cell, and the ``first`` target's cell that runs the same artifact."""

    def __init__(
        self,
        item: pytest.Item,
        bench: Bench,
        gate: Gate,
        log: VerdictLog,
        cell: CellId,
        first: CellId,
        overrides: dict[str, float],
    ) -> None:
        super().__init__(item, bench, gate, log, cell, overrides)
        self.first = first

    def judge(self) -> Verdict:
        """Whether the two targets give the same predictions. Skips and raises as CellHandle.judge does."""
        return self._judged("consistency", self._consistency)

    def _consistency(self) -> Verdict:
        values = self._bench.outputs(self.id).values
        truth = self._bench.truth(self.id.model)
        first = self._bench.outputs(self.first).values
        return judge_consistency(self.id, values, self.first, first, self.limits, truth)
