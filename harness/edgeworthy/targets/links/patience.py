"""Asking again while a link is down."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from edgeworthy.errors import DeviceAbsent, LinkLost

#: A board starts anew within this time, a phone nearly always.
PATIENCE_S = 120.0
PAUSE_S = 0.5

Answer = TypeVar("Answer")


def patiently(call: Callable[[], Answer]) -> Answer:
    """Call again while the link is lost or the device away, for PATIENCE_S. Only for what may be done twice.

    Raises DeviceAbsent when the time is over, whichever way the last call failed, and any other error at once.
    """
    deadline = None
    while True:
        try:
            return call()
        except (LinkLost, DeviceAbsent) as error:
            deadline = deadline or time.monotonic() + PATIENCE_S  # the call itself may have been at work for long
            if time.monotonic() + PAUSE_S > deadline:
                raise DeviceAbsent(
                    f"{error.message}; connecting again for {PATIENCE_S:g} s did not help", hint=error.hint
                ) from error
            time.sleep(PAUSE_S)


def at_first_contact(call: Callable[[], Answer]) -> Answer:
    """Call a device that may not be there: DeviceAbsent is raised at once, and a link that was there is waited for."""
    try:
        return call()
    except LinkLost:
        return patiently(call)
