"""What every target can do, and the job it is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.config import LatencyPlan
from harness.records import Artifact, Outputs, Timing


@dataclass(frozen=True)
class Job:
    """An artifact to run on samples: ``inputs`` is a .npy file of float32 NHWC."""

    artifact: Artifact
    inputs: Path
    timeout_s: float


class Target(Protocol):
    """A device with one backend.

    Both runs raise a TargetError when the artifact cannot be run there. Whoever asks for one holds the device's lock.
    """

    name: str
    device: str
    runtimes: frozenset[str]

    def outputs(self, job: Job) -> Outputs:
        """Every sample's dequantized output."""

    def timing(self, job: Job, plan: LatencyPlan) -> Timing:
        """How long loading and single inferences take; nothing else of edgegate runs on the device meanwhile."""

    def limits(self, runtime: str) -> dict[str, float]:
        """Limits that the backend itself sets for artifacts of this runtime; budgets override them."""

    def identity(self) -> dict[str, str]:
        """What makes numbers of this target comparable: hardware, system, backend options."""

    def close(self) -> None:
        """Let go of the device."""
