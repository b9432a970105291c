"""Progress of long steps, written past pytest's capture."""

from __future__ import annotations

import sys

import pytest

from edgeworthy.text import one_line


class Progress:
    """Writes one line per step to the terminal; in an xdist worker, to the controller's standard error."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def __call__(self, text: str) -> None:
        """Write one line."""
        text = one_line(text)
        capture = self._config.pluginmanager.getplugin("capturemanager")
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if capture is None:
            self._write(reporter, text)
            return
        with capture.global_and_fixture_disabled():
            self._write(reporter, text)

    @staticmethod
    def _write(reporter: pytest.TerminalReporter | None, text: str) -> None:
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"edgeworthy: {text}")
        else:
            print(f"edgeworthy: {text}", file=sys.stderr, flush=True)
