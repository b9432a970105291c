"""Opening an SSH connection: who may be trusted, and what to do where it fails.

Host keys are held against known_hosts and never taken on trust, and no password is asked for. The user's
``~/.ssh/config`` is not read: what devices.yaml says is all that counts.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from edgeworthy.errors import DeviceAbsent, DeviceError, DeviceRefuses

CONNECT_S = 10.0
#: A board that is being started refuses connections for a moment.
ATTEMPTS, PAUSE_S = 3, 0.5
#: A peer that has not answered for about five seconds is gone.
KEEPALIVE_S, KEEPALIVES = 1, 5


@dataclass(frozen=True)
class SshAddress:
    """How a board is reached: devices.yaml's keys."""

    device: str
    address: str
    port: int
    user: str
    key: Path
    known_hosts: Path

    def __str__(self) -> str:
        return f"{self.device} ({self.user}@{self.address}:{self.port})"


async def connect(to: SshAddress) -> asyncssh.SSHClientConnection:
    """An authenticated connection. Raises DeviceAbsent, or DeviceRefuses with what to do about it."""
    options = _options(to)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await asyncssh.connect(to.address, to.port, options=options)
        except (asyncssh.Error, OSError) as error:
            if attempt == ATTEMPTS or not isinstance(error, ConnectionError):
                raise await _problem(to, error) from error
            await asyncio.sleep(PAUSE_S)
    raise AssertionError("the last attempt returns or raises")


def _options(to: SshAddress) -> asyncssh.SSHClientConnectionOptions:
    agent = os.environ.get("SSH_AUTH_SOCK")
    if not to.key.is_file() and not agent:
        raise DeviceRefuses(
            f"{to}: there is no private key {to.key}, and no ssh-agent",
            hint=f"ssh-keygen -t ed25519 -f {shlex.quote(str(to.key))}, then {_copy_id(to)}",
        )
    try:
        return asyncssh.SSHClientConnectionOptions(
            username=to.user,
            client_keys=[str(to.key)] if to.key.is_file() else [],
            ignore_encrypted=bool(agent),
            agent_path=agent,
            known_hosts=_known_hosts(to),
            config=None,
            preferred_auth=["publickey"],
            connect_timeout=CONNECT_S,
            login_timeout=CONNECT_S,
            keepalive_interval=KEEPALIVE_S,
            keepalive_count_max=KEEPALIVES,
        )
    except (asyncssh.KeyImportError, OSError) as error:
        raise DeviceRefuses(
            f"{to}: the private key {to.key} cannot be used: {error}",
            hint=f"give a private key of OpenSSH's format; one with a passphrase needs ssh-add "
            f"{shlex.quote(str(to.key))}",
        ) from error


def _known_hosts(to: SshAddress) -> asyncssh.SSHKnownHosts:
    """The keys that are trusted; none where the file is missing."""
    try:
        text = to.known_hosts.read_text() if to.known_hosts.exists() else ""
        return asyncssh.import_known_hosts(text)
    except (OSError, ValueError) as error:
        raise DeviceRefuses(
            f"{to}: {to.known_hosts} cannot be read: {error}", hint="mend it, or set known_hosts in devices.yaml"
        ) from error


async def _problem(to: SshAddress, error: BaseException) -> DeviceError:
    """What went wrong, in our words."""
    if isinstance(error, (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed)):
        return await _host_key_problem(to, error)
    if isinstance(error, asyncssh.PermissionDenied):
        return DeviceRefuses(
            f"{to}: it does not accept the key {to.key}",
            hint=f"{_copy_id(to)}, or set user and key in devices.yaml",
        )
    if isinstance(error, ConnectionRefusedError):
        return DeviceAbsent(
            f"{to}: nothing listens on port {to.port}", hint="start sshd on it, or set port in devices.yaml"
        )
    if isinstance(error, TimeoutError):
        return DeviceAbsent(
            f"{to}: offline: no answer within {CONNECT_S:g} s", hint="check its power, its network and its address"
        )
    if isinstance(error, socket.gaierror):
        return DeviceAbsent(f"{to}: no such host: {error.strerror}", hint="set address in devices.yaml")
    return DeviceAbsent(
        f"{to}: cannot be connected to: {error or type(error).__name__}",
        hint="check that sshd runs on it, and the network between",
    )


async def _host_key_problem(to: SshAddress, error: BaseException) -> DeviceRefuses:
    host_keys, ca_keys, revoked, *_ = _known_hosts(to).match(to.address, "", to.port)
    if not (host_keys or ca_keys or revoked) and isinstance(error, asyncssh.KeyExchangeFailed):
        return DeviceRefuses(
            f"{to}: no cipher or key type in common: {error}", hint="bring OpenSSH on the board up to date"
        )
    file, name = shlex.quote(str(to.known_hosts)), to.address if to.port == 22 else f"[{to.address}]:{to.port}"
    add = f"ssh-keyscan -p {to.port} {shlex.quote(to.address)} >> {file}"
    compare = "compare it on the board itself: for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $f; done"
    shown = await _fingerprint(to)
    if host_keys or ca_keys or revoked:
        return DeviceRefuses(
            f"{to}: its host key ({shown}) is not the one in {to.known_hosts}: it was reinstalled, or another machine "
            "has its address",
            hint=f"{compare}; only if it is the same: ssh-keygen -R {shlex.quote(name)} -f {file}, then {add}",
        )
    return DeviceRefuses(
        f"{to}: its host key ({shown}) is not in {to.known_hosts}", hint=f"{compare}; if it is the same: {add}"
    )


async def _fingerprint(to: SshAddress) -> str:
    try:
        async with asyncio.timeout(CONNECT_S):
            key = await asyncssh.get_server_host_key(to.address, to.port, config=None)
    except (asyncssh.Error, OSError):
        return "unreadable"
    return "none" if key is None else f"{key.algorithm.decode()} {key.get_fingerprint()}"


def _copy_id(to: SshAddress) -> str:
    return f"ssh-copy-id -i {shlex.quote(str(to.key))} -p {to.port} {shlex.quote(f'{to.user}@{to.address}')}"
