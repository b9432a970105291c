"""The YAML reader: plain data comes through whole, and whatever else comes is one ConfigError."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from edgeworthy.errors import ConfigError
from edgeworthy.yaml_file import MAX_DEPTH, read_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)

TEXT = st.text(st.characters(codec="utf-8")).filter(lambda text: "${" not in text)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.dates()
DATA = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)
#: Text that a YAML reader takes seriously more often than it would take noise.
YAML_LIKE = st.lists(
    st.sampled_from(["a: ", "- ", "&a ", "*a", "[", "]", "{", "}", "!!int ", "!!bool ", "!!timestamp ", "!!binary ",
                     "!!set ", "!x ", "? ", ": ", "<<: ", "\n", "  ", '"\\U00110000"', '"\\ud800"', "%YAML 9\n", "---\n",
                     "2024-13-01", "1:99", "0b", ".inf", "''", "|", ">", "${EDGE_NONE}", "${", "}", "~", "\t", "\0"])
    | TEXT
).map("".join)  # fmt: skip


def written(folder: Path, text: str) -> Path:
    path = folder / "some.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def place_or_refusal(path: Path) -> str:
    """Where the data begins, or why it is not data."""
    try:
        return read_yaml(path).where(())
    except ConfigError as error:
        return error.message


@SAME_FOLDER
@given(data=DATA)
def test_plain_data_is_read(tmp_path: Path, data: Any) -> None:
    """Whatever yaml.safe_dump writes is read back as it was."""
    assert read_yaml(written(tmp_path, yaml.safe_dump(data))).data == data


@SAME_FOLDER
@given(text=TEXT | YAML_LIKE)
def test_any_text_is_data_or_a_config_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    """No text makes the reader raise anything but a ConfigError."""
    assert "some.yaml" in place_or_refusal(written(tmp_path, text))


@SAME_FOLDER
@given(content=st.binary())
def test_any_bytes_are_data_or_a_config_error(tmp_path: Path, content: bytes) -> None:
    """Nor do any bytes."""
    path = tmp_path / "some.yaml"
    path.write_bytes(content)
    assert "some.yaml" in place_or_refusal(path)


def chained_aliases(levels: int) -> str:
    """Every line is shallow; each nests the one before it 20 levels deeper."""
    lines = ["n0: &n0 x"]
    lines += [f"n{i + 1}: &n{i + 1} {'[' * 20}*n{i}{']' * 20}" for i in range(levels // 20)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 5000, "not valid YAML"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nested deeper"),
        (chained_aliases(4000), "aliases nest deeper"),
        ("a: &a {b: *a}", "an alias that contains itself"),
        ('"\\U00110000"', "not valid YAML"),
        ("!!set {a, b}", "not plain data: the tag"),
        ("!!python/object/new:os.system [id]", "not plain data: the tag"),
        ("a: !!int ''", "some.yaml:1: not plain data"),
        ("a: !!bool maybe", "not plain data: 'maybe' is no bool"),
        ("a: !!timestamp soon", "not plain data"),
        ("a: 1\nb: 2\na: 3", "some.yaml:3: the key 'a' stands twice; the first is on line 1"),
        ("[1]: 2", "a key must be plain text"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
    ],
)
def test_attacks_and_typos_are_named(tmp_path: Path, text: str, words: str) -> None:
    """Deep nesting, also by aliases, foreign tags and broken scalars each get their own words."""
    with pytest.raises(ConfigError, match=words):
        read_yaml(written(tmp_path, text))


def test_only_edge_variables_expand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """${EDGE_...} is replaced, and what comes from it is text, not YAML."""
    monkeypatch.setenv("EDGE_ROOT", "[1, 2]")
    assert read_yaml(written(tmp_path, "a: ${EDGE_ROOT}/x")).data == {"a": "[1, 2]/x"}


def test_line_numbers_are_kept(tmp_path: Path) -> None:
    """An error about a key names its line; one about a missing key, its parent's."""
    document = read_yaml(written(tmp_path, "a:\n  b:\n    - 1\n    - 2\n"))
    assert document.where(("a", "b", 1)).endswith("some.yaml:4: a.b.1")
    assert document.where(("a", "missing")).endswith("some.yaml:1: a.missing")
