"""Asking again while a link is down."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from harness.errors import DeviceAbsent, LinkLost

#: A board starts anew within this time, a phone nearly always.
PATIENCE_S = 120.0
PAUSE_S = 0.5

Answer = TypeVar("Answer")


def patiently(call: Callable[[], Answer]) -> Answer:
    """Call again while the link is lost or the device away, for PATIENCE_S. Only for what may be done twice.

    Raises DeviceAbsent or LinkLost when the time is over, and any other error at once.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except (LinkLost, DeviceAbsent) as error:
            if time.monotonic() + PAUSE_S > deadline:
                raise type(error)(
                    f"{error.message}; connecting again for {PATIENCE_S:g} s did not help", next_step=error.next_step
                ) from error
            time.sleep(PAUSE_S)
