"""Artifacts by content: find them in the store, or have the missing ones of a model made in child processes."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from edgeworthy.datasets.prepared import PreparedDataset
from edgeworthy.errors import ConfigError, ConversionCrashed, EdgeworthyError, RecipeRefused
from edgeworthy.model_schema import Model
from edgeworthy.records import Artifact
from edgeworthy.source_schema import FixedSource, OwnRuntime
from edgeworthy.storage import Store, read_json, write_json
from edgeworthy.variants.artifacts.child_process import Children
from edgeworthy.variants.artifacts.frameworks import Framework
from edgeworthy.variants.artifacts.keys import ArtifactKeys, VariantPlan
from edgeworthy.variants.artifacts.slots import Slots
from edgeworthy.variants.artifacts.source_children import SourceChildren, reported
from edgeworthy.variants.artifacts.steps import Step, shares, steps_of
from edgeworthy.variants.recipes.parts import Recipe

Progress = Callable[[str], None]
#: How often one who waits for an artifact looks for progress to show, and for what another process has made.
POLL_S = 0.2
#: What a child says of an artifact that it made, and the store keeps.
DESCRIBED = ("layout", "inputs", "outputs", "state")


@dataclass
class ArtifactMaker:
    """Makes the planned variants of one model, all that are missing together, and remembers which ones failed.

    It works in threads of its own, so that a variant can be measured while the others are converted. ``slots`` bounds how many
    children there are; ``rank`` is the model's place among those that want one. ``on_miss`` is called when something has to be
    made, ``on_wait`` again and again while ``artifact`` waits.
    """

    store: Store
    base: Path
    name: str
    model: Model
    dataset: PreparedDataset
    plans: Sequence[VariantPlan]
    recipe_files: Sequence[Path]
    own_runtimes: Mapping[str, OwnRuntime]
    processes: Children
    progress: Progress
    slots: Slots
    rank: int = 0
    on_miss: Callable[[], None] = lambda: None
    on_wait: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        """Nothing is made before it is asked for."""
        self.keys = ArtifactKeys(self.store, self.base, self.name, self.model.fixed_source, self.dataset)
        #: As the keys, with the samples that children are given: of sequences their single steps.
        self._made_from = self.keys
        self._failures: dict[str, Exception] = {}
        self._settled: set[str] = set()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closed = threading.Event()
        self.children = SourceChildren(
            self.store, self.keys, self.processes, self.slots, self.rank, self._closed, self.progress
        )
        self._failed_views: list[dict[str, Any]] = []
        self._counted = 0
        self._missing = 0

    def artifact(self, plan: VariantPlan) -> Artifact:
        """The planned variant's artifact, made now if the store lacks it.

        Raises RecipeRefused, ConversionCrashed, ConfigError where an option cannot be met, or SourceError when the
        model's source is unusable.
        """
        key, variant = self.keys.artifact(plan), plan.variant
        found = self.stored(key, plan.recipe)
        if found is None and variant not in self._failures:
            self.start()
            self.on_miss()
            while self._works_on(variant) and self.store.find("artifacts", key) is None:
                self.on_wait()
            self.on_wait()
            found = self.stored(key, plan.recipe)
        if found is None:
            raise self._failures.get(variant) or ConversionCrashed(
                f"the run ended before {variant} was converted", hint="run again"
            )
        return found

    def start(self) -> None:
        """Begin to make what is missing, unless that is going on; threads that ask at once begin it once."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._settled.clear()
                thread = threading.Thread(target=self._run, name=f"edgeworthy convert {self.name}", daemon=True)
                thread.start()
                self._thread = thread

    def close(self) -> None:
        """End what is going on; nothing is made any more."""
        self._closed.set()
        if self._thread:
            self._thread.join(timeout=5)

    def _works_on(self, variant: str) -> bool:
        """Whether the variant is still to be made, after a moment."""
        thread = self._thread
        if thread is None or variant in self._settled:
            return False
        thread.join(timeout=POLL_S)
        return thread.is_alive() and variant not in self._settled

    def _is_missing(self, plan: VariantPlan) -> bool:
        try:
            return plan.variant not in self._failures and self.store.find("artifacts", self.keys.artifact(plan)) is None
        except (RecipeRefused, ConfigError):  # raised when this variant itself is requested
            return False

    def stored(self, key: str, recipe: Recipe) -> Artifact | None:
        """The artifact of that key which ``recipe`` once made, if the store still has it. Raises RecipeRefused."""
        folder = self.store.find("artifacts", key)
        if folder is None:
            return None
        facts = read_json(folder / "artifact.json")
        if "refused" in facts:
            raise RecipeRefused(facts["refused"], hint=facts["hint"])
        if facts["runtime"] != recipe.runtime.name:  # a user's recipe that now has another runtime
            return None
        return Artifact(
            key=key,
            path=folder / f"artifact{recipe.runtime.suffix}",
            recipe=recipe.name,
            runtime=recipe.runtime,
            layout=facts["layout"],
            size_bytes=facts["size_bytes"],
            gzip_bytes=facts["gzip_bytes"],
            source=self.keys.source_key,
            inputs=facts["inputs"],
            outputs=tuple(facts["outputs"]),
            state=facts.get("state", {}),  # an older version's artifact of a baseline has none
        )

    # -- making -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Make what is missing, and note for every variant whatever prevents that."""
        try:
            with self.store.lock(self.keys.source_key):
                self._make([plan for plan in self.plans if self._is_missing(plan)])
        except Exception as error:
            for variant in {plan.variant for plan in self.plans} - self._settled:
                self._failures[variant] = error

    def _make(self, plans: list[VariantPlan]) -> None:
        if not plans:
            return
        self._counted, self._missing = 0, len(plans)
        source = self.children.ready_source()
        self._made_from = replace(self.keys, dataset=self.children.samples(source))
        steps = steps_of(plans, self.keys, source, self.store)
        frameworks = dict.fromkeys(step.framework for step in steps)
        _side_by_side(partial(self._make_by, framework, source, steps) for framework in frameworks)

    def _make_by(self, framework: Framework | None, source: FixedSource, steps: list[Step]) -> None:
        """The steps of one framework: first those that do not train, then the others, in several children."""
        own = [step for step in steps if step.framework == framework]
        self._make_in_turn(framework, source, [step for step in own if not step.trains])
        trained = shares([step for step in own if step.trains], self.slots.count)
        threads = self.slots.count // max(1, len(trained))
        _side_by_side(partial(self._make_in_turn, framework, source, share, threads) for share in trained)

    def _make_in_turn(
        self, framework: Framework | None, source: FixedSource, steps: list[Step], threads: int | None = None
    ) -> None:
        """Make the steps that can begin, in one child as long as none dies; every step has ended afterwards."""
        try:
            ready = [step for step in steps if self._can_begin(step)]
            if ready:
                with self.slots.held((ready[0].place, self.rank)):
                    while ready and not self._closed.is_set():
                        ready = self._convert(framework, source, ready, threads)
        except Exception as error:
            for step in steps:
                self._end(step, error)
        finally:
            for step in steps:
                self._end(step, ConversionCrashed("the run ended before it was converted", hint="run again"))

    def _can_begin(self, step: Step) -> bool:
        """Whether what the step needs was made, once that is known; where it was not, the step fails likewise."""
        if step.needs is None:
            return True
        step.needs.done.wait()
        if step.needs.failure is None:
            return True
        self._end(step, step.needs.failure)
        return False

    def _convert(
        self, framework: Framework | None, source: FixedSource, steps: list[Step], threads: int | None
    ) -> list[Step]:
        """Run one child over ``steps``; returns those that are left because it died."""
        current = 0
        views: list[dict[str, Any]] = []
        with self.store.scratch() as folder:
            outs = [folder / f"{index}{step.suffix}" for index, step in enumerate(steps)]
            job = self._job(framework, source, steps, outs, threads)
            try:
                for event in self.processes.events(job, self._closed):
                    current = event.get("index", current)
                    if event["event"] == "view":
                        views.append(event) if event["begins"] else views.pop()
                    else:
                        self._take(event, steps, outs)
            except ConversionCrashed as error:
                if views:
                    self._failed_views.append(
                        {"handover": views[-1]["handover"], "view": views[-1]["name"], "message": error.message}
                        | {"hint": error.hint, "log_tail": error.log_tail}
                    )
                self._end(steps[current], error)
                return [step for step in steps[current + 1 :] if not self._shares_hang(step, steps[current], error)]
        return []

    def _shares_hang(self, step: Step, hung: Step, error: ConversionCrashed) -> bool:
        """Whether the step fails because one of the same recipe hung: a hang is waited for once."""
        same = error.timed_out and step.plan.recipe.name == hung.plan.recipe.name
        if same:
            self._end(step, error)
        return same

    def _job(
        self, framework: Framework | None, source: FixedSource, steps: list[Step], outs: list[Path], threads: int | None
    ) -> dict[str, Any]:
        for step, out in zip(steps, outs, strict=True):
            if step.export:
                out.mkdir()
        return {
            "action": "convert",
            "framework": framework,
            "threads": threads,
            "source": source.model_dump(),
            "base_dir": str(self.keys.base),
            "samples": self._made_from.dataset.samples("evaluation").to_json(),
            "classes": self.dataset.classes,
            "recipe_files": [str(path) for path in self.recipe_files],
            "runtimes": {name: entry.model_dump(by_alias=True) for name, entry in self.own_runtimes.items()},
            "failed_views": self._failed_views,
            "work": [step.work(self._made_from, out) for step, out in zip(steps, outs, strict=True)],
        }

    def _take(self, event: dict[str, Any], steps: list[Step], outs: list[Path]) -> None:
        """Act on one event of the child."""
        if event["event"] == "progress":
            self.progress(f"{self.name}: {event['text']}")
        elif event["event"] == "started":
            self._announce(steps[event["index"]])
        elif event["event"] == "made":
            self._keep(steps[event["index"]], outs[event["index"]], event)
        elif event["event"] in ("refused", "failed"):
            self._end(steps[event["index"]], reported(event))

    def _announce(self, step: Step) -> None:
        if step.export:
            self.progress(
                f"exporting {self.name}{f' for {step.plan.variant}' if step.plan.recipe.preparations else ''}"
            )
        else:
            self._counted += 1
            self.progress(f"converting {self.name}: {step.plan.variant} ({self._counted}/{self._missing})")

    def _keep(self, step: Step, made: Path, event: dict[str, Any]) -> None:
        if step.export:
            with self.store.create("exports", step.key) as folder:
                for file in made.iterdir():
                    file.rename(folder / file.name)
            step.folder = self.store.root / "exports" / step.key
        else:
            self._keep_artifact(step, made, {name: event[name] for name in DESCRIBED})
        self._end(step)

    def _keep_artifact(self, step: Step, made: Path, described: dict[str, Any]) -> None:
        content, recipe = made.read_bytes(), step.plan.recipe
        with self.store.create("artifacts", step.key) as folder:
            made.rename(folder / f"artifact{recipe.runtime.suffix}")
            facts = {
                **described,
                "runtime": recipe.runtime.name,
                "size_bytes": len(content),
                "gzip_bytes": len(gzip.compress(content, mtime=0)),
                "made_from": {"model": self.name, "recipe": recipe.name, "options": dict(step.plan.shown_options)},
            }
            write_json(folder / "artifact.json", facts)

    def _end(self, step: Step, failure: Exception | None = None) -> None:
        """Note what became of the step; a refusal is kept in the store, as an artifact is."""
        if step.done.is_set():
            return
        if not step.export:
            try:
                self._keep_refusal(step, failure)
            except EdgeworthyError as error:
                failure = error
            if failure and not isinstance(failure, RecipeRefused):
                self._failures[step.plan.variant] = failure
            self._settled.add(step.plan.variant)
        step.end(failure)

    def _keep_refusal(self, step: Step, failure: Exception | None) -> None:
        if isinstance(failure, RecipeRefused):
            with self.store.create("artifacts", step.key) as folder:
                write_json(folder / "artifact.json", {"refused": failure.message, "hint": failure.hint})


def _side_by_side(calls: Iterable[Callable[[], None]]) -> None:
    """Make the calls, each in a thread, and wait for all of them."""
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
