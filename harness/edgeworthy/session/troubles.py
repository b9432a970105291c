"""Why a run fails beside its failing cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeworthy.judging.gate import Ending
from edgeworthy.records import JUDGED_STATUSES, RED_STATUSES, Verdict
from edgeworthy.runs.run import Run
from edgeworthy.text import plural
from edgeworthy.verdicts.completeness import unproven


def troubles_of(run: Run, ending: Ending | None, rows: Sequence[dict[str, Any]], unasserted: bool) -> list[str]:
    """Why the run fails beside its failing tests, one sentence each; ``ending`` is None of a run that was stopped."""
    troubles = [*ending.troubles, *_unproven(run, unasserted)] if ending else []
    if not any(row["status"] in JUDGED_STATUSES for row in rows):
        troubles.append(
            "no cell was judged: all were skipped, refused, waived or absent, so there is no evidence that any may ship"
        )
    missing = [verdict for verdict in ending.missing if verdict.status == "fail"] if ending else []
    if missing:
        troubles.append(f"{plural(len(missing), 'cell')} of the baseline missing from this run")
    return troubles


def _unproven(run: Run, unasserted: bool) -> list[str]:
    """Why a finished run proves nothing although no test failed."""
    verdicts = run.verdicts()
    red = [verdict for verdict in verdicts if verdict.status in RED_STATUSES]
    if unasserted and red:
        return [
            f"{plural(len(red), 'verdict')} failed but no test did (is an assert missing?), first: {_shown(red[0])}"
        ]
    return unproven(run.cells, verdicts)


def _shown(verdict: Verdict) -> str:
    return f"{verdict.cell} {verdict.axis}: {verdict.message}"
