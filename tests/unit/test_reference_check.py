"""A float reference that knows nothing of its task is an error with its likely cause; a weak but honest one is not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.measurements.reference_check import CHANGES, Trial, check_reference
from edgeworthy.truth import Truth


def classes(samples: int, count: int, margin: float = 6.0, seed: int = 0) -> Truth:
    random = np.random.default_rng(seed)
    labels = random.integers(0, count, samples)
    scores = random.normal(0, 1, (samples, count))
    scores[np.arange(samples), labels] += margin
    return Truth(labels, scores.astype(np.float32), "top1", "checksum")


def numbers(scale: float = 1.0, offset: float = 0.0) -> Truth:
    random = np.random.default_rng(0)
    targets = random.normal(5, [100, 1], (200, 2)).astype(np.float32)
    reference = (targets + random.normal(0, [10, 0.1], targets.shape)) * scale + offset * np.array([100, 1])
    return Truth(targets, reference.astype(np.float32), "mse", "checksum", higher_is_better=False, unit="")


def none_tried() -> Iterator[Trial]:
    yield from ()


def problem(truth: Truth, trials=none_tried) -> str:
    with pytest.raises(SourceError) as error:
        check_reference("net", truth, trials)
    assert "expect_weak_reference: true" in error.value.hint
    assert error.value.message.startswith("model 'net': the reference is no better than a constant prediction")
    return error.value.message


def test_permuted_labels_are_named() -> None:
    """The best order of classes is found on one half of the samples and holds on the other."""
    truth = classes(797, 10)
    order = np.roll(np.arange(10), 3)
    said = problem(Truth(order[truth.labels], truth.reference, "top1", "checksum"))
    assert "the order of the labels: predicted class 0 is labelled 7, 1 is labelled 8" in said


def test_noise_has_no_cause() -> None:
    """Unrelated predictions of many classes are weak, and no order of the labels is made up for them."""
    for count in (2, 10, 400):
        truth = classes(800, count)
        said = problem(Truth(np.random.default_rng(9).permutation(truth.labels), truth.reference, "top1", "checksum"))
        assert "likely cause" not in said


@pytest.mark.parametrize(
    ("truth", "cause"),
    [(numbers(1 / 255), "the outputs' scale: multiplied by about 25"), (numbers(offset=9), "an offset of the outputs")],
)
def test_scale_and_offset_of_outputs_are_named(truth: Truth, cause: str) -> None:
    """Numbers that a straight line turns into the targets."""
    assert cause in problem(truth)


def test_the_inputs_scale_and_channel_order_are_named() -> None:
    """The change of the inputs under which the reference works; the others are tried and not named."""
    truth = classes(200, 4)
    blind = Truth(truth.labels, np.roll(truth.reference, 7, axis=0), "top1", "checksum")

    def trials() -> Iterator[Trial]:
        for how in CHANGES:
            values = truth.reference if how == "divided by 255" else blind.reference
            yield Trial(how, np.arange(200), values)

    said = problem(blind, trials)
    assert "the inputs' scale or channel order: divided by 255, it is right on" in said


def test_changes_are_what_they_say() -> None:
    """Scales of [0, 255], channels only where there are three."""
    rgb, gray = np.full((1, 1, 1, 3), 255, np.float32), np.full((1, 1, 1, 1), 255, np.float32)
    rgb[..., 0] = 0
    reversed_channels = CHANGES["with their channels reversed"](rgb)
    assert reversed_channels is not None
    assert reversed_channels.ravel().tolist() == [255, 255, 0]
    assert CHANGES["with their channels reversed"](gray) is None
    assert [float(found.max()) for how in list(CHANGES)[:3] if (found := CHANGES[how](gray)) is not None] == [
        1,
        65025,
        1,
    ]


def test_honest_references_are_no_false_alarm() -> None:
    """Small sets, one class, rare classes, weak but informed models, random weights, functions of the user's."""
    for seed in range(300):
        random = np.random.default_rng(seed)
        truth = classes(int(random.integers(3, 80)), int(random.integers(2, 7)), 2.5, seed)
        check_reference("net", truth, none_tried)
    one = classes(50, 3)
    check_reference("net", Truth(np.ones(50, np.int64), np.eye(3, dtype=np.float32)[[1] * 50], "top1", "c"), none_tried)
    rare = np.zeros(200, np.int64)
    rare[:4] = 1
    seen = np.eye(2, dtype=np.float32)[np.arange(200).clip(max=1) * 0]
    check_reference("net", Truth(rare, seen, "top1", "c"), none_tried)
    seen[0] = (0, 1)
    check_reference("net", Truth(rare, seen, "top1", "c"), none_tried)
    check_reference("net", Truth(one.labels, -one.reference, "top1", "c", random_weights=True), none_tried)
    check_reference("net", Truth(one.labels, -one.reference, "mine.py:score", "c", folder="x"), none_tried)
    check_reference("net", numbers(), none_tried)


def test_worse_than_the_commonest_class_is_an_error() -> None:
    """Forgotten normalization: 9 % where the commonest class has 45 %."""
    labels = np.random.default_rng(0).choice(5, 300, p=[0.45, 0.2, 0.15, 0.11, 0.09])
    said = problem(Truth(labels, np.eye(5, dtype=np.float32)[np.full(300, 4)], "top1", "checksum"))
    assert "always class 0" in said


def test_a_reference_below_the_commonest_class_is_an_error_though_it_knows_a_little() -> None:
    """One class for nearly all samples, and five others right: 11.25 % where always the commonest class has 11.75 %."""
    labels = np.repeat(np.arange(10), 40)
    labels[-7:] = 0  # class 0 is the commonest
    predictions = np.full(400, 6)
    predictions[np.flatnonzero(labels == 3)[:5]] = 3
    said = problem(Truth(labels, np.eye(10, dtype=np.float32)[predictions], "top1", "checksum"))
    assert "always class 0 11.75 %" in said
    assert "chance" not in said


def test_a_little_better_than_the_commonest_class_by_chance_is_an_error_that_says_so() -> None:
    """The two numbers alone would contradict the sentence."""
    labels = np.repeat(np.arange(10), 40)
    predictions = np.random.default_rng(3).permutation(labels)
    predictions[:4] = labels[:4]
    truth = Truth(labels, np.eye(10, dtype=np.float32)[predictions], "top1", "checksum")
    assert 100 * (predictions == labels).mean() > 10
    assert "and chance explains the difference" in problem(truth)


def task(labels: np.ndarray, margin: float, metric: str = "macro_f1", seed: int = 0) -> Truth:
    """A classifier that is judged by its predictions."""
    count = int(labels.max()) + 1
    scores = np.random.default_rng(seed).normal(0, 1, (len(labels), count)).astype(np.float32)
    scores[np.arange(len(labels)), labels] += margin
    options = {"kind": "classification"}
    return Truth(labels, scores, metric, "checksum", outputs={"": (count,)}, task=options)


@pytest.mark.parametrize("labels", [np.arange(240) % 12, np.sort(np.arange(240) % 12), np.arange(240) % 2])
def test_the_reference_of_a_task_must_beat_its_outputs_for_other_samples(labels: np.ndarray) -> None:
    """In whatever order the samples are; one that knows nothing is refused, with both values."""
    check_reference("net", task(labels, 4.0), none_tried)
    for seed in range(5):
        with pytest.raises(SourceError) as error:
            check_reference("net", task(labels, 0.0, seed=seed), none_tried)
        assert "the reference is no better than its outputs for other samples: macro_f1 is" in error.value.message


def test_few_samples_refuse_only_a_reference_that_is_surely_worse() -> None:
    labels = np.arange(12) % 3
    check_reference("net", task(labels, 0.5), none_tried)


def test_a_cause_is_named_only_where_it_makes_the_reference_better() -> None:
    """What is tried beside a reference of a task that is weak: a change that helps, and one that helps less than it has."""
    labels = np.arange(240) % 4
    weak, good = task(labels, 0.0), task(labels, 5.0)

    def tried() -> Iterator[Trial]:
        yield Trial("divided by 255", np.arange(240), good.reference)
        yield Trial("multiplied by 255", np.arange(240), task(labels, 2.0).reference)

    with pytest.raises(
        SourceError, match=r"likely cause: the inputs' scale or channel order: divided by 255, macro_f1 is"
    ):
        check_reference("net", weak, tried)
