"""A static site of the history and the kept runs: today's state, trends, regressions."""
