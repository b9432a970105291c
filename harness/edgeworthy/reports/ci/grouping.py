"""Findings that stand on one line of models.yaml, said together: one budget may be broken by many cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeworthy.reports.ci.findings import Finding, failing
from edgeworthy.reports.ci.places import Place
from edgeworthy.text import plural

#: So many findings of a line are said in full.
MOST_SAID = 4


@dataclass(frozen=True)
class Group:
    """Findings about one metric that share a place; ``waived`` if all of them are."""

    place: Place
    name: str
    waived: bool
    findings: tuple[Finding, ...]

    @property
    def title(self) -> str:
        """What it is about, and in how many cells."""
        first = self.findings[0]
        return f"{self.name} of {first.who if len(self.findings) == 1 else plural(len(self.findings), 'cell')}"

    @property
    def message(self) -> str:
        """Each cell's own message and hint, the first of many."""
        said = [finding.said for finding in self.findings]
        more = len(said) - MOST_SAID
        return "; ".join(said[:MOST_SAID]) + (f"; and {plural(more, 'more cell')}" if more > 0 else "")


def grouped(found: Sequence[Finding]) -> list[Group]:
    """The findings that fail, or would without a waiver, by line and metric; in the order of the first of each."""
    groups: dict[tuple[Place, str, bool], list[Finding]] = {}
    for finding in failing(found):
        groups.setdefault((finding.place, finding.name, finding.status == "waived"), []).append(finding)
    return [Group(*key, tuple(members)) for key, members in groups.items()]
