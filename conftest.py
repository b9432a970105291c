"""The harness is this repository's own pytest plugin."""

pytest_plugins = ["edgeworthy.pytest_plugin"]
