"""What a device printed, as values, or as an error of the device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from edgeworthy.errors import CommandFailed

#: So much of an answer is shown in an error.
SHOWN_LETTERS = 200


@contextlib.contextmanager
def reading(device: str, command: str, said: bytes, hint: str = "run it on the device by hand") -> Iterator[None]:
    """The block makes values of ``said``. Raises CommandFailed, naming the command, where that cannot be done."""
    try:
        yield
    except (ValueError, IndexError) as error:
        shown = said[:SHOWN_LETTERS].decode(errors="replace")
        raise CommandFailed(
            f"{device}: {command} printed {f'what cannot be read: {shown!r}' if shown.strip() else 'nothing'}",
            hint=hint,
        ) from error
