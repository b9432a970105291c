"""Measurements are held against budgets: paired accuracy, latency with its noise."""
