"""A tier is built once, whole or not at all, and says why where it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab import tiers
from tests.lab.tiers import LabError, Tier, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="building the lab needs root")


@pytest.fixture
def tier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tier:
    """A tier whose content is one file, in a cache of its own."""
    monkeypatch.setattr(tiers, "LAB", tmp_path / "lab")
    recipe = tmp_path / "recipe"
    recipe.write_text("1")
    return Tier("small", "(x) small", {"sh": "dash"}, make=write, recipe=(recipe,))


def write(folder: Path) -> None:
    (folder / "made").write_text("whole")


def fail(folder: Path) -> None:
    (folder / "made").write_text("half")
    run("sh", "-c", "echo no such mirror >&2; exit 3")


def test_built_tier_is_kept_until_its_script_changes(tier: Tier) -> None:
    """A second build does nothing; another recipe or other pins build anew."""
    assert "is not built" in tier.missing()
    assert tier.build() == tier.missing() == ""
    made = (tier.folder / "made").stat().st_mtime_ns
    tier.build()
    assert (tier.folder / "made").stat().st_mtime_ns == made
    assert "is not built" in replace(tier, pins=("numpy==3",)).missing()
    tier.recipe[0].write_text("2")
    assert "is not built" in tier.missing()
    tier.build()
    assert (tier.folder / "made").stat().st_mtime_ns > made


def test_failed_build_leaves_its_reason_and_nothing_else(tier: Tier) -> None:
    """The reason is what the command said; the half-built folder is never taken; the next build tries again."""
    broken = replace(tier, make=fail)
    reason = broken.build()
    assert "ended with status 3: no such mirror" in reason
    assert broken.missing() == reason
    assert not broken.folder.exists()
    assert tier.build() == ""
    assert (tier.folder / "made").read_text() == "whole"


def test_missing_program_is_named_with_its_package(tier: Tier) -> None:
    """What must be installed is said as the package that brings it."""
    lacking = replace(tier, commands={"no-such-program": "no-such-package"})
    assert lacking.missing() == "needs Debian's no-such-package; 'make lab' installs it"


def test_missing_root_is_reported(tier: Tier, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user's tests are skipped with a reason, and his build fails with it."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in tier.missing()
    assert "needs root" in tier.build()


def test_command_that_hangs_is_ended(tier: Tier) -> None:
    """A build does not wait for ever."""
    with pytest.raises(LabError, match=r"did not finish in 0 s"):
        run("sleep", "60", timeout_s=0.2)


@pytest.mark.parametrize(("ci", "status"), [({}, "1 skipped"), ({"CI": "true"}, "1 error")], ids=["by_hand", "in_ci"])
def test_missing_phone_is_skipped_by_hand_and_fails_in_ci(tmp_path: Path, ci: dict[str, str], status: str) -> None:
    """The same test with an empty cache: a reason for a person, red where all of it must be there."""
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/lab/test_lab.py", "-k", "loopback", "-p", "no:cacheprovider"],
        env={**environment, **ci, "EDGE_LAB": str(tmp_path)}, cwd=tiers.REPOSITORY, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert status in done.stdout
    assert "(a) adbd of Debian trixie, with mksh and toybox: is not built; 'make lab' builds it" in done.stdout
