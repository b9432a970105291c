"""For GitLab: a code quality report, which its merge requests show on the lines of models.yaml, and addresses there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from edgeworthy.reports.ci.findings import Finding, failing
from edgeworthy.reports.ci.markdown import Links
from edgeworthy.storage import digest
from edgeworthy.text import one_line

#: Of GitLab's severities: info, minor, major, critical, blocker.
_SEVERITIES = {"waived": "info", "not comparable": "major", "new": "major"}
_WORST = "critical"


def code_quality(found: Sequence[Finding]) -> bytes:
    """A JSON list with an entry for each finding that fails, or would without a waiver.

    The fingerprint is that of cell and metric, not of the numbers: so GitLab knows the same failure again in the next run.
    """
    return json.dumps([_entry(finding) for finding in failing(found)], indent=2).encode()


def links_of(environ: Mapping[str, str], report_url: str) -> Links:
    """Addresses of the job and of the files that it judged, from GitLab's variables; none outside a job."""
    project, revision = environ.get("CI_PROJECT_URL", ""), environ.get("CI_COMMIT_SHA", "")
    return Links(
        run=environ.get("CI_JOB_URL", ""),
        files=f"{project}/-/blob/{quote(revision)}" if project and revision else "",
        report=report_url,
    )


def _entry(finding: Finding) -> dict[str, object]:
    about = finding.message if finding.cell is None else finding.name
    return {
        "description": finding.said,
        "check_name": one_line(f"edgeworthy {finding.name}"),
        "fingerprint": digest([finding.who, finding.status, about]),
        "severity": _SEVERITIES.get(finding.status, _WORST),
        "location": {"path": finding.place.path, "lines": {"begin": finding.place.line}},
    }
