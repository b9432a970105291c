"""An ADB daemon in this process, for what a real one cannot be made to do: authentication, and faults at will.

It speaks AOSP's ``protocol.txt``, ``SYNC.TXT`` and ``shell_protocol.h``; commands run in this machine's own ``sh``,
files are this machine's files. That Debian's adb client takes it for a phone is a test (test_adb_daemon.py).
"""

from __future__ import annotations

import base64
import contextlib
import math
import queue
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tests.lab import adb_services
from tests.lab.machine import ADDRESS, free_port

SHELL_V2 = "shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir"
SHELL_V1 = "cmd"
#: With this version both sides sum up all data.
VERSION, MAX_DATA = 0x01000000, 256 * 1024
HEADER = struct.Struct("<4s5I")
TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3
#: A base64 of AOSP's RSAPublicKey: words, n0inv, modulus, rr, exponent.
ANDROID_KEY = struct.Struct("<LL256s256sL")


class Dropped(Exception):
    """The connection is to end, now."""


@dataclass(frozen=True)
class Packet:
    """One ADB packet."""

    command: bytes
    arg0: int = 0
    arg1: int = 0
    data: bytes = b""

    def packed(self) -> bytes:
        """As it goes over the wire."""
        magic = int.from_bytes(self.command, "little") ^ 0xFFFFFFFF
        return HEADER.pack(self.command, self.arg0, self.arg1, len(self.data), sum(self.data), magic) + self.data


class Stream:
    """One stream to a service: reads what the host writes, and waits for its yes after each write."""

    def __init__(self, connection: Connection, local_id: int, remote_id: int) -> None:
        self.connection = connection
        self.ids = (local_id, remote_id)
        self.incoming: queue.Queue[bytes | None] = queue.Queue()
        self.acknowledged = threading.Semaphore(0)
        self._buffer = b""

    def read(self, count: int) -> bytes:
        """Exactly so many bytes. Raises EOFError where the host has closed the stream."""
        while len(self._buffer) < count:
            data = self.incoming.get()
            if data is None:
                raise EOFError
            self._buffer += data
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def write(self, data: bytes) -> None:
        """Send, packet by packet."""
        for at in range(0, len(data), MAX_DATA):
            self.connection.send(Packet(b"WRTE", *self.ids, data[at : at + MAX_DATA]))
            self.acknowledged.acquire()


class Connection:
    """One host that is connected."""

    def __init__(self, daemon: AdbDaemon, connected: socket.socket) -> None:
        self.daemon = daemon
        self.socket = connected
        self.streams: dict[int, Stream] = {}
        self._token = b""
        self._sending = threading.Lock()

    def serve(self) -> None:
        """Answer until the host is gone, or a fault ends it."""
        with contextlib.suppress(OSError, EOFError, Dropped), self.socket:
            while True:
                packet = self._receive()
                self.daemon.received.append(packet)
                self.daemon.fault(self, packet)
                getattr(self, f"_on_{packet.command.decode().lower()}")(packet)
        for stream in self.streams.values():
            stream.incoming.put(None)
            stream.acknowledged.release()

    def send(self, packet: Packet) -> None:
        """Send a packet; of several threads, one at a time."""
        self.send_bytes(packet.packed())

    def send_bytes(self, data: bytes) -> None:
        """Send what need not be a packet."""
        with self._sending, contextlib.suppress(OSError):
            self.socket.sendall(data)

    def greet(self) -> None:
        """Let the host in."""
        banner = f"device::ro.product.name=double;ro.product.model=Double;features={self.daemon.features}"
        self.send(Packet(b"CNXN", VERSION, MAX_DATA, banner.encode()))

    def _receive(self) -> Packet:
        command, arg0, arg1, size, _, _ = HEADER.unpack(self._exactly(HEADER.size))
        return Packet(command, arg0, arg1, self._exactly(size))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _on_cnxn(self, packet: Packet) -> None:
        if self.daemon.known_keys is None:
            self.greet()
        else:
            self._ask()

    def _ask(self) -> None:
        self._token = secrets.token_bytes(20)
        self.send(Packet(b"AUTH", TOKEN, 0, self._token))

    def _on_auth(self, packet: Packet) -> None:
        if packet.arg0 == SIGNATURE:
            known = any(_signed(key, self._token, packet.data) for key in self.daemon.known_keys or ())
            self.greet() if known else self._ask()
        elif packet.arg0 == PUBLIC_KEY and self.daemon.person_says_yes:
            assert self.daemon.known_keys is not None
            self.daemon.known_keys.append(packet.data.rstrip(b"\0"))
            self.greet()

    def _on_open(self, packet: Packet) -> None:
        service = adb_services.find(packet.data.rstrip(b"\0").decode(), self.daemon.features)
        if service is None:
            self.send(Packet(b"CLSE", 0, packet.arg0))
            return
        stream = Stream(self, len(self.streams) + 1, packet.arg0)
        self.streams[stream.ids[0]] = stream
        self.send(Packet(b"OKAY", *stream.ids))
        threading.Thread(target=self._run, args=(service, stream), daemon=True).start()

    def _run(self, service: Callable[[Stream], None], stream: Stream) -> None:
        with contextlib.suppress(EOFError):
            service(stream)
        self.send(Packet(b"CLSE", *stream.ids))

    def _on_wrte(self, packet: Packet) -> None:
        self.streams[packet.arg1].incoming.put(packet.data)
        self.send(Packet(b"OKAY", packet.arg1, packet.arg0))

    def _on_okay(self, packet: Packet) -> None:
        self.streams[packet.arg1].acknowledged.release()

    def _on_clse(self, packet: Packet) -> None:
        if packet.arg1 in self.streams:
            self.streams[packet.arg1].incoming.put(None)


Fault = Callable[[Connection, Packet], None]


def no_fault(connection: Connection, packet: Packet) -> None:
    """All is well."""


class AdbDaemon:
    """Listens on loopback, on a free port where none is given.

    ``known_keys``: the hosts' public keys that it lets in, None for everybody; ``person_says_yes`` on the screen to
    an unknown one; ``room_bytes``: a larger file has no space. ``fault`` sees every packet before it is answered, and
    may send anything, wait, or raise Dropped. ``received`` is every packet that came.
    """

    def __init__(self, port: int = 0) -> None:
        self.known_keys: list[bytes] | None = None
        self.person_says_yes = False
        self.features = SHELL_V2
        self.room_bytes = math.inf
        self.fault: Fault = no_fault
        self.received: list[Packet] = []
        self.connections: list[Connection] = []
        self._listening = socket.create_server((ADDRESS, port or free_port()))
        self.port: int = self._listening.getsockname()[1]

    def accept_all(self) -> None:
        """Serve every host that comes, until closed."""
        with contextlib.suppress(OSError):
            while True:
                connected, _ = self._listening.accept()
                connection = Connection(self, connected)
                self.connections.append(connection)
                threading.Thread(target=connection.serve, daemon=True).start()

    def drop_all(self) -> None:
        """End every connection, as a cable that is pulled."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no more, and end every connection."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.drop_all()


@contextlib.contextmanager
def adb_daemon(port: int = 0) -> Iterator[AdbDaemon]:
    """A daemon that serves until the block ends."""
    daemon = AdbDaemon(port)
    serving = threading.Thread(target=daemon.accept_all, daemon=True)
    serving.start()
    try:
        yield daemon
    finally:
        daemon.close()
        serving.join(5)


def _signed(key: bytes, token: bytes, signature: bytes) -> bool:
    _, _, modulus, _, exponent = ANDROID_KEY.unpack(base64.b64decode(key.split()[0]))
    public = rsa.RSAPublicNumbers(exponent, int.from_bytes(modulus, "little")).public_key()
    try:
        public.verify(signature, token, padding.PKCS1v15(), Prehashed(hashes.SHA1()))
    except InvalidSignature:
        return False
    return True
