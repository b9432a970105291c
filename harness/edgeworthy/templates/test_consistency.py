"""The same artifact must give the same predictions on every target."""


def test_consistency(edge_pair):
    """Sample by sample against the first target; needs a second target in devices.yaml."""
    verdict = edge_pair.judge()
    assert verdict, verdict
