"""Commands that an error shows are to be pasted into a shell: what devices.yaml says is one word in them."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import asyncssh
import pytest
from edgeworthy.targets.links import ssh_connection
from edgeworthy.targets.links.ssh_connection import SshAddress

HOSTILE = "pi.local; touch pwned"


@pytest.mark.parametrize("known", [False, True])
def test_a_host_keys_commands_quote_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """Of an unknown key and of another one, on another port than 22, too."""

    async def shown(to: SshAddress) -> str:
        return "SHA256:x"

    monkeypatch.setattr(ssh_connection, "_fingerprint", shown)
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (tmp_path / "known hosts").write_text(f"* {key}" if known else "")
    to = SshAddress("pi", HOSTILE, 2222, "pi", tmp_path / "key", tmp_path / "known hosts")
    error = asyncio.run(ssh_connection._problem(to, asyncssh.HostKeyNotVerifiable("no")))
    words = shlex.split(error.hint.rpartition("same: ")[2])
    assert words[-6:] == ["ssh-keyscan", "-p", "2222", HOSTILE, ">>", str(tmp_path / "known hosts")]
    if known:
        assert words[:2] == ["ssh-keygen", "-R"]
        assert words[2] == f"[{HOSTILE}]:2222"


def test_copying_the_key_quotes_user_and_address(tmp_path: Path) -> None:
    """They are one word."""
    to = SshAddress("pi", HOSTILE, 22, "p'i", tmp_path / "a key", tmp_path / "known_hosts")
    error = asyncio.run(ssh_connection._problem(to, asyncssh.PermissionDenied("no")))
    words = shlex.split(error.hint.removesuffix(", or set user and key in devices.yaml"))
    assert words == ["ssh-copy-id", "-i", str(tmp_path / "a key"), "-p", "22", f"p'i@{HOSTILE}"]
