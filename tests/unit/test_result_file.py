"""The file of results of newer builds: read right or not at all, and held against what the same process printed."""

from __future__ import annotations

import dataclasses
import math

import pytest
from edgeworthy.errors import ResultUnreadable, ToolUnusable
from edgeworthy.targets.android.result_file import Result, parse_result, with_result, with_results
from edgeworthy.targets.android.transcript import Transcript, parse
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.benchmark_model import field, number, result, statistics

TIMES = [195121, 140990, 141253, 187533, 140071, 140545, 141001]
WARMUP = [235158, 200386, 199462]


def printed(times: list[int] = TIMES, percentiles: bool = True) -> Transcript:
    """What the process of the file printed."""
    lines = [statistics(one) if percentiles else statistics(one).partition(" p5")[0] for one in (WARMUP, times)]
    means = [number(sum(one) / len(one)) for one in (WARMUP, times)]
    end = f"Init: 92318, First inference: {WARMUP[0]}, Warmup (avg): {means[0]}, Inference (avg): {means[1]}"
    memory = "Memory footprint delta from the start of the tool (MB): init=54.2852 overall=73.4102"
    return parse("\n".join([*lines, f"Inference timings in us: {end}", memory, ""]))


def written(times: list[int] = TIMES) -> bytes:
    return result(92318, WARMUP, times, (55588 / 1024, 75172 / 1024), 2.5)


def test_every_number_is_read_in_its_unit() -> None:
    """Milliseconds in float32 as microseconds, KB as bytes; fields that are not known are passed over."""
    found = parse_result(written() + field(15, b"a field of another year"))
    assert dataclasses.asdict(found) == pytest.approx(
        {
            "runs": 7, "mean_us": sum(TIMES) / 7, "median_us": 141001, "p95_us": 195121, "init_us": 92318,
            "first_us": 235158, "memory_growth_bytes": 75172 * 1024,
        },
        rel=1e-6,
    )  # fmt: skip


def test_file_has_more_digits_and_metrics_than_the_print() -> None:
    """The mean beyond six digits, memory in whole KB, and percentiles where the build prints none."""
    found = with_result(printed(percentiles=False), parse_result(written()))
    assert found.run is not None
    assert abs(found.run.mean_us - sum(TIMES) / 7) < 0.02 < abs(printed().run.mean_us - sum(TIMES) / 7)  # type: ignore[union-attr]
    assert (found.run.median_us, found.run.p95_us) == (141001, 195121)
    assert found.memory_growth_bytes == 75172 * 1024


@pytest.mark.parametrize("name", [each.name for each in dataclasses.fields(Result)])
def test_a_file_of_another_process_is_an_error(name: str) -> None:
    """Whatever of it differs from the print by more than the print's rounding is named with both numbers."""
    whole = parse_result(written())
    other = dataclasses.replace(whole, **{name: getattr(whole, name) * 1.1})
    with pytest.raises(ToolUnusable, match=r"contradicts what it printed: .* \S+, not \S+\nHint: "):
        with_result(printed(), other)


def test_missing_or_damaged_file_is_reported_once_and_the_print_is_used() -> None:
    """Of three processes one left no file and one half of one: told in one sentence, and no number is lost."""
    told: list[str] = []
    found = with_results([printed()] * 3, [b"", written(), written()[:30]], told.append)
    assert [told[0].split(" (")[0], len(told)] == ["benchmark_model's file of results cannot be read", 1]
    assert told[0].endswith("; what it printed counts")
    assert found[0] == found[2] == printed()
    assert found[1].run != printed().run


def sound(found: Result) -> bool:
    return all(value is None or (math.isfinite(value) and value >= 0) for value in dataclasses.astuple(found))


@pytest.mark.parametrize("end", range(len(written()) + 1))
def test_every_truncation_is_read_right_or_not_at_all(end: int) -> None:
    """Cut after any byte: unreadable, or fewer numbers, never other ones."""
    whole = parse_result(written())
    try:
        part = parse_result(written()[:end])
    except ResultUnreadable:
        return
    assert all(
        one in (None, all_) for one, all_ in zip(dataclasses.astuple(part), dataclasses.astuple(whole), strict=True)
    )


@settings(deadline=None)
@given(st.binary() | st.tuples(st.integers(0, len(written())), st.binary(max_size=8)).map(lambda at: damaged(*at)))
def test_reader_survives_any_bytes(raw: bytes) -> None:
    """Garbage and damage are unreadable, or amounts; and against the print they agree or are an error."""
    try:
        found = parse_result(raw)
    except ResultUnreadable:
        return
    assert sound(found)
    try:
        run = with_result(printed(), found).run
    except ToolUnusable:
        return
    assert run is not None
    assert math.isclose(run.mean_us, sum(TIMES) / 7, rel_tol=2e-5)


def damaged(at: int, with_bytes: bytes) -> bytes:
    whole = written()
    return whole[:at] + with_bytes + whole[at + len(with_bytes) :]


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=30))
def test_print_and_file_of_any_times_agree(times: list[int]) -> None:
    """Six digits, whole microseconds and float32 are roundings of the same numbers."""
    found = with_result(printed(times), parse_result(written(times)))
    assert found.run is not None
    assert math.isclose(found.run.mean_us, sum(times) / len(times), rel_tol=1e-6)
    assert found.run.median_us == printed(times).run.median_us  # type: ignore[union-attr]
