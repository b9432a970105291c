"""Packages that only some tasks need."""

from __future__ import annotations

import importlib
from typing import Any

from edgeworthy.errors import SourceError


def package(module: str, what: str, extra: str) -> Any:
    """The module. Raises SourceError where it is missing: ``what`` it is for, and the ``extra`` that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise SourceError(
            f"{what} {name}, which is not installed", hint=f"pip install 'edgeworthy[{extra}]'"
        ) from error
