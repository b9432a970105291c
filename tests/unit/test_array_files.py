"""Files of arrays are read by one thread at a time."""

from __future__ import annotations

import ast
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy import array_files
from edgeworthy.user_code import function_files


def test_one_thread_parses_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11's parser is not safe among threads: those that read arrays, and those that look at a user's file, wait."""
    np.save(tmp_path / "one.npy", np.arange(3))
    np.savez(tmp_path / "two.npz", a=np.arange(3), b=np.ones(2))
    inside, most = 0, 0
    parse = compile

    def slow(*arguments: Any, **named: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1
        return parse(*arguments, **named)

    monkeypatch.setattr(ast, "compile", slow, raising=False)
    work = [
        lambda: array_files.load_array(tmp_path / "one.npy"),
        lambda: array_files.load_array(tmp_path / "one.npy", mapped=True),
        lambda: array_files.load_arrays(tmp_path / "two.npz")["b"],
        lambda: function_files._import_statements(b"import numpy"),
    ]
    with ThreadPool(4) as pool:
        found = pool.map(lambda each: each(), work)
    assert most == 1
    assert [len(each) for each in found] == [3, 3, 2, 1]
