"""A user's Python file imports what stands beside it, and its errors show its own line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgeworthy.errors import SourceError
from edgeworthy.user_code.function_files import function_digest
from edgeworthy.user_code.functions import load_function


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of a user's files; what they import is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path / "benchmarks"
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_file_imports_modules_and_packages_beside_it(folder: Path) -> None:
    """On import and later, in functions; each of them changes the key."""
    write(
        folder,
        {
            "net.py": "import my_blocks\ndef build():\n    from my_parts.deep import width\n    return my_blocks.depth * width\n",
            "my_blocks.py": "depth = 3\n",
            "my_parts/__init__.py": "",
            "my_parts/deep.py": "width = 5\n",
        },
    )
    assert load_function("net.py:build", folder)() == 15
    keys = [function_digest("net.py:build", folder)]
    for name in ("my_blocks.py", "my_parts/__init__.py", "my_parts/deep.py"):
        (folder / name).write_text((folder / name).read_text() + "# changed\n")
        keys.append(function_digest("net.py:build", folder))
    assert len(set(keys)) == 4


def test_a_module_that_another_hides_is_refused(folder: Path) -> None:
    """What is keyed is what is imported: a sibling named as an installed module, or as another folder's, is not."""
    write(folder, {"net.py": "import json\ndef build(): pass\n", "json.py": "x = 1\n"})
    with pytest.raises(SourceError, match=r"net\.py: imports 'json', which is both beside it and at .*json") as caught:
        load_function("net.py:build", folder)
    assert "rename 'json'" in caught.value.hint
    other = folder.with_name("other")
    for each in (folder, other):
        write(each, {"train.py": "import my_helper\ndef build(): return my_helper.x\n", "my_helper.py": "x = 1\n"})
    assert load_function("train.py:build", folder)() == 1
    with pytest.raises(SourceError, match=r"other/train\.py: imports 'my_helper', which is both beside it and at"):
        load_function("train.py:build", other)
    write(folder, {"unused.py": "def build(): return 2\n"})
    assert load_function("unused.py:build", folder)() == 2  # json.py is beside it, and not imported


def test_an_import_error_shows_its_own_line(folder: Path) -> None:
    """The last line of the user's that led to it, in whichever of their files it stands."""
    write(folder, {"net.py": "import my_broken\n", "my_broken.py": "\nimport my_nowhere  # not installed\n"})
    with pytest.raises(SourceError) as caught:
        load_function("net.py:build", folder)
    assert caught.value.message.endswith(
        "net.py: importing it raised ModuleNotFoundError: No module named 'my_nowhere'"
        " (my_broken.py:2: import my_nowhere  # not installed)"
    )
    assert "runs without errors" in caught.value.hint


@pytest.mark.parametrize("name", ["x" * 5000 + ".py:build", "nul\0.py:build"])
def test_paths_that_no_system_takes_are_named(folder: Path, name: str) -> None:
    for call in (load_function, function_digest):
        with pytest.raises(SourceError):
            call(name, folder)
