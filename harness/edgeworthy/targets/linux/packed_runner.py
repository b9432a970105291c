"""The runner as one file, as a board is sent it."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path

from edgeworthy import runners

#: What a file's time is: the same content is the same file.
EPOCH = (1980, 1, 1, 0, 0, 0)


def packed_runner(folder: Path) -> Path:
    """A zip in ``folder`` that Python runs as it runs the folder of the runner: ``python runner.pyz run JOB.json``.

    Nothing is compressed, for which a board's Python may lack zlib. https://docs.python.org/3/library/zipapp.html
    """
    packed = folder / "runner.pyz"
    packed.write_bytes(_content())
    return packed


@functools.cache
def _content() -> bytes:
    source, packed = Path(runners.__file__).parent, io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in (source / "__main__.py", *sorted((source / "python_runner").glob("*.py"))):
            archive.writestr(zipfile.ZipInfo(path.relative_to(source).as_posix(), EPOCH), path.read_bytes())
    return packed.getvalue()
