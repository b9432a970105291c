"""Baselines: accepted measurements, one reviewable JSON file per model in ``results/baselines/``.

A file is untrusted input even where edgeworthy wrote it: people merge and edit it. An impossible value is rejected with
the file, the key and a hint, never ignored.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError, create_model, model_validator

from edgeworthy.cells import CellId
from edgeworthy.errors import StoreError
from edgeworthy.metrics import METRICS, QUALITIES
from edgeworthy.schema import Name, Percent, Positive, Strict, TargetName, number_within, plain_words
from edgeworthy.storage import write_json, writing
from edgeworthy.tasks.corpus import Corpus
from edgeworthy.tasks.own import OWN
from edgeworthy.tasks.table import TASKS
from edgeworthy.tasks.task import Evidence, Measure
from edgeworthy.verdicts.packing import Packed, PackedArray, unpack, unpack_array, unpack_floats
from edgeworthy.verdicts.snapshots import LATENCY_METRICS, LoadStatistic, Snapshot, over_all

FORMAT_VERSION = 1
FOLDER = Path("results/baselines")
#: Metrics are stored with so many significant digits.
DIGITS = 6
_AGAIN = "get the file back with 'git checkout', or remove it and accept a run with 'edgeworthy baseline accept'"

Checksum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1)]
Nanoseconds = Annotated[int, Field(gt=0, lt=10**15)]


class Stored(Strict):
    """A part of a baseline file: no value is converted from another type."""

    model_config = ConfigDict(strict=True)


class Acceptance(Stored):
    """Where a number comes from: the run, when it was accepted, at which revision, and why."""

    run: Text
    utc: Text
    git_revision: str | None = None
    reason: Text


class _Metrics(Stored):
    """A cell's numbers; the unit ends the name. Beside these one that its model is judged by."""

    size_kb: Positive
    gzip_kb: Positive
    p50_ms: Positive | None = None
    mean_ms: Positive | None = None
    load_ms: Positive | None = None
    peak_memory_mb: float | None = Field(None, ge=0)
    arena_kb: Positive | None = None
    flash_kb: Positive | None = None
    cpu_ops: float | None = Field(None, ge=0)
    delegated_percent: Percent | None = None

    @property
    def timed(self) -> bool:
        """Whether there is any number that only a timed target has."""
        return any(row.timed and getattr(self, name, None) is not None for name, row in METRICS.items())

    @property
    def quality(self) -> float | None:
        """What the model is judged by."""
        found = (getattr(self, name) for name in QUALITY_COLUMNS)
        return next((value for value in found if value is not None), None)


#: Columns of what a model may be judged by.
QUALITY_COLUMNS = (*(row.metric for row in QUALITIES.values()), "score", "loss")
if TYPE_CHECKING:
    Metrics = _Metrics
else:
    Metrics = create_model(
        "Metrics",
        __base__=_Metrics,
        __doc__=_Metrics.__doc__,
        **{name: (number_within(METRICS[name].limit) | None, None) for name in QUALITY_COLUMNS},
    )


class StoredCell(Stored):
    """An accepted cell. Of each load it has the median of its inferences, or the mean where no more is known.

    One of an emulated target, whose fingerprint names the emulator, has no times.
    """

    accepted: Acceptance
    artifact: Text
    source: Text | None = None
    fingerprint: dict[str, str] = Field(min_length=1)
    versions: dict[str, str]
    metrics: Metrics
    p50_loads_ns: list[Nanoseconds] | None = Field(None, min_length=1)
    mean_loads_ns: list[Nanoseconds] | None = Field(None, min_length=1)
    load_loads_ns: list[Nanoseconds] | None = Field(None, min_length=1)
    predictions: Packed | None = None
    correct: Packed | None = None
    scores: Packed | None = None
    evidence: dict[Text, PackedArray] | None = Field(None, min_length=1)
    samples: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _numbers_agree(self) -> StoredCell:
        """What is derived from other numbers of the cell must be what they give."""
        for name, (said, found) in {**self._per_sample(), **self._per_load()}.items():
            if not _equal(said, found):
                raise ValueError(f"{name} says {said}, but the stored samples give {significant(found)}")
        return self

    def _is_emulated(self) -> bool:
        return "emulator" in self.fingerprint

    def _per_load(self) -> dict[str, tuple[float | None, float]]:
        """The stored times, and what those of the loads give; an emulated cell has neither."""
        numbers = self.metrics
        if self._is_emulated():
            if self.p50_loads_ns or self.mean_loads_ns or self.load_loads_ns or numbers.timed:
                raise ValueError("it was emulated, and has no times and no memory of its own")
            return {}
        if self.load_loads_ns is None:
            raise ValueError("load_loads_ns is missing")
        statistic, loads_ns = self.latency_loads()
        metric = LATENCY_METRICS[statistic]
        return {
            metric: (getattr(numbers, metric), over_all(statistic, loads_ns) / 1e6),
            "load_ms": (numbers.load_ms, float(np.median(self.load_loads_ns)) / 1e6),
        }

    def _per_sample(self) -> dict[str, tuple[float | None, float]]:
        """The stored metric, and what its per-sample values give; of evidence the file's task says it."""
        if (self.evidence is None) != (self.samples is None):
            raise ValueError("'evidence' needs 'samples', and they it")
        if self.evidence is not None:
            if self.scores or self.predictions or self.correct:
                raise ValueError("'evidence' replaces 'scores', 'predictions' and 'correct'")
            return {}
        if self.scores is not None:
            scores = unpack_floats(self.scores)
            if scores.size == 0 or self.predictions or self.correct:
                raise ValueError("'scores' must not be empty, and replaces 'predictions' and 'correct'")
            return {"the metric": (self.metrics.quality, float(scores.mean(dtype=np.float64)))}
        if self.predictions is None or self.correct is None:
            raise ValueError("needs 'predictions' and 'correct', or 'scores'")
        predictions, correct = unpack(self.predictions), unpack(self.correct)
        if predictions.size != correct.size or predictions.size == 0 or not np.isin(correct, (0, 1)).all():
            raise ValueError("'correct' must say 0 or 1 for every one of 'predictions'")
        return {"top1_percent or top5_percent": (self.metrics.quality, 100.0 * float(correct.mean()))}

    def latency_loads(self) -> tuple[LoadStatistic, NDArray[np.int64]]:
        """Each load's latency in ns, and what of its inferences it is; of an emulated cell there are none.

        Raises ValueError unless one of both is there.
        """
        if self._is_emulated():
            return "median", np.zeros(0, np.int64)
        if (self.p50_loads_ns is None) == (self.mean_loads_ns is None):
            raise ValueError("give either p50_loads_ns or mean_loads_ns")
        if self.p50_loads_ns is not None:
            return "median", np.array(self.p50_loads_ns, np.int64)
        return "mean", np.array(self.mean_loads_ns, np.int64)


class BaselineFile(Stored):
    """``<model>.json``: cells by variant and target, and the dataset and metric that they share."""

    version: Literal[1]
    model: Name
    metric: Text
    higher_is_better: bool = True
    dataset: Checksum
    labels: Checksum
    task: dict[str, Any] = Field(default_factory=dict)
    cells: dict[Name, dict[TargetName, StoredCell]]

    @model_validator(mode="after")
    def _evidence_agrees(self) -> BaselineFile:
        """What is derived from a cell's evidence must be what it gives; a task of the user's own is not at hand."""
        kind = self.task.get("kind")
        if kind == OWN or not self.task:
            return self
        if kind not in TASKS:
            raise ValueError(f"unknown task {kind!r}")
        measure = TASKS[kind].model_validate(self.task).measure(self.metric)
        for stored in (cell for targets in self.cells.values() for cell in targets.values()):
            if stored.evidence is None or stored.samples is None:
                raise ValueError(f"a cell of task {kind} needs 'evidence'")
            found = _value(measure, unpacked(stored.evidence), stored.samples)
            if not _equal(stored.metrics.quality, found):
                raise ValueError(
                    f"the metric says {stored.metrics.quality}, but its evidence gives {significant(found)}"
                )
        return self

    def ids(self) -> list[CellId]:
        """The cells, in the order of the file."""
        return [CellId(self.model, variant, target) for variant, targets in self.cells.items() for target in targets]

    def snapshot(self, cell: CellId) -> Snapshot | None:
        """A cell's accepted numbers."""
        stored = self.cells.get(cell.variant, {}).get(cell.target)
        if stored is None:
            return None
        statistic, loads_ns = stored.latency_loads()
        return Snapshot(
            artifact=stored.artifact,
            source=stored.source or "",
            fingerprint=stored.fingerprint,
            dataset=self.dataset,
            labels=self.labels,
            metric=self.metric,
            metrics={name: value for name, value in stored.metrics.model_dump().items() if value is not None},
            statistic=statistic,
            latency_loads_ns=loads_ns,
            load_loads_ns=np.array(stored.load_loads_ns or [], np.int64),
            predictions=unpack(stored.predictions).astype(np.int64) if stored.predictions else None,
            correct=unpack(stored.correct).astype(bool) if stored.correct else None,
            scores=unpack_floats(stored.scores) if stored.scores else None,
            evidence=unpacked(stored.evidence) if stored.evidence else None,
            samples=stored.samples or 0,
            task=self.task,
            higher_is_better=self.higher_is_better,
        )


@dataclass(frozen=True)
class Baselines:
    """All files of a folder, or of a revision's folder; ``origin`` says in words which."""

    files: Mapping[str, BaselineFile]
    origin: str

    @classmethod
    def from_folder(cls, folder: Path) -> Baselines:
        """Read a folder; one that does not exist has no baseline. Raises StoreError."""
        with writing(folder):
            files = {str(path): path.read_bytes() for path in sorted(folder.glob("*.json"))}
        return cls(_by_model(files), str(folder))

    @classmethod
    def from_git(cls, root: Path, ref: str, folder: str) -> Baselines:
        """Read ``folder``, relative to ``root``, as revision ``ref`` has it. Raises StoreError."""
        commit = _git(root, ref, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").strip()
        tree = f"{commit.decode()}:./{folder}"
        names = _git(root, f"{ref}:{folder}", "ls-tree", "-z", "--name-only", tree).decode().split("\0")
        files = {
            f"{ref}:{folder}/{name}": _git(root, ref, "cat-file", "blob", f"{tree}/{name}")
            for name in names
            if name.endswith(".json")
        }
        return cls(_by_model(files), f"{ref}:{folder}")

    def cells(self) -> list[CellId]:
        """Every accepted cell."""
        return [cell for file in self.files.values() for cell in file.ids()]

    def find(self, cell: CellId) -> Snapshot | None:
        """A cell's accepted numbers, or None where it has no baseline."""
        file = self.files.get(cell.model)
        return file.snapshot(cell) if file else None


def parse(name: str, content: bytes) -> BaselineFile:
    """A baseline file's text as data. Raises StoreError naming file and key."""
    try:
        data = json.loads(content, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{name}: not a baseline ({error})", hint=_AGAIN) from error
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise StoreError(
            f"{name}: version: format {version} is newer than this edgeworthy reads ({FORMAT_VERSION})",
            hint="update edgeworthy",
        )
    try:
        file = BaselineFile.model_validate(data)
    except ValidationError as error:
        problem = error.errors()[0]
        keys = ".".join(str(key) for key in problem["loc"] if key != "[key]") or "the file"
        raise StoreError(f"{name}: {keys}: {plain_words(dict(problem))}", hint=_AGAIN) from error
    if file.model != Path(name).stem:
        raise StoreError(f"{name}: model: is {file.model!r}, but the file has another name", hint=_AGAIN)
    return file


def write(folder: Path, file: BaselineFile) -> Path:
    """Write a model's file, atomically: sorted keys, one value a line. Raises StoreError."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file.model}.json"
    write_json(path, file.model_dump(exclude_none=True))
    return path


def significant(value: float) -> float:
    """Rounded so that a file changes only where a number does."""
    return float(f"{value:.{DIGITS}g}")


def unpacked(evidence: Mapping[str, PackedArray]) -> dict[str, NDArray[Any]]:
    """The arrays of a cell's evidence. Raises ValueError where one is damaged."""
    return {name: unpack_array(array) for name, array in evidence.items()}


def _value(measure: Measure, evidence: Evidence, samples: int) -> float:
    try:
        return Corpus(measure, evidence, samples).value
    except Exception as error:  # arrays that somebody edited may be anything
        raise ValueError(f"the evidence is not what the task keeps of {samples} samples ({error})") from error


def _equal(said: float | None, found: float) -> bool:
    """Whether a stored number is what the samples give, up to its rounding."""
    return said is not None and math.isclose(said, found, rel_tol=10.0 ** (1 - DIGITS), abs_tol=1e-9)


def _by_model(files: Mapping[str, bytes]) -> dict[str, BaselineFile]:
    parsed = (parse(name, content) for name, content in files.items())
    return {file.model: file for file in parsed}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} appears twice")
        found[key] = value
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a finite number")


def _git(root: Path, what: str, *arguments: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or b""
        raise StoreError(
            f"no baselines at {what!r}: not a folder, and git finds no such revision {said.decode(errors='replace').strip()}",
            hint="name a folder of baselines, or a revision that has one; a shallow clone may lack it",
        ) from error
