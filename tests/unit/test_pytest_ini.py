"""The ini values of pytest as commands read them: by pytest's rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeworthy.errors import ConfigError
from edgeworthy.pytest_ini import PATHS, ini_path, ini_value

FILES = {
    "pytest.toml": '[pytest]\nedge_store = "mine"\n',
    "pytest.ini": "[pytest]\nedge_store = mine\n",
    "pyproject.toml": '[tool.pytest.ini_options]\nedge_store = "mine"\n',
    "tox.ini": "[pytest]\nedge_store = mine\n",
    "setup.cfg": "[tool:pytest]\nedge_store = mine\n",
}


@pytest.mark.parametrize("name", FILES)
def test_each_of_pytests_files_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    """From the folder of the file, and from one below; what it does not set has its default, relative to the file."""
    (tmp_path / name).write_text(FILES[name])
    (tmp_path / "pyproject.toml" if name != "pyproject.toml" else tmp_path / "tox.ini").write_text("")
    monkeypatch.chdir(tmp_path)
    assert ini_path("edge_store") == Path("mine")
    assert ini_path("edge_models") == Path(PATHS["edge_models"])
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert ini_path("edge_store") == Path("../mine")
    assert ini_path("edge_models") == Path("..") / PATHS["edge_models"]
    assert ini_value("edge_store") == (tmp_path, "mine")
    assert ini_value("edge_history") == (tmp_path, "")


def test_without_a_file_paths_are_relative_to_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As pytest takes them."""
    monkeypatch.chdir(tmp_path)
    assert {name: ini_path(name) for name in PATHS} == {name: Path(path) for name, path in PATHS.items()}


@pytest.mark.parametrize(("name", "text"), [("pyproject.toml", "[tool"), ("tox.ini", "[pytest"), ("setup.cfg", "\xff")])
def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str):
    """With what to do."""
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=name) as raised:
        ini_path("edge_store")
    assert raised.value.hint
