"""One cell is measured, with its conditions, and journaled."""
