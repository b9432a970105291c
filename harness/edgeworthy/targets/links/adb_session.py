"""One connected ADB session, on adb-shell's, with its defects mended.

adb-shell drops what a device says while it is being written to (so the reason of a failed push is lost), waits in
vain for a stream that the device has refused, keeps no banner and no exit status, and adds up checksums byte by byte
in Python. Formats: AOSP ``packages/modules/adb``: ``protocol.txt``, ``SYNC.TXT``.
"""

from __future__ import annotations

import contextlib
import secrets
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from adb_shell import constants
from adb_shell.adb_device import AdbDevice, _AdbIOManager, _FileSyncTransactionInfo
from adb_shell.adb_message import AdbMessage, int_to_cmd, unpack
from adb_shell.exceptions import (
    AdbCommandFailureException,
    InvalidChecksumError,
    InvalidCommandError,
    PushFailedError,
)

from edgeworthy.targets.links.adb_command import StreamClosed, marked, parse_marked, parse_shell_v2
from edgeworthy.targets.links.adb_keys import AdbKey
from edgeworthy.targets.links.adb_transport import TcpTransport
from edgeworthy.targets.links.base import Done

#: So long a file may take to be opened or written to, on slow flash.
FILE_S = 30.0
#: A device that has said nothing for so long is asked for a sign of life, and given as much again.
HEARTBEAT_S = 4.0
#: Any device refuses this service at once.
PING = AdbMessage(constants.OPEN, 2**32 - 1, 0, b"edgeworthy-ping:\0")
#: A daemon that is well greets within milliseconds.
GREETING_S = 5.0
#: So long a person has to say yes on the phone's screen.
CONFIRM_S = 10.0
MODE = 0o100755

Packet = tuple[bytes, int, int, bytes]


class TlsWanted(Exception):
    """The device wants TLS: the wireless debugging of Android 11 and later."""


class NotConfirmed(Exception):
    """The device does not know the key, and nobody has said yes on its screen."""


class SyncFailed(Exception):
    """The device cannot write or read a file; the text is its reason."""


def checksum(data: bytes) -> int:
    """ADB's checksum: the sum of all bytes."""
    return int(np.frombuffer(data, np.uint8).sum(dtype=np.uint32))


class Packets(_AdbIOManager):  # type: ignore[misc]  # adb-shell has no types
    """Sends and receives packets; ``banner`` is what the device said of itself."""

    banner = b""

    def read(self, expected_cmds: Sequence[bytes], adb_info: Any, allow_zeros: bool = False) -> Packet:
        """The next expected packet of a stream. Raises StreamClosed where the device closes it instead."""
        packet: Packet = super().read([*expected_cmds, constants.CLSE], adb_info, allow_zeros)
        if packet[0] not in expected_cmds:
            raise StreamClosed("the device closed the stream")
        return packet

    def _read_expected_packet_from_device(self, expected_cmds: Sequence[bytes], adb_info: Any) -> Packet:
        packet: Packet = super()._read_expected_packet_from_device(expected_cmds, adb_info)
        if packet[0] == constants.CNXN:
            self.banner = packet[3]
        return packet

    def _send(self, msg: AdbMessage, adb_info: Any) -> None:
        words = (msg.command, msg.arg0, msg.arg1, len(msg.data), checksum(msg.data), msg.magic)
        self._transport.bulk_write(struct.pack(constants.MESSAGE_FORMAT, *words), adb_info.transport_timeout_s)
        if msg.data:
            self._transport.bulk_write(msg.data, adb_info.transport_timeout_s)

    def _read_packet_from_device(self, adb_info: Any) -> Packet:
        if isinstance(self._transport, TcpTransport):
            self._await(self._transport, adb_info)
        command, arg0, arg1, size, expected = unpack(self._read_bytes_from_device(constants.MESSAGE_SIZE, adb_info))
        name = constants.WIRE_TO_ID.get(command)
        if name is None:
            raise TlsWanted if int_to_cmd(command) == b"STLS" else InvalidCommandError(f"no ADB packet: {command:#x}")
        if size > constants.MAX_ADB_DATA:
            raise InvalidCommandError(f"a packet of {size} bytes")
        data = self._read_bytes_from_device(size, adb_info)
        if checksum(data) != expected:
            raise InvalidChecksumError("a packet with a wrong checksum")
        return name, arg0, arg1, data

    def _await(self, transport: TcpTransport, adb_info: Any) -> None:
        """Wait for a packet; raises TimeoutError, also where there is time left and the device shows no sign of life.

        Over USB the system tells when a device is gone.
        """
        deadline, asked = time.monotonic() + adb_info.transport_timeout_s, False
        while not transport.readable(min(HEARTBEAT_S, max(0, deadline - time.monotonic()))):
            if asked or time.monotonic() >= deadline:
                raise TimeoutError("the device shows no sign of life")
            if self.banner:
                self._send(PING, adb_info)
                asked = True


class AdbSession(AdbDevice):  # type: ignore[misc]  # adb-shell has no types
    """A connection to one device, from handshake to end. Raises what adb-shell, the sockets and this module raise."""

    _maxdata: int

    def __init__(self, transport: Any) -> None:
        super().__init__(transport)
        self._io_manager = Packets(transport)
        self._has_asked = False

    @property
    def has_ended(self) -> bool:
        """Whether the device has restarted, or dropped the connection, since the last call; over USB not known."""
        transport = self._io_manager._transport
        return isinstance(transport, TcpTransport) and transport.has_ended()

    @property
    def has_shell_v2(self) -> bool:
        """Whether the device can tell an exit status (Android 7 and later)."""
        return b"shell_v2" in self._io_manager.banner

    def open(self, key: AdbKey) -> None:
        """Shake hands. Raises NotConfirmed where the device has asked the person who holds it, and got no yes."""
        try:
            self.connect([key.signer], read_timeout_s=GREETING_S, auth_timeout_s=CONFIRM_S, auth_callback=self._asked)
        except Exception as error:
            self.close()
            if self._has_asked:
                raise NotConfirmed from error
            raise
        self._maxdata = min(self._maxdata, constants.MAX_ADB_DATA)

    def execute(self, command: str, limit_s: float) -> Done:
        """Run a shell command that ends by itself within the limit."""
        if self.has_shell_v2:
            return parse_shell_v2(self._output(b"shell,v2,raw", command, limit_s))
        marker = secrets.token_hex(16)
        return parse_marked(self._output(b"exec", marked(command, marker), limit_s), marker.encode())

    def send(self, source: BinaryIO, path: str) -> None:
        """Write a file on the device. Raises SyncFailed."""
        with self._sync(constants.FILESYNC_PUSH_FORMAT) as (stream, sync):
            self._push(source, path, MODE, int(time.time()), None, stream, sync)

    def receive(self, path: str, sink: BinaryIO) -> None:
        """Read a file of the device. Raises SyncFailed."""
        with self._sync(constants.FILESYNC_PULL_FORMAT) as (stream, sync):
            self._pull(path, sink, None, stream, sync)

    def _asked(self, _device: Any) -> None:
        self._has_asked = True

    def _output(self, service: bytes, command: str, limit_s: float) -> bytes:
        output: bytes = self._service(
            service, command.encode(), read_timeout_s=limit_s, timeout_s=limit_s, decode=False
        )
        return output

    @contextlib.contextmanager
    def _sync(self, message_format: bytes) -> Iterator[tuple[Any, Any]]:
        stream = self._open(b"sync:", None, FILE_S, None)
        try:
            yield stream, _FileSyncTransactionInfo(message_format, maxdata=self._maxdata)
        except PushFailedError as error:
            raise SyncFailed(bytes(error.args[0]).decode(errors="replace")) from error
        except AdbCommandFailureException as error:
            raise SyncFailed(str(error).removeprefix("Command failed: ")) from error
        self._clse(stream)

    def _filesync_flush(self, adb_info: Any, filesync_info: Any) -> None:
        """Send what is buffered; what the device says meanwhile is the reason why it will not have it, and is kept."""
        data = bytes(filesync_info.send_buffer[: filesync_info.send_idx])
        filesync_info.send_idx = 0
        self._io_manager.send(AdbMessage(constants.WRTE, adb_info.local_id, adb_info.remote_id, data), adb_info)
        while True:
            command, said = self._read_until([constants.OKAY, constants.WRTE], adb_info)
            if command == constants.OKAY:
                break
            filesync_info.recv_buffer += said
        if filesync_info.recv_buffer.startswith(constants.FAIL):
            self._filesync_read([], adb_info, filesync_info)
