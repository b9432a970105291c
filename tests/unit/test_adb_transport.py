"""Connecting takes no longer than its limit, whatever it is that does not answer."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from edgeworthy.targets.links import adb_transport
from edgeworthy.targets.links.adb_transport import TcpTransport, Unreachable


def test_hanging_resolver_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's has no time limit of its own; what comes of it later is closed."""
    answers, done = threading.Event(), threading.Event()
    made, other = socket.socketpair()

    def hangs(*args: object, **options: object) -> socket.socket:
        answers.wait(30)
        done.set()
        return made

    monkeypatch.setattr(adb_transport, "CONNECT_S", 0.1)
    monkeypatch.setattr(adb_transport.socket, "create_connection", hangs)
    start = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer within 0\.1 s"):
        TcpTransport("phone.local", 5555).connect(None)
    assert time.monotonic() - start < 10
    answers.set()
    assert done.wait(10)
    other.settimeout(10)
    assert other.recv(1) == b"", "the late connection is closed"
    other.close()


@pytest.mark.parametrize("address", ["a..b", "x" * 300, "nowhere.invalid"])
def test_invalid_host_name_is_unreachable(address: str) -> None:
    """Whether it cannot be a name or nobody knows it."""
    with pytest.raises(Unreachable):
        TcpTransport(address, 5555).connect(None)
