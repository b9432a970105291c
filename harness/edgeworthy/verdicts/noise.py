"""A target's own noise: how often equal artifacts look slower, and the smallest slowdown that is detected.

Both are measured with the test that judges regressions, at a tolerance of nothing: an artifact against itself, and
then against itself with work added to each inference. The study is kept below ``results/noise/`` and holds for one
fingerprint of the target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeworthy.errors import ConfigError, StoreError
from edgeworthy.measurements.interleaved import Enough
from edgeworthy.records import PairedTiming
from edgeworthy.statistics.sequential import decided, slowdown
from edgeworthy.storage import read_json, write_json, writing

FORMAT_VERSION = 1
#: Slowdowns that are seeded, in percent.
LADDER = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 35.0, 60.0, 100.0)
#: A slowdown is visible where at least this share of the trials finds it.
VISIBLE_SHARE = 0.9

#: Times an artifact interleaved with itself, with this much work (ns) added to one side, until enough is known.
TimeInterleaved = Callable[[int, Enough], PairedTiming]


class ModelNoise(BaseModel):
    """One model's reference artifact on the target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    p50_us: float = Field(gt=0, description="median time of one inference")
    trials: int = Field(gt=0, description="comparisons of each kind")
    false_alarms: int = Field(ge=0, description="comparisons of equal artifacts that found a slowdown")
    smallest_percent: float | None = Field(
        description="the smallest slowdown that is visible; None: not even a doubling"
    )
    rounds: int = Field(gt=0, description="rounds of a comparison, median")


class Noise(BaseModel):
    """A target's noise: the worst of its models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    target: str
    fingerprint: dict[str, str]
    models: dict[str, ModelNoise] = Field(min_length=1)

    @property
    def smallest_percent(self) -> float:
        """The smallest slowdown that is visible for every model; infinite where one hides even a doubling."""
        return max(float("inf") if m.smallest_percent is None else m.smallest_percent for m in self.models.values())

    @property
    def false_alarm_percent(self) -> float:
        """Comparisons of equal artifacts that found a slowdown, in percent."""
        trials = sum(model.trials for model in self.models.values())
        return 100.0 * sum(model.false_alarms for model in self.models.values()) / trials

    def message(self) -> str:
        """What a report says of the target."""
        rounds = max(model.rounds for model in self.models.values())
        trials = sum(model.trials for model in self.models.values())
        return (
            f"{self.target}: a slowdown under {self.smallest_percent:g} % is not visible here with {rounds} rounds; "
            f"{self.false_alarm_percent:.1f} % of {trials} comparisons of equal artifacts found one"
        )


@dataclass(frozen=True)
class Study:
    """A study of one artifact: ``trials`` comparisons of each kind."""

    time_interleaved: TimeInterleaved
    trials: int
    progress: Callable[[str], None]

    def run(self) -> ModelNoise:
        """Equal artifacts first; then slowdowns, from the middle of the ladder up or down to the smallest visible one."""
        equal = [self._trial(0) for _ in range(self.trials)]
        p50_ns = float(np.median([np.median(timing.baseline_ns) for timing in equal]))
        alarms = sum(slowdown(timing, 0).regressed for timing in equal)
        self.progress(f"{alarms} of {self.trials} comparisons of equal artifacts found a slowdown")
        return ModelNoise(
            p50_us=p50_ns / 1e3,
            trials=self.trials,
            false_alarms=alarms,
            smallest_percent=self._smallest(p50_ns),
            rounds=int(np.median([len(timing.baseline_ns) for timing in equal])),
        )

    def _smallest(self, p50_ns: float) -> float | None:
        position = LADDER.index(5.0)
        visible = self._visible(LADDER[position], p50_ns)
        step = -1 if visible else 1
        while 0 <= position + step < len(LADDER) and self._visible(LADDER[position + step], p50_ns) == visible:
            position += step
        if visible:
            return LADDER[position]
        return LADDER[position + 1] if position + 1 < len(LADDER) else None

    def _visible(self, percent: float, p50_ns: float) -> bool:
        injected_delay_ns = max(round(p50_ns * percent / 100), 1)
        found = sum(slowdown(self._trial(injected_delay_ns), 0).regressed for _ in range(self.trials))
        self.progress(f"a slowdown of {percent:g} % was found in {found} of {self.trials} comparisons")
        return found >= VISIBLE_SHARE * self.trials

    def _trial(self, injected_delay_ns: int) -> PairedTiming:
        return self.time_interleaved(injected_delay_ns, lambda ratios, look: decided(ratios, look, 0.0))


def noise_note(results: Path, target: str, identity: dict[str, str]) -> str:
    """What a report says of a target's noise. Raises StoreError."""
    noise = find_noise(results, target, identity)
    if noise is None:
        return f"{target}: the smallest visible slowdown is unknown; measure it: edgeworthy noise --target {target}"
    return noise.message()


def check_tolerance(results: Path, target: str, identity: dict[str, str], latency_percent: float) -> None:
    """Reject a tolerance below the target's noise. Raises ConfigError, or StoreError for an unreadable study."""
    noise = find_noise(results, target, identity)
    if noise is not None and latency_percent < noise.smallest_percent:
        raise ConfigError(
            f"regression.latency_percent is {latency_percent:g}, and on {target} a slowdown under "
            f"{noise.smallest_percent:g} % is not visible",
            hint=f"set it to {noise.smallest_percent:g} in models.yaml, or measure on a quieter device: "
            f"edgeworthy noise --target {target}",
        )


def noise_path(results: Path, target: str) -> Path:
    """Where a target's study is kept."""
    return results / "noise" / f"{target.replace(':', '@')}.json"


def save_noise(results: Path, noise: Noise) -> Path:
    """Keep a study; returns its file."""
    path = noise_path(results, noise.target)
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, noise.model_dump())
    return path


def find_noise(results: Path, target: str, identity: dict[str, str]) -> Noise | None:
    """The target's study, if there is one of the device as it now is. Raises StoreError where it is unreadable."""
    path = noise_path(results, target)
    if not path.is_file():
        return None
    try:
        noise = Noise.model_validate(read_json(path))
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        raise StoreError(f"{path}: {key}: {problem['msg']}", hint=f"edgeworthy noise --target {target}") from error
    if noise.version != FORMAT_VERSION:
        raise StoreError(
            f"{path}: format version {noise.version}, this edgeworthy reads {FORMAT_VERSION}",
            hint=f"edgeworthy noise --target {target}",
        )
    return noise if noise.fingerprint == identity else None
