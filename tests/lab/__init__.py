"""Real devices on loopback: see docs/lab.md."""
