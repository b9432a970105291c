"""No variant may lose more accuracy against its reference than its budget allows."""


def test_accuracy(edge_cell):
    """Paired drop, agreement and fidelity on the held-out samples."""
    verdict = edge_cell.judge("accuracy")
    assert verdict, verdict
