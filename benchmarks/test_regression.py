"""No variant may be worse than its accepted baseline; runs with --edge-baseline only."""

import pytest


@pytest.mark.edge_regression
def test_regression(edge_cell):
    """Accuracy, latency, load time, memory, size and delegated share against results/baselines/."""
    verdict = edge_cell.judge("regression")
    assert verdict, verdict
