"""Read a YAML file as data, and remember on which line each key stands.

YAML is untrusted input: only the safe constructor is used, aliases may not multiply into a bomb, duplicate keys
are an error, and of the environment only ``${EDGE_...}`` variables expand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edgeworthy.errors import ConfigError
from edgeworthy.suggestions import did_you_mean

MAX_BYTES = 4_000_000
MAX_VALUES = 200_000
MAX_DEPTH = 64
_PLAIN_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlFile:
    """A parsed YAML file: plain ``data``, and the 1-based line of every key path."""

    path: Path
    data: Any
    lines: dict[KeyPath, int]

    def where(self, keys: Sequence[str | int]) -> str:
        """``file:line: key.path`` of the deepest part of ``keys`` that the file really has."""
        dotted = ".".join(str(key) for key in keys)
        line = self.line(keys)
        return f"{self.path}:{line}: {dotted}" if dotted else f"{self.path}:{line}"

    def line(self, keys: Sequence[str | int]) -> int:
        """The line of the deepest part of ``keys`` that the file really has."""
        known = tuple(keys)
        while known not in self.lines and known:
            known = known[:-1]
        return self.lines.get(known, 1)

    def error(self, keys: Sequence[str | int], problem: str, hint: str = "") -> ConfigError:
        """A ConfigError about the value at ``keys``."""
        return ConfigError(f"{self.where(keys)}: {problem}", hint=hint or f"correct this key in {self.path.name}")

    def unknown_name(self, keys: Sequence[str | int], kind: str, name: str, known: Sequence[str]) -> ConfigError:
        """A ConfigError about a name that nothing defines, with the nearest valid one."""
        return self.error(keys, f"unknown {kind} {name!r}; {did_you_mean(name, known)}")


def read_yaml(path: Path) -> YamlFile:
    """Parse ``path``.

    Raises ConfigError when it is missing, too large, not YAML, repeats a key, expands to more than MAX_VALUES
    values, or names an environment variable that is not set or does not start with ``EDGE_``.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file", hint="run 'edgeworthy init' to write a first one")
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(
            f"{path}: larger than {MAX_BYTES // 1_000_000} MB; this is not a configuration file",
            hint="give a configuration file; data belongs into a dataset's files",
        )
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start})", hint="save the file as UTF-8"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(
            f"{path}:{line}: not valid YAML: {error.problem or error.context}", hint="correct the syntax at this line"
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:  # "\\U00110000" is a ValueError
        raise ConfigError(f"{path}: not valid YAML: {error}", hint="correct the syntax of the file") from error
    if root is None:
        raise ConfigError(f"{path}: the file is empty", hint="run 'edgeworthy init' to see a first one")
    _refuse_bomb(path, root)
    walk = _Walk(path)
    return YamlFile(path, walk.value(root, ()), walk.lines)


def _refuse_bomb(path: Path, root: yaml.Node) -> None:
    """Count the values, and the levels, that the document expands to; a shared node counts anew for every alias."""
    measured: dict[int, tuple[int, int]] = {}
    open_nodes: set[int] = set()

    def measure(node: yaml.Node, depth: int) -> tuple[int, int]:
        """Values and levels below and including ``node``."""
        line = node.start_mark.line + 1
        if id(node) in open_nodes:
            raise ConfigError(f"{path}:{line}: an alias that contains itself", hint="remove the alias")
        if depth > MAX_DEPTH:
            raise ConfigError(f"{path}:{line}: nested deeper than {MAX_DEPTH} levels", hint="nest less deeply")
        if id(node) in measured:
            return measured[id(node)]
        open_nodes.add(id(node))
        below = [measure(child, depth + 1) for child in _children(node)]
        open_nodes.discard(id(node))
        values = 1 + sum(size for size, _ in below)
        levels = 1 + max((height for _, height in below), default=0)
        if values > MAX_VALUES:
            raise ConfigError(
                f"{path}:{line}: aliases expand to more than {MAX_VALUES:,} values (a YAML bomb)",
                hint="write the values out, without aliases",
            )
        if levels > MAX_DEPTH:
            raise ConfigError(
                f"{path}:{line}: aliases nest deeper than {MAX_DEPTH} levels",
                hint="write the values out, without aliases",
            )
        measured[id(node)] = values, levels
        return values, levels

    measure(root, 0)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


class _Walk:
    """Turns composed nodes into plain data, noting lines and refusing duplicate keys."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[KeyPath, int] = {}
        self._constructor = yaml.SafeLoader("")

    def value(self, node: yaml.Node, at: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(at, line)
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN_COLLECTIONS:
            raise ConfigError(f"{self.path}:{line}: not plain data: the tag {node.tag!r}", hint="remove the tag")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*at, index)) for index, item in enumerate(node.value)]
        try:
            plain = self._constructor.construct_object(node)
        except Exception as error:  # PyYAML passes on whatever int(), float(), dates and its own dictionaries raise
            problem = getattr(error, "problem", None) or f"{node.value!r} is no {node.tag.rpartition(':')[2]}"
            raise ConfigError(
                f"{self.path}:{line}: not plain data: {problem}", hint="correct this value, or put it into quotes"
            ) from error
        return self._expand(plain, node) if isinstance(plain, str) else plain

    def _mapping(self, node: yaml.MappingNode, at: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise ConfigError(f"{self.path}:{line}: a key must be plain text", hint="write the key as plain text")
            if key in found:
                raise ConfigError(
                    f"{self.path}:{line}: the key {key!r} stands twice; the first is on line {self.lines[(*at, key)]}",
                    hint="remove one of the two",
                )
            self.lines[(*at, key)] = line
            found[key] = self.value(value_node, (*at, key))
        return found

    def _expand(self, text: str, node: yaml.Node) -> str:
        def replace(match: re.Match[str]) -> str:
            name = match.group(1)
            where = f"{self.path}:{node.start_mark.line + 1}"
            if not name.startswith("EDGE_"):
                raise ConfigError(
                    f"{where}: ${{{name}}} is not expanded; only EDGE_* variables are",
                    hint="rename the variable to EDGE_..., or write the value",
                )
            if name not in os.environ:
                raise ConfigError(f"{where}: the environment variable {name} is not set", hint=f"export {name}=...")
            return os.environ[name]

        return _VARIABLE.sub(replace, text)
