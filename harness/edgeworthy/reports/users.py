"""Reports of the user's own: functions that are given a finished run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgeworthy.errors import EdgeworthyError
from edgeworthy.reports.frames import load_run
from edgeworthy.user_code.functions import users_code


def write_users(reports: Mapping[str, Callable[..., Any]], folder: Path) -> list[str]:
    """Call each of ``reports``, name in models.yaml -> function, with the run in ``folder``; a sentence for each that failed.

    A function writes what it likes, into ``run.folder`` or elsewhere; one that fails stops neither the others nor the run.
    """
    failed = []
    for name, report in reports.items():
        try:
            with users_code(f"the report {name}", "correct the function; 'edgeworthy report' shows the run meanwhile"):
                report(load_run(folder))
        except EdgeworthyError as error:
            failed.append(str(error))
    return failed
