"""The runner as one file, as a board is sent it."""

from __future__ import annotations

import functools
from pathlib import Path

from edgeworthy import runners
from edgeworthy.storage import zipped


def packed_runner(folder: Path) -> Path:
    """A zip in ``folder`` that Python runs as it runs the folder of the runner: ``python runner.pyz run JOB.json``.

    https://docs.python.org/3/library/zipapp.html
    """
    packed = folder / "runner.pyz"
    packed.write_bytes(_content())
    return packed


@functools.cache
def _content() -> bytes:
    source = Path(runners.__file__).parent
    files = (source / "__main__.py", *(source / "python_runner").glob("*.py"))
    return zipped({path.relative_to(source).as_posix(): path.read_bytes() for path in files})
