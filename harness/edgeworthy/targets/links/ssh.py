"""A link to a board over SSH, by asyncssh, as plain calls.

What the library does not say by itself is said here: a connection that is lost during a command gives no exit status
and raises nothing, a time limit on this side leaves the command running, and a full disk is any failure, with half a
file left behind (seen with asyncssh 2.24 and OpenSSH 9).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import shlex
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path, PurePosixPath

import asyncssh

from edgeworthy.errors import CommandFailed, CommandTimeout, DeviceFull, LinkLost
from edgeworthy.storage import writing
from edgeworthy.targets.links.base import Done
from edgeworthy.targets.links.event_loop import wait_for
from edgeworthy.targets.links.ssh_connection import SshAddress, connect

#: How much later than the device itself we stop waiting for a command.
GRACE_S = 10.0
CLOSE_S = 2.0
_LOST = (asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, ConnectionError)
_FULL = (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded)


class SshLink:
    """A Link over one SSH connection, opened on first use."""

    def __init__(self, to: SshAddress) -> None:
        self.device = to.device
        self.to = to
        self._connection: asyncssh.SSHClientConnection | None = None
        self._files: asyncssh.SFTPClient | None = None

    def run(self, words: Sequence[str], timeout_s: float) -> Done:
        """Run a command to its end; any exit status is returned. Raises CommandTimeout after killing it on the board."""
        return wait_for(self._run(words, timeout_s))

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the board, under a temporary name first. Raises DeviceFull, or CommandFailed saying why not."""
        wait_for(self._push(local, remote))

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the board, under a temporary name first. Raises CommandFailed where there is none."""
        temporary = local.with_name(f".{local.name}.{uuid.uuid4().hex}.part")
        with writing(local):
            try:
                wait_for(self._pull(remote, temporary))
                temporary.replace(local)
            finally:
                temporary.unlink(missing_ok=True)

    def close(self) -> None:
        """End the connection; the next call opens another."""
        if self._connection is not None:
            wait_for(self._close())

    async def _run(self, words: Sequence[str], timeout_s: float) -> Done:
        limit_s = max(math.ceil(timeout_s), 1)
        command = shlex.join(["timeout", "-s", "KILL", str(limit_s), *words])
        begun = time.monotonic()
        async with self._working(f"running {words[0]}") as connection:
            running = connection.run(command, encoding=None, stdin=asyncssh.DEVNULL)
            done = await asyncio.wait_for(running, limit_s + GRACE_S)
            if done.returncode is None:
                raise asyncssh.ConnectionLost("no exit status")
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        if status == 137 and time.monotonic() - begun >= limit_s:
            raise CommandTimeout(
                f"{self.device}: {_shown(words)} did not finish within {limit_s} s and was killed there",
                hint="raise timeouts.cell_s in models.yaml, or see what keeps the device busy",
            )
        return Done(status, _bytes(done.stdout), _bytes(done.stderr))

    async def _push(self, local: Path, remote: str) -> None:
        size, temporary = local.stat().st_size, f"{remote}.{uuid.uuid4().hex}.part"
        async with self._copying(f"pushing {local.name} to {remote}") as files:
            await self._require_space(files, remote, size)
            try:
                await files.put(str(local), temporary)
                await files.posix_rename(temporary, remote)
            except asyncssh.SFTPError as error:
                with contextlib.suppress(*_LOST, asyncssh.SFTPError):
                    await files.remove(temporary)
                    await self._require_space(files, remote, size)
                if isinstance(error, _FULL):
                    raise self._full(remote, size, 0) from error
                raise

    async def _pull(self, remote: str, local: Path) -> None:
        async with self._copying(f"pulling {remote}") as files:
            await files.get(remote, str(local))

    async def _require_space(self, files: asyncssh.SFTPClient, remote: str, size: int) -> None:
        free = await files.statvfs(str(PurePosixPath(remote).parent))
        available = free.bavail * free.frsize
        if available < size:
            raise self._full(remote, size, available)

    def _full(self, remote: str, size: int, available: int) -> DeviceFull:
        return DeviceFull(
            f"{self.device}: no space in {PurePosixPath(remote).parent}: needs {size / 1e6:.1f} MB, has {available / 1e6:.1f} MB",
            hint="free some space on the device, or set another work_folder in devices.yaml",
        )

    @contextlib.asynccontextmanager
    async def _copying(self, doing: str) -> AsyncIterator[asyncssh.SFTPClient]:
        async with self._working(doing) as connection:
            if self._files is None:
                self._files = await connection.start_sftp_client()
            yield self._files

    @contextlib.asynccontextmanager
    async def _working(self, doing: str) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """The open connection; what the library raises meanwhile becomes an error of ours."""
        connection = await self._connected()
        try:
            yield connection
        except Exception as error:
            if isinstance(error, TimeoutError):
                await self._close()
                raise CommandTimeout(
                    f"{self.device}: {doing} took too long; the connection was closed",
                    hint="check the network and the device's load, then run again",
                ) from error
            if isinstance(error, _LOST) or (isinstance(error, asyncssh.Error) and connection.is_closed()):
                await self._close()
                raise LinkLost(
                    f"{self.device}: the link was lost while {doing}", hint="check its power and its network"
                ) from error
            if isinstance(error, asyncssh.Error):
                raise CommandFailed(
                    f"{self.device}: {doing} failed: {error.reason or type(error).__name__}",
                    hint="check the network and the device's SSH server, then run again",
                ) from error
            raise

    async def _connected(self) -> asyncssh.SSHClientConnection:
        if self._connection is not None and self._connection.is_closed():
            await self._close()
        if self._connection is None:
            self._connection = await connect(self.to)
        return self._connection

    async def _close(self) -> None:
        connection, self._connection, self._files = self._connection, None, None
        if connection is None:
            return
        connection.close()
        try:
            await asyncio.wait_for(connection.wait_closed(), CLOSE_S)
        except TimeoutError:
            connection.abort()


def _shown(words: Sequence[str]) -> str:
    line = shlex.join(words)
    return line if len(line) <= 80 else f"{line[:77]}..."


def _bytes(output: bytes | bytearray | memoryview | str | None) -> bytes:
    assert isinstance(output, bytes)  # asked for by encoding=None
    return output
