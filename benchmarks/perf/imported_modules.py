"""A pytest plugin that writes the names of all imported modules to the file PERF_MODULES when the run is over."""

import os
import sys
from pathlib import Path


def pytest_unconfigure():
    """Called last of all."""
    Path(os.environ["PERF_MODULES"]).write_text("\n".join(sys.modules))
