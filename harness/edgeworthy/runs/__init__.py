"""A run on disk: what it set out to measure, its measurements and its verdicts."""
