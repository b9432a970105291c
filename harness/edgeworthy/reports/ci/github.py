"""For GitHub: annotations on the lines of models.yaml, and a step's summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from edgeworthy.reports.ci.findings import Finding
from edgeworthy.reports.ci.grouping import Group, grouped
from edgeworthy.reports.ci.markdown import Links
from edgeworthy.reports.ci.places import Place
from edgeworthy.text import one_line, plural

#: What GitHub takes: bytes of a step's summary, annotations of a step of one kind.
LONGEST_SUMMARY = 1024 * 1024
MOST_ANNOTATIONS = 10


def workflow_commands(found: Sequence[Finding]) -> list[str]:
    """Workflow commands, one for each line of models.yaml that something failed on, or would without a waiver."""
    groups = grouped(found)
    errors = [_annotation("error", group) for group in groups if not group.waived]
    notices = [_annotation("notice", group) for group in groups if group.waived]
    return [*_most("error", errors), *_most("notice", notices)]


def links_of(environ: Mapping[str, str], report_url: str) -> Links:
    """Addresses of the workflow's run and of the files that it judged, from GitHub's variables; none outside a workflow."""
    server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    run, revision = environ.get("GITHUB_RUN_ID", ""), environ.get("GITHUB_SHA", "")
    if not (server and repository):
        return Links(report=report_url)
    home = f"{server}/{quote(repository)}"
    return Links(
        run=f"{home}/actions/runs/{quote(run)}" if run else "",
        files=f"{home}/blob/{quote(revision)}" if revision else "",
        report=report_url,
    )


def uninterpreted(text: str, token: str) -> str:
    """``text`` for standard output, in which GitHub looks for no workflow command; ``token`` is one that nobody can guess."""
    return f"::stop-commands::{token}\n{text}::{token}::\n"


def _annotation(level: str, group: Group) -> str:
    place: Place = group.place
    title = _property(f"edgeworthy: {group.title}")
    return f"::{level} file={_property(place.path)},line={place.line},title={title}::{_data(group.message)}"


def _most(level: str, lines: list[str]) -> Iterable[str]:
    """GitHub drops what is beyond its limit; the last one then says so."""
    if len(lines) <= MOST_ANNOTATIONS:
        return lines
    kept = MOST_ANNOTATIONS - 1
    more = f"{plural(len(lines) - kept, 'more line')} of models.yaml: see the summary of the step"
    return [*lines[:kept], f"::{level} title=edgeworthy::{_data(more)}"]


def _data(text: str) -> str:
    """A command's message: one line, and nothing that GitHub would read as an escape."""
    return one_line(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
