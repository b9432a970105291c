"""Metrics beside accuracy, judged in pairs; classes one by one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.errors import SourceError
from edgeworthy.statistics.paired_scores import PairedScores, mean_with_interval
from edgeworthy.truth import Truth
from edgeworthy.verdicts import fidelity, scoring
from edgeworthy.verdicts.accuracy import judge_accuracy
from edgeworthy.verdicts.consistency import judge_consistency
from edgeworthy.verdicts.packing import pack_floats, unpack_floats
from edgeworthy.verdicts.per_class import per_class
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

UNHURRIED = settings(deadline=None)

CELL = CellId("model", "int8", "host:cpu")
SCORES = hnp.arrays(np.float64, st.integers(2, 50), elements=st.floats(-1e3, 1e3))


@UNHURRIED
@given(SCORES, st.integers(0, 2**32 - 1), st.booleans())
def test_paired_difference_is_scipys_paired_t_test(reference: np.ndarray, seed: int, higher: bool) -> None:
    """Mean, interval and p-value are those of scipy.stats.ttest_rel; which way is worse follows the metric."""
    candidate = reference + np.random.default_rng(seed).normal(0.1, 1, len(reference))
    pairs = PairedScores(reference, candidate, higher)
    worse, better = (reference, candidate) if higher else (candidate, reference)
    expected = stats.ttest_rel(worse, better)
    interval = expected.confidence_interval(0.95)
    drop = pairs.drop()
    assert drop.value == pytest.approx(float(np.mean(worse - better)), abs=1e-9)
    assert (drop.low, drop.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)
    assert pairs.p() == pytest.approx(float(expected.pvalue), rel=1e-6, abs=1e-12)


def test_what_has_no_evidence_has_no_interval() -> None:
    """Equal samples differ by nothing, for sure; a single sample says nothing; NaN stays NaN."""
    same = np.array([1.0, 2.0, 3.0])
    assert PairedScores(same, same, True).p() == 1.0
    assert PairedScores(same, same, True).drop().value == 0.0
    assert PairedScores(same[:1], same[1:2], True).drop().low is None
    assert math.isnan(mean_with_interval(np.array([1.0, np.nan])).value)
    assert PairedScores(np.zeros(3), same, False).drop_percent().value == math.inf


@UNHURRIED
@given(st.integers(0, 1000))
def test_samples_to_decide_do_decide(seed: int) -> None:
    """With so many samples of the same kind, the interval lies on one side of the limit."""
    random = np.random.default_rng(seed)
    reference = random.normal(10, 1, 100)
    candidate = reference - random.normal(0.1, 0.5, 100)
    limit = 0.15
    needed = PairedScores(reference, candidate, True).samples_to_decide(limit)
    assert needed is not None
    times = math.ceil(needed / 100) + 1
    drop = PairedScores(np.tile(reference, times), np.tile(candidate, times), True).drop()
    assert drop.low is not None
    assert drop.high is not None
    assert drop.low > limit or drop.high <= limit


def truth(labels: np.ndarray, reference: np.ndarray, metric: str, **more: object) -> Truth:
    return Truth(labels, reference.astype(np.float32), metric, "checksum", **more)  # type: ignore[arg-type]


@UNHURRIED
@given(hnp.arrays(np.float32, (6, 12), elements=st.floats(0, 1, width=32)))
def test_mse_and_psnr_are_their_formulas(targets: np.ndarray) -> None:
    """Per sample: the mean of squared errors, and 10 log10(peak^2 / mse) with the peak of the targets' kind."""
    values = targets + np.float32(0.1)
    asked = truth(targets, values, "mse")
    np.testing.assert_allclose(scoring.scores(values, asked), 0.01, rtol=1e-4)
    np.testing.assert_allclose(scoring.psnr_db(values, targets), 20.0, atol=1e-3)
    assert (scoring.psnr_db(targets, targets) == scoring.MOST_DB).all()
    wide = targets * 254 + np.float32(1)
    if wide.max() > 1:
        np.testing.assert_allclose(scoring.psnr_db(wide + np.float32(25.5), wide), 20.0, atol=1e-2)


def regression(noise: float) -> tuple[np.ndarray, Truth]:
    random = np.random.default_rng(0)
    targets = random.uniform(0, 1, (200, 4)).astype(np.float32)
    reference = (targets + random.normal(0, 0.1, targets.shape)).astype(np.float32)
    values = (reference + random.normal(0, noise, targets.shape)).astype(np.float32)
    return values, truth(targets, reference, "mse", higher_is_better=False, unit="")


def test_a_regression_is_judged_in_pairs() -> None:
    """A little noise keeps a wide budget, much of it breaks it; the sentence has both values, samples and p."""
    values, asked = regression(0.01)
    good = judge_accuracy(CELL, values, asked, {"max_metric_drop_percent": 5.0, "max_mse": 0.02})
    assert good.status == "pass"
    values, asked = regression(0.1)
    bad = judge_accuracy(CELL, values, asked, {"max_metric_drop_percent": 5.0})
    assert (bad.status, bad.evidence) == ("fail", "conclusive")
    assert "metric lost against the reference" in bad.message
    assert "on 200 samples (p = " in bad.message
    assert {"mse", "mse_low", "metric_drop", "metric_drop_percent", "metric_p", "sqnr_db"} <= bad.metrics.keys()
    assert not {"top1_percent", "agreement_percent", "drop_points"} & bad.metrics.keys()


def test_broken_regressions_fail_whatever_the_budget() -> None:
    """NaN and constant outputs fail; that the largest output is always the same one says nothing here."""
    values, asked = regression(0.01)
    values[:, 0] += 5
    shifted = truth(asked.labels + np.array([5, 0, 0, 0], np.float32), values, "mse", higher_is_better=False)
    assert judge_accuracy(CELL, values, shifted, {}).status == "pass"
    broken = values.copy()
    broken[3, 1] = np.nan
    assert "NaN or infinity for 1 of 200" in judge_accuracy(CELL, broken, asked, {}).message
    assert "the same for all" in judge_accuracy(CELL, np.ones_like(values), asked, {}).message


def test_user_function_is_judged(tmp_path: Path) -> None:
    """It gets outputs and targets and judges either way; what it raises and returns wrongly is told by its name."""
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def far(outputs, targets):\n    return np.abs(outputs - targets).max(axis=1)\n"
        "def one(outputs, targets):\n    return 0.5\n"
        "def broken(outputs, targets):\n    raise ValueError('no such thing')\n"
    )
    values, asked = regression(0.1)

    def judged(function: str) -> object:
        own = truth(
            asked.labels, asked.reference, f"mine.py:{function}", higher_is_better=False, unit="m", folder=str(tmp_path)
        )
        return judge_accuracy(CELL, values, own, {"max_loss": 0.0})

    verdict = judged("far")
    assert "loss 0." in verdict.message  # type: ignore[attr-defined]
    assert "mine.py:far" in verdict.message  # type: ignore[attr-defined]
    with pytest.raises(SourceError, match=r"metric mine\.py:one returned shape \(\) for 200 samples"):
        judged("one")
    with pytest.raises(SourceError, match=r"metric mine\.py:broken raised ValueError: no such thing"):
        judged("broken")


def test_changed_metric_function_is_another_metric(tmp_path: Path) -> None:
    """What a baseline was judged by is the function's text and that of the modules it imports, not its name alone."""
    _, asked = regression(0.1)
    assert scoring.identity(asked) == "mse"
    own = truth(asked.labels, asked.reference, "mine.py:far", folder=str(tmp_path))
    (tmp_path / "mine.py").write_text("from far_away import far\n")
    identities = []
    for text in ("far = max", "far = max", "far = min"):
        (tmp_path / "far_away.py").write_text(text)
        identities.append(scoring.identity(own))
    assert identities[0] == identities[1] != identities[2]
    assert identities[0].startswith("mine.py:far (text ")


def test_regressions_are_consistent_where_outputs_are_alike() -> None:
    """Two targets agree where no output differs by more than a hundredth of the range."""
    first = np.random.default_rng(0).uniform(0, 1, (100, 3)).astype(np.float32)
    other = first.copy()
    other[:7, 1] += 0.05
    other[50:, 2] += 0.001
    assert fidelity.alike(first, other).value == 93.0
    verdict = judge_consistency(CELL, other, CELL, first, {"min_consistency_percent": 99}, truth(first, first, "mse"))
    assert verdict.status == "fail"


# -- classes ------------------------------------------------------------------------------------------------------


@UNHURRIED
@given(hnp.arrays(np.int64, st.integers(1, 80), elements=st.integers(0, 6)), st.integers(0, 2**32 - 1))
def test_classes_add_up_to_the_whole(labels: np.ndarray, seed: int) -> None:
    """Samples and right predictions of all classes are those of the dataset; the worst class comes first."""
    random = np.random.default_rng(seed)
    reference, candidate = random.random(len(labels)) < 0.9, random.random(len(labels)) < 0.7
    classes = per_class(labels, reference, candidate)
    assert sum(each.samples for each in classes) == len(labels)
    assert sum(each.candidate_correct for each in classes) == candidate.sum()
    accuracies = [each.percent.value for each in classes]
    assert accuracies == sorted(accuracies)
    worst = classes[0].label
    assert accuracies[0] == pytest.approx(100 * candidate[labels == worst].mean())


def test_a_lost_class_is_caught_though_the_mean_hardly_moves() -> None:
    """One class of twenty predicted wrongly: 5 pp of the mean, all of the class."""
    labels = np.repeat(np.arange(20), 10)
    reference = np.eye(20, dtype=np.float32)[labels] + np.linspace(0, 0.1, 200, dtype=np.float32)[:, None]
    values = reference.copy()
    values[labels == 7] = np.roll(values[labels == 7], 1, axis=1)
    asked = truth(labels, reference, "top1")
    loose = judge_accuracy(CELL, values, asked, {"max_drop_points": 6.0})
    assert loose.status == "pass"
    assert loose.metrics["worst_class"] == 7
    strict = judge_accuracy(CELL, values, asked, {"max_drop_points": 6.0, "max_class_drop_points": 20.0})
    assert strict.status == "fail"
    assert "accuracy lost in one class 100.00 pp" in strict.message


@UNHURRIED
@given(hnp.arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32, allow_nan=False)))
def test_scores_survive_a_baseline_file(values: np.ndarray) -> None:
    """Packed and unpacked, every bit is there."""
    np.testing.assert_array_equal(unpack_floats(pack_floats(values)), values)


def test_the_normalized_error_is_one_for_a_constant_output() -> None:
    """0 for equal outputs, 1 for the reference's mean, its share of the power for noise."""
    random = np.random.default_rng(0)
    reference = random.normal(3, 2, (400, 5)).astype(np.float32)
    mean = np.broadcast_to(reference.mean(axis=0), reference.shape)
    noisy = reference + random.normal(0, 0.2, reference.shape).astype(np.float32)
    assert scoring.normalized_errors(reference, reference).max() == 0
    assert scoring.normalized_errors(mean, reference).mean() == pytest.approx(1, rel=1e-5)
    assert scoring.normalized_errors(noisy, reference).mean() == pytest.approx(0.01, rel=0.1)


def test_a_reference_that_does_not_vary_is_its_own_measure() -> None:
    same, zero = np.full((3, 2), 2.0, np.float32), np.zeros((3, 2), np.float32)
    np.testing.assert_allclose(scoring.normalized_errors(same * 1.1, same), 0.01, rtol=1e-5)
    assert np.isinf(scoring.normalized_errors(same, zero)).all()
    assert (scoring.normalized_errors(zero, zero) == 0).all()
