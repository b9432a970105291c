"""How bytes reach a phone: by TCP, with the defects of adb-shell's transport mended, and by USB.

adb-shell's TCP transport ignores a short ``send`` (a push hangs where packets are small), leaves Nagle's algorithm on
(44 ms for a command), and takes the peer's end of stream for "nothing yet" (a busy loop until the time limit).
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from adb_shell.exceptions import UsbDeviceNotFoundError
from adb_shell.transport.base_transport import BaseTransport

CONNECT_S = 5.0
#: A daemon that is being started refuses; it is asked again after so many seconds, and again.
PAUSES_S = (0.2, 0.4, 0.8)
#: Once begun, a packet goes on: no pause within it is longer.
PACKET_S = 8.0


class UsbUnavailable(Exception):
    """libusb, or its Python package, is not installed on this machine."""


class Unreachable(Exception):
    """No connection could be made."""


class NotListening(Unreachable):
    """The machine is there and refuses the port, also when asked again."""


class TcpTransport(BaseTransport):  # type: ignore[misc]  # adb-shell has no types
    """Bytes over TCP. Raises Unreachable, TimeoutError where the peer falls silent, ConnectionError where it is gone."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.port = port
        self._socket: socket.socket | None = None

    def connect(self, transport_timeout_s: float | None) -> None:
        """Connect, patiently with a daemon that is just being started."""
        for pause_s in PAUSES_S:
            try:
                return self._connect()
            except NotListening:
                time.sleep(pause_s)
        return self._connect()

    def has_ended(self) -> bool:
        """Whether the peer has ended the connection while nobody looked; there may be data before the end."""
        return self._polled(select.POLLRDHUP, 0)

    def readable(self, timeout_s: float) -> bool:
        """Whether something can be read within the time: data, or the end."""
        return self._polled(select.POLLIN, timeout_s)

    def bulk_read(self, numbytes: int, transport_timeout_s: float | None) -> bytes:
        """At least one byte, at most ``numbytes``, of a packet that has begun."""
        with self._connected() as connection:
            data = connection.recv(numbytes)
        if not data:
            raise ConnectionResetError("the device ended the connection")
        return data

    def bulk_write(self, data: bytes, transport_timeout_s: float | None) -> int:
        """Send all of it, however little is taken at a time."""
        rest = memoryview(data)
        with self._connected() as connection:
            while rest:
                rest = rest[connection.send(rest) :]
        return len(data)

    def close(self) -> None:
        """End the connection; harmless where there is none."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        try:
            self._socket = connected(self.address, self.port, CONNECT_S)
        except ConnectionRefusedError as error:
            raise NotListening("nothing listens there") from error
        except TimeoutError as error:
            raise Unreachable(f"no answer within {CONNECT_S:g} s") from error
        except (OSError, UnicodeError) as error:  # the latter of a name that can be none
            raise Unreachable(getattr(error, "strerror", None) or str(error)) from error
        self._socket.settimeout(PACKET_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _polled(self, event: int, timeout_s: float) -> bool:
        with self._connected() as connection:
            waiting = select.poll()
            waiting.register(connection, event)
            return bool(waiting.poll(1000 * timeout_s))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        """The socket; a network that went away is a lost connection like any other."""
        if self._socket is None:
            raise ConnectionResetError("the connection is closed")
        try:
            yield self._socket
        except (TimeoutError, ConnectionError):
            raise
        except OSError as error:
            raise ConnectionError(error.strerror or str(error)) from error


def connected(address: str, port: int, timeout_s: float) -> socket.socket:
    """A connection, within the time also where the name is looked up: the system's resolver has no limit of its own.

    Raises TimeoutError, and what the resolver and the connection raise.
    """
    found: Future[socket.socket] = Future()

    def connect() -> None:
        made: socket.socket | Exception
        try:
            made = socket.create_connection((address, port), timeout=timeout_s)
        except Exception as error:
            made = error
        waited_for = found.set_running_or_notify_cancel()
        if isinstance(made, Exception):
            if waited_for:
                found.set_exception(made)
        elif waited_for:
            found.set_result(made)
        else:
            made.close()

    threading.Thread(target=connect, name=f"connecting to {address}", daemon=True).start()
    try:
        return found.result(timeout_s)
    except TimeoutError:
        if found.cancel():
            raise
    return found.result()  # it came at the last moment


@dataclass(frozen=True)
class TcpConnection:
    """A phone that is reached over the network: ``adb tcpip`` or a board's own adbd."""

    address: str
    port: int = 5555

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"

    def transport(self) -> TcpTransport:
        """A transport that is not connected yet."""
        return TcpTransport(self.address, self.port)


@dataclass(frozen=True)
class UsbConnection:
    """A phone on a USB cable, by the serial number that ``adb devices`` shows."""

    serial: str

    def __str__(self) -> str:
        return f"USB, serial {self.serial}"

    def transport(self) -> Any:
        """adb-shell's own transport. Raises UsbUnavailable, UsbDeviceNotFoundError, or libusb's USBError."""
        try:
            # Importing it loads libusb.
            import usb1
            from adb_shell.transport.usb_transport import UsbTransport
        except (ImportError, OSError) as error:
            raise UsbUnavailable(str(error)) from error
        seen, denied = [], None
        for phone in UsbTransport.find_all_adb_devices():
            try:
                seen.append(phone.serial_number)
            except usb1.USBError as error:
                denied = error
            if self.serial in seen:
                return phone
        raise denied or UsbDeviceNotFoundError(f"there is {', '.join(seen) or 'no phone at all'}")
