"""Hostile configuration, names and results, thrown at the front door: ``python -m tests.hostile --seed 0 --count 100``."""
