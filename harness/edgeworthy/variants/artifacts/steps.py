"""What a model's children have to make: exports and artifacts, each in a process of its framework."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from edgeworthy.config import CANARY
from edgeworthy.source_schema import FixedSource
from edgeworthy.storage import Store
from edgeworthy.variants.artifacts.frameworks import OPENED_BY, Framework, framework_of
from edgeworthy.variants.artifacts.keys import ArtifactKeys, VariantPlan


@dataclass(eq=False)
class Step:
    """One thing to make: the plan's artifact, or with ``export`` the handover that it and others begin with.

    ``folder`` is the store's, for an export that was made; ``failure`` is why it was not.
    """

    plan: VariantPlan
    key: str
    framework: Framework | None
    needs: Step | None = None
    export: bool = False
    folder: Path | None = None
    failure: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def trains(self) -> bool:
        """Whether it comes after what does not."""
        return self.plan.recipe.trained

    @property
    def place(self) -> int:
        """Its place among those that want a process: what trains is last, but for what others wait for, and these."""
        if not self.trains:
            return 0
        return 1 if self.export or self.needs else 2

    @property
    def training(self) -> str | None:
        """What the step's own process trains, equal for steps that stay together; None where it is trained already."""
        recipe = self.plan.recipe
        if not recipe.trained or self.needs:
            return None
        first = next(iter(recipe.preparations), None)
        return first.call(self.plan.options[first.name]) if first else recipe.name

    @property
    def suffix(self) -> str:
        """Of the file that the child writes; an export is a folder."""
        return "" if self.export else self.plan.recipe.runtime.suffix

    def end(self, failure: Exception | None = None) -> None:
        """Let those that need it go on; what has ended stays as it is."""
        if not self.done.is_set():
            self.failure = failure
            self.done.set()

    def work(self, keys: ArtifactKeys, out: Path) -> dict[str, Any]:
        """The piece of a child's job, see :mod:`edgeworthy.variants.artifacts.child`."""
        recipe = self.plan.recipe
        calibration = None if self.export else keys.calibration(self.plan)
        return {
            "recipe": None if self.export and not recipe.preparations else self.plan.given,
            "options": dict(self.plan.given_options),
            "canary": self.plan.variant == CANARY,
            "calibration": calibration.to_json() if calibration else None,
            "calibration_count": keys.calibration_count(self.plan) if calibration else None,
            "training": {array: keys.split_reference(array) for array in keys.training(self.plan)},
            "handover": str(self.needs.folder) if self.needs else None,
            "prepared": self.needs is not None and bool(recipe.preparations),
            "export": self.export,
            "out": str(out),
        }


def steps_of(plans: Sequence[VariantPlan], keys: ArtifactKeys, source: FixedSource, store: Store) -> list[Step]:
    """The steps to the plans' artifacts, an export before those that need it."""
    exports: dict[str, Step] = {}
    steps = []
    for plan in plans:
        kind = keys.kind_of(plan)
        own = OPENED_BY[kind]
        framework = framework_of(plan.recipe, keys.student(plan) or source, kind)
        needs = None
        if own not in (None, framework):
            key = keys.export(plan)
            needs = exports.setdefault(key, Step(plan, key, own, export=True, folder=store.find("exports", key)))
            if needs.folder:
                needs.end()
        steps.append(Step(plan, keys.artifact(plan), framework, needs))
    return [*(export for export in exports.values() if not export.folder), *steps]


def shares(steps: Sequence[Step], count: int) -> list[list[Step]]:
    """The steps for at most ``count`` processes; those that share a training stay together."""
    trainings: dict[str | None, list[Step]] = {}
    for step in steps:
        trainings.setdefault(step.training, []).append(step)
    together = list(trainings.values())
    return [list(chain(*together[place::count])) for place in range(min(count, len(together)))]
