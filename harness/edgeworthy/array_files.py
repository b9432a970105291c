"""Files of arrays, .npy and .npz, which one thread reads at a time, and no Python file meanwhile.

numpy has Python's parser read their headers. In Python 3.11 two threads that parse at once may each take the other's depth of
nesting for their own, and a healthy file ends in ``SystemError: AST constructor recursion depth mismatch``.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Held by whoever has Python's parser make a tree.
PARSING = threading.Lock()


def load_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """The array of an .npy, with ``mapped`` read from the file where it is looked at; no pickles. Raises what numpy does."""
    with PARSING:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    return array


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz by name. Raises what numpy does; takes no pickles."""
    # np.load(path) would leave a bad file open, and take an .npy.
    with PARSING, path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
