"""The result that newer builds of benchmark_model write to a file, beside what they print.

It is a ``BenchmarkResult`` of ``tflite/tools/benchmark/proto/benchmark_result.proto``, which the sources of TensorFlow and
LiteRT have had since 2025; times are milliseconds in float32, memory is KB of 1,024 bytes. It tells the mean and the memory
more exactly than six printed digits do; whatever both tell must agree.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from edgeworthy.errors import ResultUnreadable, ToolUnusable
from edgeworthy.targets.android.transcript import PRINTED, Transcript

_PACKAGE, _ROOT = "tflite.tools.benchmark", "BenchmarkResult"
#: Number and type of each field that is read; protobuf passes over the others.
_SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    "LatencyMetrics": {
        "avg_ms": (1, "FLOAT"),
        "median_ms": (5, "FLOAT"),
        "p95_ms": (7, "FLOAT"),
        "init_ms": (8, "FLOAT"),
        "first_inference_ms": (9, "FLOAT"),
    },
    "MemoryMetrics": {"overall_footprint_kb": (2, "INT64")},
    "MiscMetrics": {"num_runs": (2, "INT32")},
    _ROOT: {
        "latency_metrics": (2, "LatencyMetrics"),
        "memory_metrics": (3, "MemoryMetrics"),
        "misc_metrics": (4, "MiscMetrics"),
    },
}


@dataclasses.dataclass(frozen=True)
class Result:
    """What the file tells of the timed inferences of one process; what it does not report is None."""

    runs: float | None
    mean_us: float | None
    median_us: float | None
    p95_us: float | None
    init_us: float | None
    first_us: float | None
    memory_growth_bytes: float | None


def with_results(said: Sequence[Transcript], files: Sequence[bytes], tell: Callable[[str], None]) -> list[Transcript]:
    """What each process printed, and what its file adds; a file that cannot be read is reported, and the print is used.

    Raises ToolUnusable where the two contradict each other.
    """
    found, why = [], ""
    for printed, raw in zip(said, files, strict=True):
        try:
            found.append(with_result(printed, parse_result(raw)))
        except ResultUnreadable as error:
            found.append(printed)
            why = error.message
    if why:
        tell(f"{why}; what it printed counts")
    return found


def parse_result(raw: bytes) -> Result:
    """Read the file of one process. Raises ResultUnreadable."""
    from google.protobuf.message import DecodeError  # an extra

    if not raw:
        raise ResultUnreadable(
            "benchmark_model wrote no result, though it was asked to",
            hint="use a benchmark_model that writes result files, or an older one that does not offer them",
        )
    try:
        found = _message().FromString(raw)
    except DecodeError as error:
        raise ResultUnreadable(
            f"benchmark_model's file of results cannot be read ({error})",
            hint="run the cell again; if it stays, use another benchmark_model",
        ) from error
    latency, memory = found.latency_metrics, found.memory_metrics
    return Result(
        runs=_number(found.misc_metrics, "num_runs"),
        mean_us=_number(latency, "avg_ms", 1000),
        median_us=_number(latency, "median_ms", 1000),
        p95_us=_number(latency, "p95_ms", 1000),
        init_us=_number(latency, "init_ms", 1000),
        first_us=_number(latency, "first_inference_ms", 1000),
        memory_growth_bytes=_number(memory, "overall_footprint_kb", 1024),
    )


def with_result(said: Transcript, result: Result) -> Transcript:
    """The transcript with what the file tells more exactly, or alone. Raises ToolUnusable where they contradict each other."""
    run, warmup = said.run, said.warmup
    if run is None or warmup is None:
        return said
    both = {
        "runs": (result.runs, run.count),
        "mean": (result.mean_us, run.mean_us),
        "median": (result.median_us, run.median_us),
        "95th percentile": (result.p95_us, run.p95_us),
        "init": (result.init_us, said.init_us),
        "first inference": (result.first_us, warmup.first_us),
        "memory": (result.memory_growth_bytes, said.memory_growth_bytes),
    }
    for name, (written, printed) in both.items():
        if written is not None and printed is not None and not math.isclose(written, printed, rel_tol=PRINTED):
            raise ToolUnusable(
                f"benchmark_model wrote a result that contradicts what it printed: {name} {written:g}, not {printed:g}",
                hint="run it again; a build that does so each time is no build to measure with",
            )
    exact = dataclasses.replace(
        run,
        mean_us=run.mean_us if result.mean_us is None else result.mean_us,
        median_us=_first(run.median_us, result.median_us),
        p95_us=_first(run.p95_us, result.p95_us),
    )
    return dataclasses.replace(
        said, run=exact, memory_growth_bytes=_first(result.memory_growth_bytes, said.memory_growth_bytes)
    )


def _first(*numbers: float | None) -> int | None:
    """The first number there is, whole."""
    return next((round(number) for number in numbers if number is not None), None)


def _number(message: Any, name: str, unit: float = 1) -> float | None:
    """A field in another unit; None where it is not set, or is no amount."""
    value = getattr(message, name) * unit
    return value if message.HasField(name) and math.isfinite(value) and value >= 0 else None


@functools.cache
def _message() -> Any:
    """The class of the file's message, of a pool of its own: another schema of that name may be loaded too."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="benchmark_result.proto", package=_PACKAGE, syntax="proto2")
    for message, fields in _SCHEMA.items():
        made = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            typed = {"type_name": f".{_PACKAGE}.{kind}"} if kind in _SCHEMA else {}
            type_ = field.Type.Value(f"TYPE_{'MESSAGE' if typed else kind}")
            made.field.add(name=name, number=number, type=type_, label=field.LABEL_OPTIONAL, **typed)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{_ROOT}"))
