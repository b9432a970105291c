"""The search: cheapest first, each candidate only as far as it keeps its budgets, within a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from edgeworthy.cells import CellId
from edgeworthy.diagnosis.diagnose import Diagnostician, with_float
from edgeworthy.errors import EdgeworthyError
from edgeworthy.judging import axes
from edgeworthy.measurements.bench import Bench
from edgeworthy.measurements.project import Project
from edgeworthy.metrics import FIDELITY, Quality, quality_of
from edgeworthy.records import Artifact, Estimate, Verdict
from edgeworthy.runs.journal import Journal
from edgeworthy.runtimes import Runtime
from edgeworthy.storage import Store, digest, writing
from edgeworthy.truth import Truth
from edgeworthy.tuning.candidates import Candidate, mixed_variants, other_recipes, own_variants, present
from edgeworthy.tuning.choice import Tried
from edgeworthy.verdicts.limits import checks_of

Made = TypeVar("Made")
Progress = Callable[[str], None]


class OutOfTime(Exception):
    """The time limit is reached."""


class Clock:
    """The time that is left; reporting progress raises OutOfTime where none is, so that also a converting child ends."""

    def __init__(self, seconds: float, progress: Progress) -> None:
        self._until = time.monotonic() + seconds
        self._progress = progress

    @property
    def left_s(self) -> float:
        """Seconds. Raises OutOfTime where there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise OutOfTime
        return left

    def check(self) -> None:
        """Raise OutOfTime where no time is left."""
        _ = self.left_s

    def report(self, text: str) -> None:
        """Report progress with the time that is left. Raises OutOfTime."""
        self._progress(f"{text} ({self.left_s:.0f} s left)")


class Search:
    """Tries variants of ``model`` on ``target``; ``tried`` is what is known so far.

    ``judged_by`` is what the model is judged by, None until its reference has run.
    Where the time was ``over`` before the end, ``untried`` is what was left of the candidates at hand.
    """

    def __init__(self, project: Project, store: Store, model: str, target: str, clock: Clock) -> None:
        self.project = project
        self.store = store
        self.model = model
        self.target = target
        self.clock = clock
        self.tried: list[Tried] = []
        self.untried: list[Candidate] = []
        self.over = False
        self.judged_by: Quality | None = None

    def run(self) -> None:
        """Search until everything is tried or the time is over. Raises EdgeworthyError where no candidate can be judged."""
        runtimes = self._runtimes()
        try:
            self._try_all(own_variants(self.project, self.model, runtimes))
            there = self._present(runtimes)
            self._try_all(other_recipes(self.project, self.model, there, trained=False))
            for runtime in there:
                self._try_all(self._mixed(runtime))
            self._try_all(other_recipes(self.project, self.model, there, trained=True))
        except OutOfTime:
            self.over = True

    def _runtimes(self) -> Sequence[Runtime]:
        backend = self.project.backend(self.target)
        return [runtime for runtime in self.project.runtimes.values() if not backend.why_not(runtime)]

    def _present(self, runtimes: Sequence[Runtime]) -> Sequence[Runtime]:
        """Those whose recipes are tried although no variant names them; what is left out is reported."""
        found = present(runtimes)
        for runtime in (each for each in runtimes if each not in found):
            reason = runtime.why_not_here() or f"it is not installed ({runtime.how_to_install()})"
            self.clock.report(f"no recipes of {runtime} are tried: {reason}")
        return found

    def _try_all(self, candidates: Sequence[Candidate]) -> None:
        """Try some; what all of them lack is converted together, for a converter takes seconds to start."""
        self.untried = list(candidates)
        if not candidates:
            return
        project = self.project.with_variants(self.model, {one.name: one.variant for one in candidates})
        bench = self._bench(project, [self._cell(one.name) for one in candidates])
        try:
            judged_by = self.judged_by = _judged_by(self._in_time(lambda: bench.truth(self.model)))
            for candidate in candidates:
                self.clock.report(f"trying {candidate.name}, {len(self.untried)} to go")
                self.tried.append(self._judged(bench, candidate, judged_by))
                self.untried.remove(candidate)
        finally:
            bench.close()

    def _in_time(self, work: Callable[[], Made]) -> Made:
        """The result of ``work``; raises OutOfTime where the time limit ended it."""
        try:
            return work()
        except EdgeworthyError:
            self.clock.check()
            raise

    def _judged(self, bench: Bench, candidate: Candidate, judged_by: Quality) -> Tried:
        try:
            return self._in_time(_Trial(bench, self._cell(candidate.name), candidate, judged_by).run)
        except EdgeworthyError as error:
            return Tried(candidate, against=error.message)

    def _mixed(self, runtime: Runtime) -> list[Candidate]:
        """Mixed variants, from a look into the fully quantized one that was made."""
        made = {one.candidate.recipe: one.candidate for one in self.tried if one.size_kb is not None}
        base = next((made[recipe] for recipe in runtime.quantized if recipe in made), None)
        if base is None or runtime.mixed is None:
            return []
        project = self.project.with_variants(self.model, {base.name: base.variant})
        project, floats = with_float(project, self._cell(base.name))
        bench = self._bench(project, [self._cell(base.name), floats])
        try:
            traced = self._in_time(lambda: Diagnostician(bench).traced(self._cell(base.name), floats))
        except EdgeworthyError as error:
            self.clock.report(f"no mixed variants from {base.name}: {error.message}")
            return []
        finally:
            bench.close()
        return mixed_variants(self.project, self.model, runtime.mixed, traced)

    def _cell(self, variant: str) -> CellId:
        return CellId(self.model, variant, self.target)

    def _bench(self, project: Project, cells: Sequence[CellId]) -> Bench:
        """A bench whose measurements stay in the store, so that the next search finds them."""
        return Bench(project.hurried(self.clock.left_s), self.store, Journal(self._folder()), cells, self.clock.report)

    def _folder(self) -> Path:
        key = digest(["tuning", str(self.project.base), self.model, self.target])
        folder = self.store.root / "tuning" / key
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder


class _Trial:
    """One candidate: its size, predictions and latency; the first broken budget skips the rest."""

    def __init__(self, bench: Bench, cell: CellId, candidate: Candidate, judged_by: Quality) -> None:
        self.bench = bench
        self.judged_by = judged_by
        self.cell = cell
        self.candidate = candidate
        self.limits = bench.project.limits(cell)
        self.known: dict[str, float | None] = {}

    def run(self) -> Tried:
        """Raises EdgeworthyError where it cannot be made or measured."""
        artifact = self.bench.artifact(self.cell.model, self.cell.variant)
        self.known["size_kb"] = artifact.size_bytes / 1e3
        against = self._too_large(artifact) or self._inaccurate() or self._slow()
        return Tried(self.candidate, against=against, **self.known)

    def _too_large(self, artifact: Artifact) -> str:
        sizes = {"size_kb": Estimate(artifact.size_bytes / 1e3), "gzip_kb": Estimate(artifact.gzip_bytes / 1e3)}
        return next((check.message() for check in checks_of(sizes, self.limits) if not check.passed), "")

    def _inaccurate(self) -> str:
        verdict, judged_by = axes.accuracy(self.bench, self.cell, self.limits), self.judged_by
        self.known.update(quality=verdict.metrics.get(judged_by.metric), lost=verdict.metrics.get(judged_by.lost))
        return _broken(verdict)

    def _slow(self) -> str:
        """Of a target that is timed; of another one its sizes alone are left."""
        if not self.bench.timed(self.cell):
            return _broken(axes.footprint(self.bench, self.cell, self.limits))
        latency = axes.latency(self.bench, self.cell, self.limits)
        self.known["p50_ms"] = latency.metrics.get("p50_ms")
        untimed = "" if self.known["p50_ms"] is not None else "the device's tool reports no median"
        return _broken(latency) or _broken(axes.footprint(self.bench, self.cell, self.limits)) or untimed


def _judged_by(truth: Truth) -> Quality:
    """What the model is judged by: where its labels say nothing, the error against the reference."""
    return quality_of(FIDELITY if truth.by_fidelity else truth.metric, higher_is_better=truth.higher_is_better)


def _broken(verdict: Verdict) -> str:
    return "" if verdict else verdict.message
