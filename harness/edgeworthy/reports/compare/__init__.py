"""Two runs, or a run and a baseline, side by side."""
