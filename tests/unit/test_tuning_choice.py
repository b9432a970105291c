"""The Pareto front and the recommendation, whatever the numbers are."""

from __future__ import annotations

from edgeworthy.model_schema import Variant
from edgeworthy.tuning.candidates import Candidate
from edgeworthy.tuning.choice import Tried, pareto_front, recommended
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.floats(0.01, 100)


def tried(name: str, size: float, p50: float, drop: float = 0.0, *, own: bool = False, against: str = "") -> Tried:
    candidate = Candidate(name, Variant(recipe="int8"), own)
    return Tried(candidate, against, size_kb=size, quality=99, lost=drop, p50_ms=p50)


FOUND = st.lists(
    st.builds(
        tried, st.just("v"), NUMBERS, NUMBERS, NUMBERS, own=st.booleans(), against=st.sampled_from(["", "", "slow"])
    ),
    max_size=12,
)


@given(FOUND)
def test_front_holds_exactly_what_nothing_beats(found: list[Tried]) -> None:
    """Of those that fit: who is not on the front is beaten by one who is; who is on it is beaten by none."""
    front = pareto_front(found)
    for one in found:
        beaten = (
            any(
                all(a <= b for a, b in zip(other.axes, one.axes, strict=True)) and other.axes != one.axes
                for other in found
                if other.fits
            )
            if one.fits
            else True
        )
        assert (one in front) == (not beaten)


@given(FOUND)
def test_recommendation_is_as_small_and_as_fast_as_the_best_own_variant(found: list[Tried]) -> None:
    """Something is recommended wherever something fits, and nothing larger or slower than the project's best."""
    best = recommended(found)
    fitting = [one for one in found if one.fits]
    assert (best is None) == (not fitting)
    own = [one for one in fitting if one.candidate.own]
    if best is not None and own:
        best_own = min(own, key=lambda one: one.cost)
        assert best.fits
        assert best.axes[0] <= best_own.axes[0]
        assert best.axes[1] <= best_own.axes[1]


def test_smaller_but_slower_is_on_the_front_and_not_recommended() -> None:
    """The trade is the reader's."""
    found = [tried("own", 100, 1.0, own=True), tried("tiny", 10, 1.1), tried("better", 90, 0.9)]
    assert [one.candidate.name for one in pareto_front(found)] == ["tiny", "better"]
    best = recommended(found)
    assert best is not None
    assert best.candidate.name == "better"


def test_reference_is_no_measure_of_speed() -> None:
    """A float model that is a little faster does not keep a much smaller variant from being recommended."""
    reference = Tried(Candidate("fp32", Variant(), own=True, reference=True), "", 400, 99, 0, 0.9)
    best = recommended([reference, tried("int8", 100, 1.0)])
    assert best is not None
    assert best.candidate.name == "int8"
