"""Where the history is: secrets stay secret, wrong addresses are refused, nobody is bothered who asked for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeworthy.errors import HistoryError
from edgeworthy.history import location as location_module
from edgeworthy.history import recording
from edgeworthy.history.location import Location

SECRETS = ["s3cret", "p@ss/w:rd%", "***", "pass word"]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_password_is_never_shown(secret: str):
    """Neither of the user nor of a key, whatever is in it, also where a driver quotes it."""
    from sqlalchemy import URL

    url = URL.create("postgresql", "me", secret, "host", 5432, "edge", {"sslpassword": secret, "sslmode": "require"})
    found = Location.parse(url.render_as_string(hide_password=False))
    assert found.url.password == secret
    assert found.shown == "postgresql://me:***@host:5432/edge?sslmode=require&sslpassword=***"
    said = found.scrub(f"no: {secret} in {url.render_as_string(hide_password=False)}")
    assert secret == "***" or secret not in said
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:s3cret@host",
        "postgresql://me:s3cret@host:s3cret/edge",
        "mysql://me:s3cret@host/edge",
        "sqlite://",
        "://s3cret",
        "http://s3cret/",
    ],
)
def test_invalid_url_is_not_echoed(text: str):
    """It may hold a password in any place."""
    with pytest.raises(HistoryError) as raised:
        Location.parse(text)
    assert "s3cret" not in str(raised.value)
    assert "postgresql://USER:PASSWORD@HOST/DATABASE" in str(raised.value)


@pytest.mark.parametrize("text", ["results/history.sqlite", "sqlite:///results/history.sqlite"])
def test_a_file_by_path_or_url(text: str):
    """Both are the same file."""
    assert Location.parse(text).file == Path("results/history.sqlite")


def test_missing_extra_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nothing is said where nobody asked; who asked for a history is told what to install."""
    monkeypatch.delenv("EDGE_HISTORY_URL", raising=False)
    for module in (recording, location_module):
        monkeypatch.setattr(module, "installed", lambda: False)
    assert recording.record_ended(tmp_path / "run", "", tmp_path) == ""
    monkeypatch.setenv("EDGE_HISTORY_URL", "postgresql://me:s3cret@host/edge")
    said = recording.record_ended(tmp_path / "run", "", tmp_path)
    assert "pip install 'edgeworthy[history]'" in said
    assert "s3cret" not in said
    assert f"Later: edgeworthy record {tmp_path / 'run'}" in said


def test_unreadable_run_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As a database that cannot be reached is."""
    monkeypatch.delenv("EDGE_HISTORY_URL", raising=False)
    said = recording.record_ended(tmp_path / "run", "some.sqlite", tmp_path)
    assert "there is no run" in said
    assert said.endswith(f"--history {tmp_path / 'some.sqlite'}")
