"""Boards with Linux over SSH: a Raspberry Pi, a Jetson."""
