"""What stands for a user's function: every file of theirs that it is written in, found without importing one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from edgeworthy.errors import SourceError
from edgeworthy.user_code.function_files import function_digest, imported_files

#: A repository in which everything raises on import, for nothing may be imported.
FILES = {
    "net.py": "import blocks\nfrom parts import heads\ndef build():\n    from parts.deep.down import layer\n",
    "blocks.py": "import numpy, json, nowhere\nimport net\nfrom parts.names import *\n",
    "parts/__init__.py": "",
    "parts/heads.py": "from . import necks\nfrom .deep import down as below\nfrom ...beyond import x\n",
    "parts/necks.py": "from .names import width\n",
    "parts/names.py": "if True:\n    try:\n        import spaces.inner\n    except ImportError: pass\n",
    "parts/deep/__init__.py": "import broken\n",
    "parts/deep/down.py": "import parts.necks as again\n",
    "spaces/inner.py": "'a package without __init__'\n",
    "broken.py": "def:\n",
    "unused.py": "",
    "parts/unused.py": "",
    "test_net.py": "import net\n",
}
USED = {name for name in FILES if "unused" not in name and not name.startswith("test_")}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "1 / 0\n" if text != "def:\n" else text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_all_that_is_imported_is_found_and_nothing_else(repository: Path) -> None:
    """Packages, modules behind ``from``, relative and conditional imports, in functions, in circles; no file twice."""
    found = [path.relative_to(repository).as_posix() for path in imported_files(repository / "net.py", repository)]
    assert found[0] == "net.py"
    assert len(found) == len(set(found))
    assert set(found) == USED


@pytest.mark.parametrize("name", ["net.py:build", "net:build"])
def test_each_file_and_no_other_changes_the_digest(repository: Path, name: str) -> None:
    """By file or by module: one more comment in any of them is another function."""
    digests = [function_digest(name, repository)]
    for file in sorted(FILES):
        path = repository / file
        path.write_text(path.read_text() + "# another word\n")
        digests.append(function_digest(name, repository))
        assert (digests[-1] != digests[-2]) == (file in USED), file
    assert not {"net", "parts", "blocks"} & set(sys.modules)


def test_a_function_in_a_package_starts_with_the_packages_around_it(repository: Path) -> None:
    """Python runs each __init__.py on the way, so they count."""
    before = function_digest("parts.deep.down:layer", repository)
    (repository / "parts" / "__init__.py").write_text("import blocks")
    assert function_digest("parts.deep.down:layer", repository) != before


def test_a_warning_of_the_users_code_is_not_raised_while_reading_it(repository: Path) -> None:
    """An escape that Python will once refuse is told when the module is imported, not here."""
    (repository / "net.py").write_text("import blocks\nPATTERN = '\\d'\n")
    assert repository / "blocks.py" in imported_files(repository / "net.py", repository)


def test_the_same_text_in_another_folder_is_the_same_function(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A checkout elsewhere finds its artifacts in a shared store."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "alone.py").write_text("x = 1\n")
    (repository / "alone.py").write_text("x = 1\n")
    assert function_digest("alone.py:build", elsewhere) == function_digest("alone.py:build", repository)


def test_an_installed_function_counts_with_its_own_package_only(tmp_path: Path) -> None:
    """A factory that stands in site-packages is followed within its package, and not into its neighbours."""
    site = tmp_path / "site-packages"
    (site / "zoo").mkdir(parents=True)
    (site / "zoo" / "__init__.py").touch()
    (site / "zoo" / "net.py").write_text("from zoo import blocks\nimport neighbour\n")
    (site / "zoo" / "blocks.py").touch()
    (site / "neighbour.py").touch()
    told = "import sys; from pathlib import Path; from edgeworthy.user_code.function_files import function_digest;"
    command = [sys.executable, "-c", told + "print(function_digest('zoo.net:build', Path.cwd()))"]

    def ask() -> str:
        environment = {"PYTHONPATH": f"{site}:{Path(__file__).parents[2] / 'harness'}"}
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

    before = ask()
    (site / "neighbour.py").write_text("changed = 1")
    assert ask() == before
    (site / "zoo" / "blocks.py").write_text("changed = 1")
    assert ask() != before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent.py:build", r"absent\.py: no such file"),
        ("absent.module:build", r"'absent\.module:build': there is no module 'absent\.module'"),
        ("net", "'net' does not name a function"),
        ("net.py:", r"'net\.py:' does not name a function"),
    ],
)
def test_missing_function_is_named(repository: Path, name: str, said: str) -> None:
    """One sentence, and what to do."""
    with pytest.raises(SourceError, match=said) as raised:
        function_digest(name, repository)
    assert raised.value.hint
