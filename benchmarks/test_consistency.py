"""The same artifact must give the same answers on every target."""


def test_consistency(edge_pair):
    """Top-1 answers, sample by sample, against the first target's."""
    verdict = edge_pair.judge()
    assert verdict, verdict
