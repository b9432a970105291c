"""The gate: every variant of models.yaml on every target of devices.yaml."""

import pytest
from edgeworthy import device_clock


def test_accuracy(edge_cell):
    """The variant keeps its accuracy budget, in pairs against the model's reference."""
    verdict = edge_cell.judge("accuracy")
    assert verdict, verdict


@pytest.mark.benchmark(timer=device_clock)
def test_latency(edge_cell, benchmark):
    """The variant keeps its latency budget and runs where it should."""
    verdict = edge_cell.judge("latency")
    edge_cell.replay(benchmark)
    assert verdict, verdict


def test_footprint(edge_cell):
    """The variant keeps its budget for size and memory."""
    verdict = edge_cell.judge("footprint")
    assert verdict, verdict


@pytest.mark.edge_regression
def test_regression(edge_cell):
    """The variant is no worse than its accepted baseline; runs with --edge-baseline."""
    verdict = edge_cell.judge("regression")
    assert verdict, verdict
