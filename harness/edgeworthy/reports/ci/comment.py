"""The comment on a pull request, or the note on a merge request, which CI updates."""

from __future__ import annotations

from urllib.parse import quote

#: What GitHub takes of a comment; GitLab takes more of a note.
LONGEST = 65_536


def comment(markdown: str, path: str) -> str:
    """The body of the comment; its first line marks it as the one about the models.yaml at ``path``."""
    return cut(f"<!-- edgeworthy gate {quote(path)} -->\n{markdown}", LONGEST)


def cut(markdown: str, longest: int) -> str:
    """As many whole lines as have room in so many bytes, and how many have not."""
    if len(markdown.encode()) <= longest:
        return markdown
    lines = markdown.splitlines(keepends=True)
    note = "\n{} more lines; the whole of it is in the output of `edgeworthy gate`.\n"
    room, kept = longest - len(note) - len(str(len(lines))), 0
    while (room := room - len(lines[kept].encode())) >= 0:
        kept += 1
    return "".join(lines[:kept]) + note.format(len(lines) - kept)
