"""Estimates with their intervals, tests and change points: numbers in, numbers out, and no judgement."""
