"""Which versions of distributions are installed here."""

from __future__ import annotations

import functools
from importlib import metadata

ABSENT = "absent"


@functools.cache
def installed_version(package: str) -> str:
    """The version of a distribution, or ``absent``."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ABSENT
