"""Every regression has its word and its sentence, and noise has none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.config import Tolerances
from edgeworthy.records import Change, Estimate, Interleaved
from edgeworthy.runs.run_file import Scope
from edgeworthy.verdicts.compared_times import stored_ratio
from edgeworthy.verdicts.completeness import missing_cells, scope_in_words
from edgeworthy.verdicts.regression import compare, new_cell, regression_verdict
from edgeworthy.verdicts.sides import RED, Sides
from edgeworthy.verdicts.snapshots import Snapshot
from hypothesis import given
from hypothesis import strategies as st

CELL = CellId("cnn", "int8", "host:cpu")
SAMPLES = 800
PREDICTIONS = np.arange(SAMPLES) % 10
CORRECT = np.arange(SAMPLES) >= 40  # 95 %
FINGERPRINT = {"runtime": "litert 2.3.0", "threads": "1", "system": "Linux 6"}
METRICS = {
    "top1_percent": 95.0,
    "p50_ms": 0.1,
    "load_ms": 4.0,
    "peak_memory_mb": 9.0,
    "size_kb": 100.0,
    "gzip_kb": 80.0,
    "delegated_percent": 100.0,
}
BEFORE = Snapshot(
    artifact="a" * 64,
    fingerprint=FINGERPRINT,
    dataset="d" * 64,
    labels="e" * 64,
    metric="top1",
    metrics=METRICS,
    statistic="median",
    latency_loads_ns=np.arange(95, 106) * 1000,
    load_loads_ns=np.arange(38, 49) * 100_000,
    predictions=PREDICTIONS,
    correct=CORRECT,
)


def after(**changes: object) -> Snapshot:
    """Another artifact, otherwise as the baseline but for ``changes``; ``metrics`` are merged."""
    metrics = {**METRICS, **changes.pop("metrics", {})}  # type: ignore[dict-item]
    return dataclasses.replace(BEFORE, **{"artifact": "b" * 64, **changes, "metrics": metrics})  # type: ignore[arg-type]


def compared(candidate: Snapshot, before: Snapshot = BEFORE, **keywords: object) -> dict[str, Change]:
    tolerances = keywords.pop("tolerances", Tolerances())
    changes = compare(Sides(CELL, before, candidate, tolerances, "results/r1", **keywords))  # type: ignore[arg-type]
    return {change.metric: change for change in changes}


def slower(times: float) -> Snapshot:
    loads = (BEFORE.latency_loads_ns * times).astype(np.int64)
    return after(latency_loads_ns=loads, metrics={"p50_ms": float(np.median(loads)) / 1e6})


def test_means_are_compared_with_means_only():
    """Where the tool tells means, latency is called that; a baseline of medians is not comparable with it."""
    means = {"statistic": "mean", "metrics": {"mean_ms": 0.1}}
    before = dataclasses.replace(BEFORE, statistic="mean", metrics={**METRICS, "mean_ms": 0.1})
    twice = after(statistic="mean", latency_loads_ns=BEFORE.latency_loads_ns * 2, metrics={"mean_ms": 0.2})
    change = compared(twice, before)["latency"]
    assert (change.status, change.before, change.after) == ("regressed", 0.1, 0.2)
    assert change.message.startswith("mean latency 0.1000 ms -> 0.2000 ms: +100.0")
    unlike = compared(after(**means))["latency"]
    assert unlike.status == "not comparable"
    assert "the baseline has medians, the run means" in unlike.message


def wrong_instead(lost: int, won: int) -> Snapshot:
    """The first ``won`` wrong samples become right, the last ``lost`` right ones wrong."""
    correct, predictions = CORRECT.copy(), PREDICTIONS.copy()
    correct[:won] = True
    predictions[:won] += 100
    if lost:
        correct[-lost:] = False
        predictions[-lost:] += 100
    return after(correct=correct, predictions=predictions)


def test_agreement_fails_only_beyond_its_interval_and_says_what_changed():
    """Slightly other weights: a little over the limit is inconclusive, far over it fails; the source is named."""
    before = dataclasses.replace(BEFORE, source="old")
    near = dataclasses.replace(wrong_instead(12, 0), source="new")
    limit = 100 * 12 / SAMPLES - 0.1
    loose = Tolerances(agreement_points=limit, accuracy_points=50)
    change = compared(near, before, tolerances=loose)["agreement"]
    assert (change.status, change.evidence) == ("unchanged", "inconclusive")
    assert "the model's source changed (its weights or code)" in change.message
    far = dataclasses.replace(wrong_instead(SAMPLES // 4, 0), source="old")
    change = compared(far, before, tolerances=loose)["agreement"]
    assert (change.status, change.evidence) == ("regressed", "conclusive")
    assert "regression.agreement_points in models.yaml allows more" in change.message
    assert "its source did not (recipe, calibration or tools)" in change.message


def test_equal_artifact_is_unchanged_however_noisy():
    """The same artifact on the same device in the same way: times differ by noise alone."""
    noisy = dataclasses.replace(slower(1.5), artifact=BEFORE.artifact)
    changes = compared(noisy)
    assert {change.status for change in changes.values()} == {"unchanged"}
    assert "same artifact" in changes["latency"].message
    assert list(changes) == ["accuracy", "agreement", "latency", "load", "memory", "size", "gzip", "delegated"]


def test_equal_artifact_far_slower_fails():
    """Three times as long as when it was accepted is no noise: the device is not what it was."""
    changes = compared(dataclasses.replace(slower(3), artifact=BEFORE.artifact))
    assert changes["latency"].status == "regressed"
    assert "3.0x (2.9 to 3.1) as long as when it was accepted" in changes["latency"].message


def test_equal_artifact_slower_by_less_than_the_floor_is_unchanged():
    """Of a model of some microseconds, other work on the machine can take several times as many."""
    thrice = dataclasses.replace(slower(3), artifact=BEFORE.artifact)
    slower_us = 1e3 * (thrice.metrics["p50_ms"] - METRICS["p50_ms"])
    under, over = (Tolerances(latency_floor_us=slower_us + apart) for apart in (1, -1))
    assert compared(thrice, tolerances=under)["latency"].status == "unchanged"
    assert compared(thrice, tolerances=over)["latency"].status == "regressed"


def test_equal_artifact_whose_loads_disagree_is_not_surely_slower():
    """A few loads on a disturbed machine move the median beyond twice; the others show that it is not the device."""
    loads = BEFORE.latency_loads_ns * np.where(np.arange(BEFORE.latency_loads_ns.size) % 2, 1, 4)
    median_ms = 2.5 * METRICS["p50_ms"]
    disturbed = after(artifact=BEFORE.artifact, latency_loads_ns=loads, metrics={"p50_ms": median_ms})
    change = compared(disturbed)["latency"]
    assert (change.status, change.evidence) == ("unchanged", "inconclusive")
    assert change.message.endswith("as long as when it was accepted: noise may explain it")


def test_less_delegated_equal_artifact_is_judged_by_its_times():
    """An artifact that no longer runs where it ran is not excused by being the same one."""
    fallen = dataclasses.replace(slower(3), artifact=BEFORE.artifact)
    fallen = dataclasses.replace(fallen, metrics={**fallen.metrics, "delegated_percent": 0.0})
    changes = compared(fallen)
    assert changes["latency"].status == changes["delegated"].status == "regressed"
    assert "100.0 % -> 0.0 %" in changes["delegated"].message


@pytest.mark.parametrize(
    ("candidate", "metric", "said"),
    [
        (slower(1.5), "latency", "0.1000 ms -> 0.1500 ms: +50.0"),
        (wrong_instead(lost=20, won=0), "accuracy", "95.00 -> 92.50 % on the same 800 samples: 2.50 ("),
        (wrong_instead(lost=20, won=20), "agreement", "other samples are wrong at the same average"),
        (after(metrics={"size_kb": 103.0}), "size", "100.0 KB -> 103.0 KB: 3.0 % larger"),
        (after(metrics={"gzip_kb": 85.0}), "gzip", "6.2 % larger"),
        (after(metrics={"peak_memory_mb": 12.0}), "memory", "9.00 MB -> 12.00 MB: 33.3 % more"),
        (after(metrics={"delegated_percent": 60.0}), "delegated", "100.0 % -> 60.0 %"),
        (after(load_loads_ns=BEFORE.load_loads_ns * 2, metrics={"load_ms": 8.6}), "load", "+100.0"),
    ],
    ids=["slower", "less-accurate", "others-wrong", "larger", "larger-gzip", "more-memory", "less-delegated", "load"],
)
def test_seeded_regression_fails_with_its_message(candidate: Snapshot, metric: str, said: str):
    """The word is 'regressed', the sentence has both numbers and the tolerance, the next step the accept command."""
    changes = compared(candidate)
    change = changes.pop(metric)
    assert (change.status, said in change.message) == ("regressed", True), change
    assert "allowed" in change.message
    assert 'edgeworthy baseline accept results/r1 --model cnn --variant int8 --target host:cpu --reason "..."' in (
        change.hint
    )
    others = {other.metric for other in changes.values() if other.status != "unchanged"}
    assert others <= ({"agreement"} if metric == "accuracy" else set())
    verdict = regression_verdict(CELL, [change, *changes.values()])
    assert not verdict
    assert change.message in verdict.message


def test_what_a_microcontroller_needs_is_compared():
    """More memory or flash than the size may grow by fails, and so does one more operator for the processor."""
    needs = {"arena_kb": 50.0, "flash_kb": 90.0, "cpu_ops": 2.0}
    before = dataclasses.replace(BEFORE, metrics={**METRICS, **needs})

    def held(**now: float) -> dict[str, Change]:
        candidate = dataclasses.replace(before, metrics={**before.metrics, **now})
        found = compare(Sides(CELL, before, candidate, Tolerances(), "results/r1"))
        return {change.metric: change for change in found if change.status != "unchanged"}

    assert not held(arena_kb=50.4, flash_kb=90.4)
    found = held(arena_kb=55.0, flash_kb=80.0, cpu_ops=3.0)
    assert {name: change.status for name, change in found.items()} == {
        "arena": "regressed", "flash": "improved", "cpu_ops": "regressed"
    }  # fmt: skip
    assert "tensor arena 50.0 KB -> 55.0 KB: 10.0 % more, at most 1 % and 0.5 KB allowed" in found["arena"].message
    assert "operators left to the processor 2 -> 3: 50.0 % more, at most 0 % allowed" in found["cpu_ops"].message


def test_other_samples_wrong_at_the_same_average_leave_the_accuracy_unchanged():
    """The average hides it; the agreement does not."""
    changes = compared(wrong_instead(lost=20, won=20))
    assert changes["accuracy"].status == "unchanged"
    assert changes["accuracy"].before == changes["accuracy"].after == 95.0


def test_newly_correct_samples_are_no_disagreement():
    """An improvement does not fail."""
    changes = compared(wrong_instead(lost=0, won=40))
    assert (changes["accuracy"].status, changes["agreement"].status) == ("improved", "unchanged")
    assert regression_verdict(CELL, list(changes.values()))


@pytest.mark.parametrize(("lost", "won", "evidence"), [(18, 10, "inconclusive"), (8, 0, "conclusive")])
def test_accuracy_is_as_conclusive_as_its_paired_interval(lost: int, won: int, evidence: str):
    """A drop of 1.0 point on 800 samples is over the tolerance; its interval says how sure that is."""
    change = compared(wrong_instead(lost, won))["accuracy"]
    assert (change.status, change.evidence) == ("regressed", evidence)


@pytest.mark.parametrize("times", [1.02, 1.05, 1.20])
def test_stored_slowdown_within_the_session_noise_is_no_regression(times: float):
    """Between sessions equal artifacts differ so much; the interval is widened by it, and the sentence says so."""
    change = compared(slower(times))["latency"]
    assert change.status == "unchanged"
    assert "20 % allowed for what differs between sessions" in change.message


def test_slowdown_below_the_floor_is_ignored():
    """Twice as slow, and 0.1 us more."""
    quick = dataclasses.replace(BEFORE, metrics={**METRICS, "p50_ms": 1e-4}, latency_loads_ns=np.full(10, 100))
    candidate = after(metrics={"p50_ms": 2e-4}, latency_loads_ns=np.full(10, 200))
    change = compared(candidate, quick)["latency"]
    assert (change.status, "floor" in change.message) == ("unchanged", True)
    assert compared(candidate, quick, tolerances=Tolerances(latency_floor_us=0.05))["latency"].status == "regressed"


@pytest.mark.parametrize(
    ("ratio", "status"),
    [
        (Estimate(1.05, 1.04, 1.06), "regressed"),
        (Estimate(1.05, 0.99, 1.11), "unchanged"),
        (Estimate(1.02, 1.01, 1.03), "unchanged"),
        (Estimate(0.90, 0.89, 0.91), "improved"),
    ],
)
def test_interleaved_times_outweigh_stored_ones(ratio: Estimate, status: str):
    """Also stored ones that would say the opposite, and those of another device."""
    turn = Interleaved(ratio, "conclusive", 24, 3.0)
    for candidate in (slower(2), slower(0.5), after(fingerprint={**FINGERPRINT, "system": "Linux 7"})):
        change = compared(candidate, interleaved=turn)["latency"]
        assert (change.status, change.evidence) == (status, "conclusive")
        assert "24 interleaved A/B rounds" in change.message


def test_changed_fingerprint_is_not_comparable_and_says_what_changed():
    """Times and memory are not compared; predictions and sizes are."""
    changed = {"runtime": "litert 2.4.0", "threads": "2", "governor": "powersave", "system": "Linux 6"}
    changes = compared(after(fingerprint=changed))
    words = {metric: change.status for metric, change in changes.items()}
    assert [metric for metric, status in words.items() if status == "not comparable"] == ["latency", "load", "memory"]
    said = changes["latency"].message
    assert "governor was 'not known', is 'powersave'" in said
    assert "runtime was 'litert 2.3.0', is 'litert 2.4.0'" in said
    assert "threads was '1', is '2'" in said
    assert not regression_verdict(CELL, list(changes.values()))


def test_other_samples_are_not_comparable():
    """Accuracy on another dataset, by another metric or on another number of samples says nothing."""
    others = compared(after(dataset="f" * 64))
    assert [change.metric for change in others.values() if change.status == "not comparable"] == [
        "accuracy",
        "agreement",
    ]
    assert "dataset dddddddddddd -> ffffffffffff; the labels are the same" in others["accuracy"].message
    assert "metric was top1, is top5" in compared(after(metric="top5"))["accuracy"].message
    fewer = after(correct=CORRECT[:10], predictions=PREDICTIONS[:10])
    assert compared(fewer)["accuracy"].status == "not comparable"


def test_metric_that_only_one_side_has_fails():
    """A delegate that stopped giving evidence is missing, one that began to is new."""
    silent = dataclasses.replace(after(), metrics={k: v for k, v in METRICS.items() if k != "delegated_percent"})
    assert compared(silent)["delegated"].status == "missing"
    assert compared(after(), silent)["delegated"].status == "new"
    unmeasured = dataclasses.replace(after(), predictions=None, correct=None)
    assert compared(unmeasured)["accuracy"].status == "missing"


def test_few_loads_are_not_comparable():
    """Two loads have no interval: no evidence against noise is never a pass."""
    two = after(latency_loads_ns=np.array([1, 2]) * 10**5)
    assert compared(two)["latency"].status == "not comparable"


def test_new_cell_fails_and_prints_the_command():
    """A missing baseline fails."""
    change = new_cell(CELL, "results/r1")
    verdict = regression_verdict(CELL, [change])
    assert change.status in RED
    assert not verdict
    assert verdict.hint.endswith(
        'edgeworthy baseline accept results/r1 --model cnn --variant int8 --target host:cpu --reason "..."'
    )


def test_missing_cells_are_those_of_the_scope():
    """A partial run speaks of its part, and says so; a device without any cell is named."""
    gpu = CellId("cnn", "int8", "phone:gpu")
    other = CellId("net", "fp32", "host:cpu")
    accepted = [CELL, gpu, other]
    everything = missing_cells(accepted, [CELL], Scope(), "results/r1")
    assert [change.cell for change in everything] == [gpu, other]
    assert "none on phone:gpu at all: the device is offline" in everything[0].message
    assert "--removed" in everything[0].hint
    part = Scope(models=["cnn"], left_out=[gpu])
    assert missing_cells(accepted, [CELL], part, "r") == []
    assert [part.selects(cell) for cell in accepted] == [True, False, False]
    assert "--edge-model cnn" in scope_in_words(part, accepted)
    assert "2 accepted cells were not compared" in scope_in_words(part, accepted)
    assert scope_in_words(Scope(), accepted) == ""


LOADS = st.lists(st.integers(10**3, 10**9), min_size=3, max_size=12).map(np.array)


@given(LOADS, LOADS, st.floats(0, 50))
def test_stored_ratio_holds_its_point_and_turns_around(before: np.ndarray, now: np.ndarray, between: float):
    """The interval holds the ratio, is wider by the allowance, and the two sides change places."""
    ratio = stored_ratio(before, now, between)
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low <= ratio.value * (1 + 1e-9)
    assert ratio.high >= ratio.value * (1 - 1e-9)
    assert ratio.low <= ratio.value / (1 + between / 100) * (1 + 1e-9)
    turned = stored_ratio(now, before, between)
    assert turned.value == pytest.approx(1 / ratio.value)
    assert turned.low == pytest.approx(1 / ratio.high)


def test_equal_artifacts_between_quiet_sessions_raise_no_alarm():
    """200 comparisons of 10 loads a side that differ by 5 % as loads do and by 4 % as sessions do: none is regressed."""
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        base, now = (
            (1e5 * np.exp(random.normal(0, 0.04) + random.normal(0, 0.05, 10))).astype(np.int64) for _ in range(2)
        )
        before = dataclasses.replace(
            BEFORE, latency_loads_ns=base, metrics={**METRICS, "p50_ms": np.median(base) / 1e6}
        )
        candidate = after(latency_loads_ns=now, metrics={"p50_ms": np.median(now) / 1e6})
        alarms += compared(candidate, before)["latency"].status == "regressed"
    assert alarms <= 4
