"""Change points over raw history: quiet on noise, exact on steps, early on creeps, blind to outliers."""

from __future__ import annotations

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.history.database import Point
from edgeworthy.history.trend import Trend, judged_trend
from edgeworthy.statistics.change_points import FEWEST, PENALTY, SHORTEST, Changes, _costs, _stops, find_changes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ONE_PERCENT = float(np.log(1.01))
seeds = st.integers(0, 2**32 - 1)
#: The same examples every time: these are promises about chance, and an unchanged tree stays green.
quick = settings(max_examples=25, deadline=None, derandomize=True)


def changes(log_values: Floats) -> Changes:
    return find_changes(np.exp(log_values), smallest=0.01, relative=True)


def noise(seed: int, count: int, share: float = 0.01) -> Floats:
    return np.random.default_rng(seed).normal(0, share, count)


def creep(before: int, nights: int = 30) -> Floats:
    """Flat for ``before`` runs, then 1 % a night."""
    return np.concatenate([np.zeros(before), ONE_PERCENT * np.arange(1, nights + 1)])


def with_outliers(series: Floats, seed: int, every: int = 25) -> Floats:
    """Every so many runs, at random, another process had the core: 20 times slower, never twice in a row."""
    found = series.copy()
    random = np.random.default_rng(seed)
    for start in range(0, len(series) - every + 1, every):
        found[start + random.integers(0, every - 1)] += np.log(20)
    return found


def trend(values: Floats, metric: str = "p50_ms", fingerprints: str = "") -> Trend:
    marks = fingerprints or "f" * len(values)
    points = [
        Point(f"run{index:03}", f"2026-{index:05}", f"{index:010x}", False, marks[index], "pass", float(value))
        for index, value in enumerate(values)
    ]
    return judged_trend(CellId("cnn", "int8", "host:cpu"), metric, points)


@pytest.mark.parametrize("shape", ["normal", "laplace", "student", "skewed", "drifting", "outliers"])
def test_flat_series_are_quiet(shape: str):
    """Of 200 flat series of any length and kind of noise at most 2 % show a change."""
    random = np.random.default_rng(7)
    flagged = 0
    for number in range(200):
        count = int(random.integers(FEWEST, 120))
        series = random.normal(0, 0.02, count)
        if shape == "laplace":
            series = random.laplace(0, 0.02, count)
        elif shape == "student":
            series = random.standard_t(3, count) * 0.02
        elif shape == "skewed":
            series = random.exponential(0.02, count)
        elif shape == "drifting":
            for index in range(1, count):
                series[index] += 0.3 * series[index - 1]
        elif shape == "outliers":
            series = with_outliers(series, number)
        flagged += bool(changes(series).found)
    assert flagged <= 4


@quick
@given(seed=seeds, before=st.integers(12, 120))
def test_one_percent_a_night_is_found_and_its_beginning_named(seed: int, before: int):
    """Under every tolerance from night to night, over thirty nights; within three nights of where it began."""
    [found] = changes(creep(before) + noise(seed, before + 30)).found
    assert found.kind == "creep"
    assert abs(found.first - before) <= 3
    assert 1.25 < found.after / found.before < 1.45


@quick
@given(seed=seeds, share=st.sampled_from([0.001, 0.005, 0.01, 0.02]))
def test_history_that_is_one_slow_trend_is_found(seed: int, share: float):
    """There is no flat stretch to compare with: it began with the first run."""
    [found] = changes(creep(0) + noise(seed, 30, share)).found
    assert (found.kind, found.first, found.runs) == ("creep", 0, 30)


def test_trend_that_ends_is_one_change():
    """The plateau after it is neither a second regression nor an improvement."""
    series = np.concatenate([creep(30), np.full(30, 30 * ONE_PERCENT)]) + noise(3, 90)
    [found] = changes(series).found
    assert abs(found.first - 30) <= 3
    assert abs(found.runs - 30) <= 5


@quick
@given(seed=seeds, at=st.integers(20, 60), after=st.integers(3, 60), up=st.booleans())
def test_steps_are_found_at_their_run(seed: int, at: int, after: int, up: bool):
    """10 % at 0.5 % of noise: exactly there, from the third run on."""
    height = np.log(1.1) if up else -np.log(1.1)
    series = np.concatenate([np.zeros(at), np.full(after, height)]) + noise(seed, at + after, 0.005)
    [found] = changes(series).found
    assert (found.kind, found.first) == ("step", at)
    assert (found.after > found.before) == up


def firsts(series: np.ndarray) -> list[int]:
    """Where the changes that are found begin."""
    return [found.first for found in changes(series).found]


def test_outliers_are_ignored():
    """20-fold ones, the last run among them, neither raise an alarm nor hide a step or a creep: in 95 of 100 histories."""
    alarms = hidden_steps = hidden_creeps = 0
    for seed in range(100):
        flat = with_outliers(noise(seed, 75), seed)
        flat[-1] += np.log(20)
        alarms += bool(firsts(flat))
        step = np.concatenate([np.zeros(50), np.full(50, np.log(1.1))]) + noise(seed, 100)
        hidden_steps += not any(abs(first - 50) <= 1 for first in firsts(with_outliers(step, seed)))
        found = firsts(with_outliers(creep(45) + noise(seed, 75), seed))
        hidden_creeps += not any(abs(first - 45) <= 4 for first in found)
    assert max(alarms, hidden_steps, hidden_creeps) <= 5


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_unit_does_not_matter(scale: float):
    """Nanoseconds or hours."""
    values = np.exp(np.concatenate([np.zeros(20), np.full(20, np.log(1.1))]) + noise(1, 40))
    [found] = find_changes(values * scale, 0.01, relative=True).found
    assert found.first == 20


@given(st.lists(st.floats(1e-6, 1e6), max_size=60))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_series_is_judged(values: list[float]):
    """Whatever was measured, changes lie within it, in order."""
    if not values:
        return
    found = find_changes(np.array(values), 0.01, relative=True).found
    assert all(0 <= change.first < len(values) for change in found)
    assert [change.first for change in found] == sorted(change.first for change in found)


def test_exact_values_show_their_step():
    """A file's size has no noise."""
    [found] = find_changes(np.array([100.0] * 20 + [103.0] * 3), 0.01, relative=True).found
    assert (found.kind, found.first) == ("step", 20)
    assert find_changes(np.array([100.0] * 20 + [100.5] * 20), 0.01, relative=True).found == ()


@pytest.mark.parametrize(
    ("metric", "values", "status"),
    [
        ("p50_ms", [1.0, 1.1], "regressed"),
        ("p50_ms", [1.1, 1.0], "improved"),
        ("top1_percent", [99.0, 98.0], "regressed"),
        ("top1_percent", [98.0, 99.0], "improved"),
        ("drop_points", [0.0, 0.5], "regressed"),
        ("delegated_percent", [100.0, 0.0], "regressed"),
        ("size_kb", [100.0, 90.0], "improved"),
    ],
)
def test_direction_by_metric(metric: str, values: list[float], status: str):
    """Less time and more accuracy are better."""
    [found] = trend(np.repeat(values, 20), metric).findings
    assert found.status == status
    assert found.began.run == "run020"


def test_message_names_run_and_revision():
    """And by how much."""
    [found] = trend(np.repeat([1.0, 1.1], 20)).findings
    assert found.message() == (
        "p50 latency regressed: it stepped from 1.0000 to 1.1000 ms (+10.0 %), "
        "beginning with run run020 (revision 0000000014)"
    )


def test_undone_regression_is_reported_and_passes():
    """A regression stands until the metric is half way back."""
    undone = trend(np.repeat([1.0, 1.2, 1.0], 20))
    assert [found.status for found in undone.findings] == ["regressed, since undone", "improved"]
    assert undone.regressions() == []
    assert len(trend(np.repeat([1.0, 1.2, 1.15], 20)).regressions()) == 1


def test_since_ignores_earlier_changes():
    """What began before it, not what began with it."""
    found = trend(np.repeat([1.0, 1.2], 20))
    assert len(found.regressions(since="run020")) == 1
    assert found.regressions(since="run021") == []


def test_only_comparable_runs_are_judged():
    """Another device's runs are shown and said to be so; too few runs are not called quiet."""
    values = np.repeat([1.0, 1.5], 20)
    other = trend(values, fingerprints="a" * 20 + "b" * 20)
    assert other.findings == ()
    assert other.judged == tuple(range(20, 40))
    assert "20 comparable runs (20 more" in other.summary()
    assert f"takes {FEWEST} or more" in trend(values[:5]).summary()
    between = trend(np.where(np.arange(40) % 2, 1.0, 3.0), fingerprints="ab" * 20)
    assert between.findings == ()


@pytest.mark.parametrize("shape", ["flat", "step", "slope", "bend"])
def test_cuts_are_those_of_ruptures(shape: str):
    """The field's library, with the same cost and penalty, one candidate after the other."""
    ruptures = pytest.importorskip("ruptures", reason="cuts are not compared: install the extra dev")

    class Cost(ruptures.base.BaseCost):
        model, min_size = "line", SHORTEST

        def fit(self, signal: Floats) -> Cost:
            self.signal = signal
            return self

        def error(self, start: int, end: int) -> float:
            at, values = np.arange(end - start), self.signal[start:end]
            return float(np.sum((values - np.polyval(np.polyfit(at, values, 1), at)) ** 2))

    random = np.random.default_rng(3)
    for count in (8, 40, 90):
        series = random.normal(0, 1, count)
        series += {"flat": 0.0, "step": 8.0 * (np.arange(count) >= count // 2), "slope": 0.3 * np.arange(count),
                   "bend": 0.5 * np.maximum(np.arange(count) - count // 2, 0)}[shape]  # fmt: skip
        expected = ruptures.Pelt(custom_cost=Cost(), min_size=SHORTEST, jump=1).fit(series).predict(pen=PENALTY)
        assert _stops(_costs(series)) == expected
