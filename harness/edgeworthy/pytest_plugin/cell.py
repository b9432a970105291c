"""Fixture objects: one cell, or a pair of cells that share an artifact."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import pytest

from edgeworthy.cells import CellId
from edgeworthy.errors import EdgeworthyError
from edgeworthy.judging.gate import Gate
from edgeworthy.judging.judge import Judge, Judged
from edgeworthy.measurements.bench import Bench
from edgeworthy.records import Artifact, Outputs, Timing, Verdict
from edgeworthy.runs.verdict_log import VerdictLog

if TYPE_CHECKING:
    import pandas as pd


class BenchmarkFixture(Protocol):
    """The part of pytest-benchmark's fixture that is used here."""

    group: str | None
    extra_info: dict[str, object]

    def pedantic(self, target: Callable[[], None], *, rounds: int) -> object:
        """Call ``target`` ``rounds`` times and time it with the fixture's timer."""


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
        return self._judge.limits(self.id)

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

    @property
    def _judge(self) -> Judge:
        return Judge(self._bench, self._gate, self._overrides)

    def _outcome(self, judged: Judged) -> Verdict:
        """The verdict, noted; skips where there is nothing to judge, and ends a waived test as expected to fail (xfail).

        Raises the error that kept the cell from being judged.
        """
        verdict = self._note(judged.verdict)
        if verdict.status == "waived":
            pytest.xfail(verdict.message)
        if verdict.status in ("refused", "absent", "emulated"):
            pytest.skip(f"{verdict.status}: {verdict.message}")
        if judged.error is not None:
            raise judged.error
        return verdict

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
        """Raw latency samples, load times, memory, delegation evidence. Raises EdgeworthyError.

        Skips the test where the target is emulated.
        """
        if not self._bench.timed(self.id):
            self.judge("latency")
        return self._bench.timing(self.id)

    def profile(self) -> pd.DataFrame:
        """The time of every op, one row each (see docs/devices.md). Measured anew each time.

        Raises ProfileUnavailable where the target cannot profile, and whatever else keeps the cell from being measured.
        """
        return self._bench.profile(self.id)

    def judge(self, axis: str) -> Verdict:
        """Measure what the axis (``accuracy``, ``latency`` or ``footprint``) needs and check it against the limits.

        ``regression`` measures everything and compares it with the cell's baseline instead.
        The verdict is true where the cell may ship. Skips the test where the recipe refuses the model and the model's
        entry does not require it. Raises EdgeworthyError where the cell cannot be measured, ValueError for another axis.
        """
        return self._outcome(self._judge.judge(axis, self.id))

    def replay(self, benchmark: BenchmarkFixture) -> None:
        """Feed the raw samples through pytest-benchmark's fixture; the test's mark gives it ``device_clock`` as timer."""
        from edgeworthy.pytest_plugin.device_clock import device_clock

        timing = self.timing
        benchmark.group = self.id.model
        benchmark.extra_info.update(
            model=self.id.model, variant=self.id.variant, target=self.id.target, statistic=timing.statistic
        )
        benchmark.pedantic(device_clock.replay(timing.samples_ns), rounds=len(timing.samples_ns))


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
        return self._outcome(self._judge.consistency(self.id, self.first))
