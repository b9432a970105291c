"""Devices and their backends: where an artifact runs."""
