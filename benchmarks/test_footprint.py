"""No variant may be larger, on disk or in memory, than its budget allows."""


def test_footprint(edge_cell):
    """File size, gzip size, growth of the peak memory."""
    verdict = edge_cell.judge("footprint")
    assert verdict, verdict
