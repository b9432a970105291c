"""What libraries write to standard error, which their exceptions do not say."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def caught() -> Iterator[list[str]]:
    """What this process writes to standard error meanwhile; the list has it afterwards, and the log gets it, too."""
    said: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(kept, 2)
            file.seek(0)
            text = file.read()
            os.write(kept, text)
            os.close(kept)
            said.append(text.decode(errors="replace"))
