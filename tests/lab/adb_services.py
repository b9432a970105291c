"""What the ADB daemon double does on a stream: commands (shell v2, shell, exec) and files (sync)."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.adb_daemon import Stream

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
SHELL_HEADER = struct.Struct("<BI")
SYNC_HEADER = struct.Struct("<4sI")
#: id, error, dev, ino, mode, nlink, uid, gid, size, atime, mtime, ctime
STAT_V2 = struct.Struct("<4sIQQIIIIQqqq")
CHUNK = 64 * 1024
EXECUTABLE = 0o755

Service = Callable[["Stream"], None]


def find(name: str, features: str) -> Service | None:
    """The service of this name; None where a device of these features has none."""
    kind, _, command = name.partition(":")
    kind, *options = kind.split(",")
    if kind == "shell" and "v2" in options:
        return (lambda stream: shell_v2(stream, command)) if "shell_v2" in features else None
    if kind in ("shell", "exec"):
        return lambda stream: shell(stream, command)
    return sync if kind == "sync" else None


def shell(stream: Stream, command: str) -> None:
    """Both outputs in one, no exit status."""
    process = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with process, process.stdout as output:  # type: ignore[union-attr]
        while data := os.read(output.fileno(), CHUNK):
            stream.write(data)


def shell_v2(stream: Stream, command: str) -> None:
    """Outputs apart, and the exit status; standard input is not passed on."""
    process = subprocess.Popen(
        ["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    writing = threading.Lock()

    def forward(output: IO[bytes], kind: int) -> None:
        with output:
            while data := os.read(output.fileno(), CHUNK):
                with writing:
                    stream.write(SHELL_HEADER.pack(kind, len(data)) + data)

    assert process.stdout is not None
    assert process.stderr is not None
    errors = threading.Thread(target=forward, args=(process.stderr, STDERR), daemon=True)
    errors.start()
    forward(process.stdout, STDOUT)
    errors.join()
    status = process.wait()
    stream.write(SHELL_HEADER.pack(EXIT, 1) + bytes([status if status >= 0 else 128 - status]))


def sync(stream: Stream) -> None:
    """Files, request by request, until the host quits."""
    while True:
        kind, size = SYNC_HEADER.unpack(stream.read(SYNC_HEADER.size))
        if kind == b"QUIT":
            return
        path = stream.read(size).decode()
        SYNC[kind](stream, path)


def _stat(stream: Stream, path: str) -> None:
    try:
        found = Path(path).stat()
        stream.write(struct.pack("<4s3I", b"STAT", found.st_mode, found.st_size, int(found.st_mtime)))
    except OSError:
        stream.write(struct.pack("<4s3I", b"STAT", 0, 0, 0))


def _stat_v2(stream: Stream, path: str, kind: bytes, stat: Callable[[str], os.stat_result]) -> None:
    try:
        s = stat(path)
    except OSError as error:
        stream.write(STAT_V2.pack(kind, error.errno or 0, *([0] * 10)))
        return
    identity = (s.st_dev, s.st_ino, s.st_mode, s.st_nlink, s.st_uid, s.st_gid, s.st_size)
    stream.write(STAT_V2.pack(kind, 0, *identity, int(s.st_atime), int(s.st_mtime), int(s.st_ctime)))


def _send(stream: Stream, path_and_mode: str) -> None:
    """As adbd does, say at once why a file cannot be written, and let the host finish."""
    path, _, _ = path_and_mode.rpartition(",")
    chunks = _chunks(stream)
    try:
        _write(Path(path), chunks, stream.connection.daemon.room_bytes)
    except OSError as error:
        Path(path).unlink(missing_ok=True)
        _fail(stream, f"couldn't write file: {error.strerror}")
        for _ in chunks:
            pass
        return
    stream.write(SYNC_HEADER.pack(b"OKAY", 0))


def _write(path: Path, chunks: Iterator[bytes], room_bytes: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as sink:
        for data in chunks:
            if sink.tell() + len(data) > room_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sink.write(data)
    path.chmod(EXECUTABLE)


def _chunks(stream: Stream) -> Iterator[bytes]:
    while True:
        kind, size = SYNC_HEADER.unpack(stream.read(SYNC_HEADER.size))
        if kind == b"DONE":
            return
        assert kind == b"DATA", kind
        yield stream.read(size)


def _receive(stream: Stream, path: str) -> None:
    try:
        with Path(path).open("rb") as source:
            while data := source.read(CHUNK):
                stream.write(SYNC_HEADER.pack(b"DATA", len(data)) + data)
    except OSError as error:
        _fail(stream, f"open failed: {error.strerror}")
        return
    stream.write(SYNC_HEADER.pack(b"DONE", 0))


def _fail(stream: Stream, reason: str) -> None:
    stream.write(SYNC_HEADER.pack(b"FAIL", len(reason)) + reason.encode())


SYNC: dict[bytes, Callable[[Stream, str], None]] = {
    b"STAT": _stat,
    b"STA2": lambda stream, path: _stat_v2(stream, path, b"STA2", os.stat),
    b"LST2": lambda stream, path: _stat_v2(stream, path, b"LST2", os.lstat),
    b"SEND": _send,
    b"RECV": _receive,
}
