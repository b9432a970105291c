"""No variant may be slower than its budget allows, or run elsewhere than on the backend that was asked for."""

import pytest
from edgeworthy import device_clock


@pytest.mark.benchmark(timer=device_clock)
def test_latency(edge_cell, benchmark):
    """Percentiles over several reloads; the raw samples also go through pytest-benchmark."""
    verdict = edge_cell.judge("latency")
    edge_cell.replay(benchmark)
    assert verdict, verdict
