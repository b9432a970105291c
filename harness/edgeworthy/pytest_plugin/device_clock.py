"""The device's clock as a timer for pytest-benchmark: it shows the times that were measured on the device.

``@pytest.mark.benchmark(timer=device_clock)`` makes pytest-benchmark read it before and after every round; between
the two readings the replayed round moves it on by one measured inference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray


class DeviceClock:
    """Seconds on the device, moved on by replaying nanosecond samples."""

    __name__ = "device_clock"  # pytest-benchmark shows and stores a timer's name

    def __init__(self) -> None:
        self._now_ns = 0

    def __call__(self) -> float:
        """Now, in seconds."""
        return self._now_ns / 1e9

    def replay(self, samples_ns: NDArray[np.int64]) -> Callable[[], None]:
        """A function that moves the clock on by the next sample every time it is called."""
        # From zero each time: a double then holds every sum to the nanosecond for 100 days.
        self._now_ns = 0
        remaining: Iterator[int] = iter(samples_ns.tolist())

        def advance() -> None:
            self._now_ns += next(remaining)

        return advance


device_clock = DeviceClock()
