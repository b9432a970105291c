"""How long ``pytest benchmarks/ --collect-only`` takes."""

from statistics import median

from finding import Finding
from pytest_runs import pytest

ROUNDS = 5
MOST_S = 1.5


def measure():
    """The median of a few runs, after one that compiles what was edited."""
    pytest("--collect-only")
    taken = [pytest("--collect-only")[0] for _ in range(ROUNDS)]
    told = f"median of {ROUNDS}, {min(taken):.2f} to {max(taken):.2f} s"
    yield Finding("collect-only", median(taken), "s", told, most=MOST_S)
