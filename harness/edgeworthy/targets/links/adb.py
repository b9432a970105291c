"""The link to an Android phone, over the Android Debug Bridge."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeworthy.errors import CommandFailed, CommandTimeout, DeviceFull
from edgeworthy.storage import writing
from edgeworthy.targets.links.adb_command import KILLED, limited
from edgeworthy.targets.links.adb_errors import connecting, working
from edgeworthy.targets.links.adb_keys import load_key
from edgeworthy.targets.links.adb_session import AdbSession, SyncFailed
from edgeworthy.targets.links.adb_transport import TcpConnection, UsbConnection
from edgeworthy.targets.links.base import Done
from edgeworthy.targets.links.reading import reading

#: The device ends a command in time by itself; an end that comes later than this is a dead link.
GRACE_S = 3.0
#: Moving, removing and looking at files.
FILES_S = 10.0
#: Free blocks and their size where a file is to go; what keeps it from there is said in the device's own words.
ROOM = """
if [ -d "$1" ]; then echo "it is a folder" >&2; exit 1; fi
folder=${1%/*}/
mkdir -p "$folder" && { [ -w "$folder" ] || : >"$1"; } && exec stat -f -c "%a %S" "$folder"
"""
#: So much of a command is shown in an error, on one line.
SHOWN_LETTERS = 100
NEXT_FOLDER = "choose a work_folder in devices.yaml that the device's shell may write"


class AdbLink:
    """Runs commands and carries files over one connection, one after the other; see :class:`Link`."""

    def __init__(self, device: str, connection: UsbConnection | TcpConnection, key: Path) -> None:
        self.device = device
        self.connection = connection
        self._key = key
        self._session: AdbSession | None = None
        self._lock = threading.RLock()

    def run(self, words: Sequence[str], timeout_s: float) -> Done:
        """Run a command to its end, its standard input empty; see :meth:`Link.run`."""
        asked = textwrap.shorten(shlex.join(words), SHOWN_LETTERS, placeholder=" ...")
        if any("\0" in word for word in words):
            raise CommandFailed(
                f"{self.device}: {asked!r} has a NUL in it, which no command can have", hint="rename the file"
            )
        with self._working(repr(asked)) as session:
            start = time.monotonic()
            done = session.execute(limited(words, timeout_s), timeout_s + GRACE_S)
            seconds = time.monotonic() - start
        if done.status == KILLED and seconds >= timeout_s:
            self.close()
            raise CommandTimeout(
                f"{self.device}: {asked!r} did not end within {timeout_s:g} s and was killed there",
                hint="check what the device is busy with, or allow more time",
            )
        return done

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the device; ``remote`` is absolute; see :meth:`Link.push`."""
        temporary, needed = f"{remote}.{secrets.token_hex(8)}.part", local.stat().st_size
        has = self._free_bytes(remote)
        if has < needed:
            raise self._full(remote, needed, has)
        try:
            with local.open("rb") as source, self._working(f"the push of {remote!r}") as session:
                session.send(source, temporary)
        except SyncFailed as error:
            self.run(["rm", "-f", temporary], FILES_S)
            if "No space left" in str(error):
                raise self._full(remote, needed, self._free_bytes(remote)) from error
            raise CommandFailed(f"{self.device}: cannot write {remote!r}: {error}", hint=NEXT_FOLDER) from error
        self._write(["mv", "-f", temporary, remote], remote)

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the device; see :meth:`Link.pull`. Raises StoreError where it cannot be written here."""
        temporary = local.with_name(f".{local.name}.{secrets.token_hex(8)}.part")
        with writing(local):
            try:
                with temporary.open("wb") as sink, self._working(f"the pull of {remote!r}") as session:
                    session.receive(remote, sink)
                temporary.replace(local)
            except SyncFailed as error:
                raise CommandFailed(
                    f"{self.device}: cannot read {remote!r}: {error}",
                    hint="see whether the command that should have written it has failed",
                ) from error
            finally:
                temporary.unlink(missing_ok=True)

    def close(self) -> None:
        """End the connection; the next call opens another."""
        with self._lock:
            session, self._session = self._session, None
            if session is not None:
                session.close()

    def _full(self, remote: str, needed: int, has: int) -> DeviceFull:
        folder = remote.rpartition("/")[0] or "/"
        return DeviceFull(
            f"{self.device}: no space on {folder}: needs {needed / 1e6:.1f} MB, has {has / 1e6:.1f} MB",
            hint="delete what is not needed there, or choose another work_folder in devices.yaml",
        )

    def _free_bytes(self, remote: str) -> int:
        done = self._write(["sh", "-c", ROOM, "sh", remote], remote)
        with reading(self.device, f"'stat -f' of {remote!r}", done.stdout):
            blocks, block_bytes = map(int, done.text.split())
        return blocks * block_bytes

    def _write(self, words: Sequence[str], remote: str) -> Done:
        """A command that must succeed for ``remote`` to be written."""
        done = self.run(words, FILES_S)
        if done.status != 0:
            reason = done.stderr.decode(errors="replace").strip() or f"{words[0]} ended with status {done.status}"
            raise CommandFailed(f"{self.device}: cannot write {remote!r}: {reason}", hint=NEXT_FOLDER)
        return done

    @contextlib.contextmanager
    def _working(self, doing: str) -> Iterator[AdbSession]:
        """The open session, for one thread at a time. Whatever interrupts the work closes it: it is out of step."""
        with self._lock:
            if self._session is not None and self._session.has_ended:
                self.close()
            if self._session is None:
                self._session = self._connect()
            try:
                with working(self.device, doing):
                    yield self._session
            except BaseException:
                self.close()
                raise

    def _connect(self) -> AdbSession:
        key = load_key(self._key)
        with connecting(self.device, str(self.connection), key):
            session = AdbSession(self.connection.transport())
            session.open(key)
        return session
