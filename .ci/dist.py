"""``make dist``: build the sdist and the wheel into dist/, check what is in them, and use the wheel as a person would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

from packaging.metadata import Metadata

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
PACKAGE = ROOT / "harness" / "edgeworthy"
#: Files that are no modules and that nothing works without.
DATA = (
    "templates/*",
    "weights/*",
    "measurements/tiny/*",
    "reports/html/templates/*",
    "reports/html/charts/*",
    "py.typed",
)
EXTRAS = "digits,onnx"
#: What a package lacks would show as a refusal, which is no failure.
ALL_PASSED = (
    "from edgeworthy import load_run; assert set(load_run('results/latest').cells.status) == {'pass', 'rejected'}"
)


def main() -> None:
    """Build, check, try; exits with a sentence where something is wrong."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT))
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    check_contents(wheel, sdist)
    check_metadata(wheel, sdist)
    with tempfile.TemporaryDirectory(prefix="dist-") as folder:
        try_out(wheel, Path(folder))
    print(f"dist: {wheel.name} and {sdist.name} are ready")


def check_contents(wheel: Path, sdist: Path) -> None:
    """Each module and each data file of the package is in both."""
    patterns = ("**/*.py", *DATA)
    wanted = {f"edgeworthy/{path.relative_to(PACKAGE)}" for each in patterns for path in PACKAGE.glob(each)}
    wanted -= {name for name in wanted if "__pycache__" in name}
    with zipfile.ZipFile(wheel) as archive:
        must_hold(wheel, wanted, set(archive.namelist()))
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2].removeprefix("harness/") for name in archive.getnames()}
    must_hold(sdist, wanted | {"pyproject.toml", "README.md", "LICENSE"}, inside)


def must_hold(distribution: Path, wanted: set[str], inside: set[str]) -> None:
    """Exit where one of the wanted files is missing."""
    if missing := sorted(wanted - inside):
        raise SystemExit(f"dist: {distribution.name} lacks {', '.join(missing)}")


def check_metadata(wheel: Path, sdist: Path) -> None:
    """Valid by the packaging specifications, and of the version that pyproject.toml says."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        of_wheel = archive.read(name)
    with tarfile.open(sdist) as archive:
        member = archive.extractfile(f"{sdist.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert member is not None
        of_sdist = member.read()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for distribution, content in ((wheel, of_wheel), (sdist, of_sdist)):
        metadata = Metadata.from_email(content, validate=True)
        if str(metadata.version) != version or not metadata.description:
            raise SystemExit(f"dist: {distribution.name}: version {metadata.version}, not {version}, or no description")


def try_out(wheel: Path, folder: Path) -> None:
    """In a new environment and an empty folder: install, ``edgeworthy init``, its first run."""
    run(sys.executable, "-m", "venv", str(folder / "venv"))
    programs, project = folder / "venv" / "bin", folder / "project"
    project.mkdir()
    install = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*install, "-c", str(ROOT / "constraints.txt"), f"{wheel}[{EXTRAS}]")
    run(str(programs / "edgeworthy"), "init", cwd=project)
    run(str(programs / "pytest"), "benchmarks/", cwd=project)
    run(str(programs / "python"), "-c", ALL_PASSED, cwd=project)


def run(*command: str, cwd: Path = ROOT) -> None:
    """Run a command, shown as it runs; exits where it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if subprocess.run(command, cwd=cwd, env=environment, check=False).returncode:
        raise SystemExit(f"dist: {' '.join(command)} failed")


if __name__ == "__main__":
    main()
