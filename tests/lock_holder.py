"""Another process that holds a lock of edgeworthy, as another run does."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

from tests.waiting import GUARD_S

HOLDER = """
import sys
from edgeworthy.targets.device_lock import exclusive_host, shared_host, device_lock
with {hold}:
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held_elsewhere(hold: str, environment: Mapping[str, str]) -> Iterator[Callable[[], None]]:
    """Another process is in ``with hold`` until the block ends, or earlier: what is given lets go, and has by its return."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(hold=hold)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def let_go() -> None:
            if holder.poll() is None:
                holder.communicate(timeout=GUARD_S)

        try:
            yield let_go
        finally:
            let_go()
            assert holder.returncode == 0
