"""What is shown in a terminal, made as text first: a file, a pipe and a terminal get the same lines."""

from __future__ import annotations

import io

from rich.console import Console

#: A table is as wide as its cells, also where the terminal is not: a wrapped line beats a cut number.
WIDEST = 400


def blank_page(color: bool, width: int = WIDEST) -> Console:
    """A console that keeps what is printed to it."""
    return Console(file=io.StringIO(), width=width, force_terminal=color, no_color=not color, highlight=False)


def text_of(page: Console) -> str:
    """What was printed, without the blanks at the ends of lines."""
    assert isinstance(page.file, io.StringIO)
    return "".join(f"{line.rstrip()}\n" for line in page.file.getvalue().splitlines())
