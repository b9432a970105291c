"""Damage to a run's folder: bytes of its files, and values in its JSON."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.hostile.yaml_files import VALUES


def damage(run: Path, dice: random.Random) -> Path:
    """Damage one file of the run; returns which."""
    path = dice.choice(sorted(path for path in run.rglob("*") if path.is_file()))
    content = path.read_bytes()
    kind = dice.randrange(6)
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.write_bytes(content[: dice.randrange(len(content) or 1)])
    elif kind == 2:
        path.write_bytes(bytes(len(content)))
    elif kind == 3 and path.suffix in (".json", ".jsonl"):
        path.write_text("\n".join(_damaged_line(line, dice) for line in content.decode().splitlines()))
    else:
        path.write_bytes(flipped(content, dice))
    return path


def flipped(content: bytes, dice: random.Random, most: int = 40) -> bytes:
    """The content with at most so many of its bytes changed."""
    damaged = bytearray(content or b"x")
    for _ in range(dice.randint(1, most)):
        damaged[dice.randrange(len(damaged))] = dice.randrange(256)
    return bytes(damaged)


def _damaged_line(line: str, dice: random.Random) -> str:
    """A line of JSON, where it is one, with one of its values replaced."""
    try:
        value: Any = json.loads(line)
    except ValueError:
        return line
    if not isinstance(value, dict) or not value:
        return line
    return json.dumps({**value, dice.choice(list(value)): dice.choice(VALUES)})
