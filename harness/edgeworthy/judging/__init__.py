"""Judge cells, and compare runs with baselines: with measurements at hand or from a stored run, without pytest."""
