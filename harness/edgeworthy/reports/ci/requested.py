"""What is to be written of the gate's result, for whom and where."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.errors import ConfigError
from edgeworthy.judging.gate import GateResult
from edgeworthy.reports import gate_report
from edgeworthy.reports.ci import github, gitlab
from edgeworthy.reports.ci.comment import comment, cut
from edgeworthy.reports.ci.findings import findings
from edgeworthy.reports.ci.markdown import Links, markdown
from edgeworthy.reports.ci.places import Places
from edgeworthy.storage import write_atomically, writing

#: Where GitHub says that a step's summary is read from.
SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"


@dataclass(frozen=True)
class Requested:
    """Single files ``markdown`` and ``junit``, and all that GitHub or GitLab reads; ``folder`` has what is theirs.

    ``summary`` is the file of GitHub's step summary, None where GitHub is not meant.
    """

    markdown: Path | None
    junit: Path | None
    summary: Path | None
    gitlab: bool
    folder: Path
    links: Links

    @classmethod
    def of(
        cls,
        environ: Mapping[str, str],
        *,
        markdown: Path | None,
        junit: Path | None,
        for_github: bool,
        for_gitlab: bool,
        folder: Path,
        report_url: str,
    ) -> Requested:
        """As options and the environment say. Raises ConfigError outside a step of GitHub, and for what is no address."""
        if report_url and not re.fullmatch(r"https?://[^\s<>()\[\]|]+", report_url):
            raise ConfigError(
                f"--report-url {report_url}: not an address that a browser opens",
                hint="give one that begins with https://",
            )
        summary = environ.get(SUMMARY_VARIABLE, "") if for_github else ""
        if for_github and not summary:
            raise ConfigError(
                f"--github: {SUMMARY_VARIABLE} is not set, so there is no step whose summary could be written",
                hint=f"use it in a step of GitHub Actions, or set {SUMMARY_VARIABLE} to a file",
            )
        links_of = github.links_of if for_github else gitlab.links_of
        return cls(
            markdown, junit, Path(summary) if summary else None, for_gitlab, folder, links_of(environ, report_url)
        )

    def write(self, result: GateResult, places: Places) -> str:
        """Write the files; returns what goes to standard output. Raises StoreError."""
        found, said = findings(result, places), gate_report.text(result)
        page = markdown(result, found, self.links)
        if self.markdown:
            write_atomically(self.markdown, page.encode())
        if self.junit:
            write_atomically(self.junit, gate_report.junit(result))
        if self.gitlab or self.summary:
            self._write("comment.md", comment(page, places.file().path).encode())
        if self.gitlab:
            self._write("code-quality.json", gitlab.code_quality(found))
            self._write("junit.xml", gate_report.junit(result))
        if self.summary:
            self._append(cut(page, github.LONGEST_SUMMARY))
            said = github.uninterpreted(said, uuid.uuid4().hex)
            said += "".join(f"{command}\n" for command in github.workflow_commands(found))
        return said

    def _write(self, name: str, content: bytes) -> None:
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / name, content)

    def _append(self, page: str) -> None:
        """A step's summary may hold what other commands of the step wrote."""
        assert self.summary is not None
        with writing(self.summary), self.summary.open("a", encoding="utf-8") as stream:
            stream.write(f"{page}\n")
