"""What every target can do, and the job it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeworthy.config import LatencyPlan
from edgeworthy.datasets.samples import Samples
from edgeworthy.records import Artifact, Outputs, Timing
from edgeworthy.runtimes import Runtime

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Job:
    """An artifact to run on samples, given in NHWC whatever the artifact's layout is.

    With a ``random_seed`` the model may be random: its runtime's generator is seeded, and differing outputs are no error.
    Of samples of different sizes ``sizes`` (samples, axes) are those of each sample's outputs, one after the other, as the
    reference has them: a tool that writes nothing but their bytes is read by these.
    """

    artifact: Artifact
    inputs: Samples
    timeout_s: float
    random_seed: int | None = None
    sizes: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Side:
    """One of two artifacts of an interleaved A/B timing; ``injected_delay_ns`` of work is added to each inference."""

    artifact: Artifact
    injected_delay_ns: int = 0


@dataclass(frozen=True)
class InterleavedBlock:
    """Interleaved A/B timing of two artifacts: median nanoseconds of reloads, shape (2, rounds), and the device meanwhile."""

    medians_ns: NDArray[np.int64]
    during: dict[str, float]


class Identified(Protocol):
    """What a fingerprint is made of."""

    def identity(self) -> dict[str, str]:
        """What makes numbers of this target comparable: hardware, system, backend options."""

    def governor(self) -> str:
        """What sets the processor's clock; ``unknown`` or empty where that is not said."""

    def version_of(self, runtime: Runtime) -> str:
        """The runtime's name and its version there."""


def fingerprint(target: Identified, runtime: Runtime) -> dict[str, str]:
    """What must be equal for two of the target's numbers to be compared. Raises DeviceError."""
    return {**target.identity(), "governor": target.governor(), "runtime": target.version_of(runtime)}


class Target(Identified, Protocol):
    """A device with one backend.

    Both runs raise a TargetError when the artifact cannot be run there. Whoever asks for one holds the device's lock.
    """

    name: str
    device: str

    def outputs(self, job: Job) -> Outputs:
        """Every sample's dequantized output."""

    def timing(self, job: Job, plan: LatencyPlan) -> Timing:
        """How long loading and single inferences take; nothing else of edgeworthy runs on the device meanwhile."""

    def interleaved(
        self, baseline: Side, candidate: Side, inputs: Samples, rounds: int, timeout_s: float
    ) -> InterleavedBlock:
        """Interleaved reloads of the two; both artifacts share a runtime."""

    def profile(self, job: Job) -> pd.DataFrame:
        """The time of every op, in the order in which they run. Raises ProfileUnavailable where the target tells none."""

    def state(self) -> dict[str, float]:
        """What the device says of itself now, as far as it does: readings by name.

        ``load_1min``, ``cpu_mhz``, ``temperature_c`` (a phone's skin, a board's hottest sensor), ``battery_percent``,
        ``screen_on`` (0, 1), ``throttled`` (0, 1: now), ``throttled_since_boot`` (a number that changes where it
        throttled in between).
        """

    def close(self) -> None:
        """Let go of the device."""
