"""A command on its way through ADB: its words as one line for the device's shell, and what came back.

Format of shell v2: AOSP ``packages/modules/adb/shell_protocol.h``: packets of id, length (little endian), data.
"""

from __future__ import annotations

import shlex
import struct
from collections.abc import Iterator, Sequence

from edgeworthy.targets.links.base import Done

#: 128 + SIGKILL
KILLED = 137
STDOUT, STDERR, EXIT = 1, 2, 3
HEADER = struct.Struct("<BI")

#: The status comes from a shell inside, for the one that toybox's timeout gives is now and then 127 (0.8.9, a race).
#: Where that shell was killed there is none.
LIMITED = """exec 4>&1
S=$(timeout -s KILL {seconds:.3f} sh -c '"$@" >&4 4>&-; echo $?' sh {words} 4>&4 </dev/null)
exit ${{S:-137}}"""

#: For a device without shell v2 (before Android 7): stderr is kept apart, and the end has a mark.
MARKED = """exec 3>&1
E=$( {{ {command}
}} 2>&1 >&3 3>&-)
printf '%s %d %s' {marker} $? "$E"
"""


class StreamClosed(Exception):
    """The device closed a stream before its reply was complete."""


class StreamGarbled(Exception):
    """What came is not in the format."""


def limited(words: Sequence[str], timeout_s: float) -> str:
    """The words as a script that kills the command on the device when its time is over. The only place that quotes."""
    return LIMITED.format(seconds=timeout_s, words=shlex.join(words))


def marked(script: str, marker: str) -> str:
    """A script whose output ends with the marker, its status and what it wrote to stderr."""
    return MARKED.format(command=script, marker=marker)


def parse_shell_v2(output: bytes) -> Done:
    """What a shell v2 stream says. Raises StreamGarbled, or StreamClosed where it has no exit status."""
    parts: dict[int, bytearray] = {STDOUT: bytearray(), STDERR: bytearray(), EXIT: bytearray()}
    for kind, data in _packets(output):
        if kind in parts:
            parts[kind] += data
    if not parts[EXIT]:
        raise StreamClosed("the command's stream ended without an exit status")
    return Done(parts[EXIT][0], bytes(parts[STDOUT]), bytes(parts[STDERR]))


def _packets(output: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(output):
        if at + HEADER.size > len(output):
            raise StreamGarbled("a shell packet's header is cut off")
        kind, size = HEADER.unpack_from(output, at)
        at += HEADER.size
        if at + size > len(output):
            raise StreamGarbled("a shell packet is cut off")
        yield kind, output[at : at + size]
        at += size


def parse_marked(output: bytes, marker: bytes) -> Done:
    """Output, marker, status and stderr; without a marker the shell was killed. Raises StreamGarbled."""
    stdout, found, rest = output.partition(marker)
    if not found:
        return Done(KILLED, output, b"")
    status, _, stderr = rest.removeprefix(b" ").partition(b" ")
    if not status.isdigit():
        raise StreamGarbled("the mark has no exit status")
    return Done(int(status), stdout, stderr)
