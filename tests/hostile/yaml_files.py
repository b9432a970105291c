"""Hostile YAML: a good file whose text or values were damaged, by the given randomness."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import yaml

#: What stands where a name, a number, a path or a list belongs.
VALUES: list[Any] = [
    None, True, -1, 0, 10**400, 1e308, float("nan"), float("inf"), "", " ", "\x1b[2J", "\x07bell", "a\x00b", "\u202etxt.exe",
    "x" * 5000, "../../../etc/passwd", "/dev/zero", "/proc/self/mem", "file\nname", "${HOME}", "${EDGE_MISSING}", "[bold]x[/]",
    "\U0010ffff", [], {}, [[[]]], {"": {"": None}}, ["a"] * 50, {"version": {"version": 2}}, "!!python/object:os.system",
]  # fmt: skip
#: Documents that are hostile as a whole.
DOCUMENTS: list[bytes] = [
    b"", b"\x00", b"\xff\xfe\x00", b"null", b"[]", b"- - - -", b"version: 1\nversion: 1\n", b"\xef\xbb\xbfversion: 1\n",
    b"version: &a [*a]\n", b"a: " + b"[" * 3000, b"{" * 3000, b"a: !!binary x", b"a: !!python/object/apply:os.system [id]",
    b"version: 1e999999\n", b"version: " + b"9" * 5000, b"a: 2024-13-45\n", b"? [a]\n: b\n", b"<<: [1]\n", b"a: *missing\n",
    b"\n".join([b"a0: &a0 [x, x]"] + [b"a%d: &a%d [*a%d, *a%d]" % (n, n, n - 1, n - 1) for n in range(1, 40)]),
    b"version: 1\nmodels: " + b"{a: " * 200 + b"1" + b"}" * 200, b"version: 0x\n", b"a: 190:20:30\n", b"%YAML 9.9\n---\na: 1\n",
    b"a: \x1b[31mred\n", b"'unclosed", b"a: |\n" + b"  line\n" * 100_000, "a: \ud800".encode("utf-8", "surrogatepass"),
]  # fmt: skip


def hostile(good: Any, dice: random.Random) -> bytes:
    """A damaged version of the good document."""
    damage: list[Callable[[], bytes]] = [
        lambda: dice.choice(DOCUMENTS),
        lambda: _damaged_text(yaml.safe_dump(good).encode(), dice),
        lambda: _dumped(_damaged_value(good, dice)),
        lambda: _dumped(_damaged_value(good, dice)),
    ]
    return dice.choice(damage)()


def _dumped(value: Any) -> bytes:
    return yaml.safe_dump(value, sort_keys=False).encode("utf-8", "surrogatepass")


def _damaged_text(text: bytes, dice: random.Random) -> bytes:
    """Bytes changed, cut off or repeated."""
    damaged = bytearray(text)
    for _ in range(dice.randint(1, 5)):
        at = dice.randrange(len(damaged))
        damaged[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 4))
    kind = dice.randrange(3)
    return bytes(damaged[: dice.randrange(1, len(damaged))] if kind == 0 else damaged * 2 if kind == 1 else damaged)


def _damaged_value(value: Any, dice: random.Random) -> Any:
    """A value, or a key, somewhere in the document replaced."""
    if not isinstance(value, dict | list) or not value or dice.random() < 0.15:
        return dice.choice(VALUES)
    if isinstance(value, list):
        at = dice.randrange(len(value))
        return [*value[:at], _damaged_value(value[at], dice), *value[at + 1 :]]
    key = dice.choice(list(value))
    if dice.random() < 0.2:
        return {**value, str(dice.choice(VALUES)): value[key]}
    return {**value, key: _damaged_value(value[key], dice)}
