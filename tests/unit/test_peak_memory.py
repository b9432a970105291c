"""The growth of a process' memory: what counts, and what does not."""

from __future__ import annotations

import mmap
import subprocess
import sys
from pathlib import Path

import pytest

MB = 1 << 20
GROWN = """
import mmap, sys
from edgeworthy.runners.python_runner.memory import PeakMemory

path, protection, copies = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
memory = PeakMemory()
held = []
with open(path, "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=protection)
    for _ in range(copies):
        held.append(bytes(mapped))
    sum(mapped[at] for at in range(0, len(mapped), 4096))
held.clear()
print(memory.growth())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is that of Linux")
@pytest.mark.parametrize(
    ("protection", "copies", "megabytes"),
    [(mmap.PROT_READ, 0, 30), (mmap.PROT_READ | mmap.PROT_EXEC, 0, 0), (mmap.PROT_READ | mmap.PROT_EXEC, 2, 60)],
    ids=["model file", "code", "code and allocated"],
)
def test_what_is_mapped_counts_unless_code_is_run_from_it(
    protection: int, copies: int, megabytes: int, tmp_path: Path
) -> None:
    """And what was allocated counts when it has been given back."""
    (tmp_path / "file").write_bytes(bytes(range(256)) * (30 * MB // 256))
    command = [sys.executable, "-c", GROWN, str(tmp_path / "file"), str(protection), str(copies)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert abs(grown - megabytes * MB) < 3 * MB
