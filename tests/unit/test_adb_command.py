"""Words reach a command on the device exactly as they are, and what it says comes back whole or not at all."""

from __future__ import annotations

import subprocess

import pytest
from edgeworthy.targets.links.adb_command import (
    EXIT,
    HEADER,
    KILLED,
    STDERR,
    STDOUT,
    StreamClosed,
    StreamGarbled,
    limited,
    marked,
    parse_marked,
    parse_shell_v2,
)
from edgeworthy.targets.links.base import Done
from hypothesis import given, settings
from hypothesis import strategies as st

#: Text that a shell would love to interpret, and any other.
LETTERS = st.one_of(
    st.sampled_from("'\"`$(){};&|<>\\\n\r\t *?[]~#!=%a-"), st.characters(codec="utf-8", exclude_characters="\0")
)
WORDS = st.lists(st.text(LETTERS, max_size=12), max_size=5)


def sh(script: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh", "-c", script], capture_output=True, timeout=20, check=False)


@settings(deadline=None, max_examples=60)
@given(WORDS)
def test_arguments_are_quoted(words: list[str]) -> None:
    """A real shell hands every word on unchanged: nothing in it is run, expanded, split or redirected."""
    done = sh(limited(["printf", "%s\\0", *words], 10))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"".join(word.encode() + b"\0" for word in words or [""])


@pytest.mark.parametrize("status", [0, 1, 126, 255])
def test_status_is_the_commands_own(status: int) -> None:
    """The exit status passes through the time limit."""
    assert sh(limited(["sh", "-c", f"exit {status}"], 10)).returncode == status


def test_time_limit_kills_the_command_and_its_children() -> None:
    """A command that runs on is killed after its time, with what it has started, and gives 137."""
    done = sh(limited(["sh", "-c", "echo begun; sleep 20 & sleep 20"], 0.2))
    assert (done.returncode, done.stdout) == (KILLED, b"begun\n")


def test_standard_input_is_empty() -> None:
    """A command that reads waits for nobody."""
    assert sh(limited(["cat"], 5)).returncode == 0


def packed(*packets: tuple[int, bytes]) -> bytes:
    return b"".join(HEADER.pack(kind, len(data)) + data for kind, data in packets)


@given(st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=20))), st.integers(0, 255))
def test_shell_v2_packets_are_parsed(packets: list[tuple[int, bytes]], status: int) -> None:
    """Both outputs, whole, and the status; kinds of packets that are not known are passed over."""
    done = parse_shell_v2(packed(*packets, (9, b"?"), (EXIT, bytes([status]))))
    both = [b"".join(data for kind, data in packets if kind == wanted) for wanted in (STDOUT, STDERR)]
    assert done == Done(status, *both)


def test_every_truncation_of_a_shell_v2_stream_is_noticed() -> None:
    """No cut makes an answer of half of one."""
    whole = packed((STDOUT, b"all is "), (STDERR, b"!"), (STDOUT, b"well"), (EXIT, b"\0"))
    for length in range(len(whole)):
        with pytest.raises((StreamClosed, StreamGarbled)):
            parse_shell_v2(whole[:length])


def test_marker_carries_status_and_stderr() -> None:
    """On a device without shell v2: both outputs and the status, from a real shell."""
    command = limited(["sh", "-c", "printf 'out 1'; printf 'err 2' >&2; exit 7"], 5)
    assert parse_marked(sh(marked(command, "MARK")).stdout, b"MARK") == Done(7, b"out 1", b"err 2")


def test_missing_marker_means_killed() -> None:
    """A shell that was killed leaves output without an end."""
    assert parse_marked(b"half an ans", b"MARK") == Done(KILLED, b"half an ans", b"")
    with pytest.raises(StreamGarbled):
        parse_marked(b"outMARK x", b"MARK")
