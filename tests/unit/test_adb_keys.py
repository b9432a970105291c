"""Keys are made as Android's own tools make them, and only their owner can read them."""

from __future__ import annotations

import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from edgeworthy.errors import ConfigError
from edgeworthy.targets.links.adb_keys import load_key


def test_new_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """The private key is 0600 from the start, the public one beside it, and nothing else is left behind."""
    path = tmp_path / "android" / "adbkey"
    made, found = load_key(path), load_key(path)
    assert (made.is_new, found.is_new) == (True, False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == ["adbkey", "adbkey.pub"]
    assert found.signer.GetPublicKey().split()[0] == path.with_name("adbkey.pub").read_text().split()[0]


def test_two_processes_make_one_key(tmp_path: Path) -> None:
    """Whoever comes second takes the key of the first."""
    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(lambda _: load_key(tmp_path / "adbkey"), range(4)))
    assert sum(key.is_new for key in keys) == 1
    assert len({key.signer.GetPublicKey() for key in keys}) == 1


@pytest.mark.skipif(not shutil.which("adb"), reason="Debian's adb is not installed")
def test_adbs_own_key_is_read(tmp_path: Path) -> None:
    """The public key that adb wrote beside its private one is the one that we send."""
    path = tmp_path / "adbkey"
    subprocess.run(["adb", "keygen", str(path)], check=True, capture_output=True, timeout=30)
    assert load_key(path).signer.GetPublicKey().split()[0] == (tmp_path / "adbkey.pub").read_text().split()[0]


@pytest.mark.parametrize("content", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_invalid_key_is_refused(tmp_path: Path, content: str) -> None:
    """The error names the file."""
    (tmp_path / "adbkey").write_text(content)
    with pytest.raises(ConfigError, match=r"adbkey: is not an RSA private key"):
        load_key(tmp_path / "adbkey")


def test_key_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    """A folder that is a file."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be read or made"):
        load_key(tmp_path / "file" / "adbkey")
