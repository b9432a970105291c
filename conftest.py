"""The harness is this repository's own pytest plugin."""

pytest_plugins = ["harness.pytest_plugin"]
