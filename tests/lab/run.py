"""``python -m tests.lab.run [ARGS]``: pytest benchmarks/ on the lab's phone and pi, then the phone's answers beside the host's.

ARGS go to pytest, the reports to results/lab; without --edge-target all of both devices is measured. The exit status is
pytest's, or 1 where the phone answered otherwise.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml
from edgeworthy.measurements.project import Project

from tests.lab import build
from tests.lab.board import Board, pi_system
from tests.lab.phone import Phone
from tests.lab.same_outputs import compare
from tests.lab.tiers import REPOSITORY, LabError

RESULTS = REPOSITORY / "results" / "lab"
#: What the repository's devices.yaml demands of the host's XNNPACK is demanded of the lab's, too.
CPU = {"threads": 1, "min_delegated_percent": 60}
HOST = {"kind": "host", "backends": {"cpu": CPU, "reference": {"threads": 1, "delegate": False}}}
PHONE = {"cpu": {"delegate": "cpu", **CPU}, "reference": {"delegate": "cpu", "xnnpack": False}}


def main(arguments: list[str]) -> int:
    """Run the benchmarks on the lab, and hold what the phone answered against this machine."""
    for tier in (build.PHONE, build.PI):
        if reason := tier.missing():
            print(f"the lab's {tier.title}: {reason}", file=sys.stderr)
            return 1
    with tempfile.TemporaryDirectory(prefix="lab-bench-") as name, lab_devices(Path(name)) as devices_yaml:
        chosen = any(argument.startswith("--edge-target") for argument in arguments)
        targets = [] if chosen else ["--edge-target", "phone:*", "--edge-target", "pi:*"]
        options = ["-o", f"edge_devices={devices_yaml}", "-o", f"edge_results={RESULTS}"]
        status = python(
            "-c", "from edgeworthy.cli import main; main()", "devices", "setup", "pi", f"--devices={devices_yaml}"
        )
        status = status or python("-m", "pytest", "benchmarks/", *options, *targets, *arguments)
        return status or held_against_host(devices_yaml, Path(name) / "host")


@contextlib.contextmanager
def lab_devices(folder: Path) -> Iterator[Path]:
    """A devices.yaml of this machine, a phone and a pi; both run meanwhile."""
    for part in ("phone", "pi"):
        (folder / part).mkdir()
    with (
        contextlib.closing(Phone(folder / "phone", build.PHONE.folder, None)) as phone,
        contextlib.closing(Board(folder / "pi", pi_system(folder / "pi"))) as pi,
    ):
        entries = {
            "host": HOST,
            "phone": phone.devices_entry(backends=PHONE),
            "pi": pi.devices_entry(backends={"cpu": CPU}),
        }
        path = folder / "devices.yaml"
        path.write_text(yaml.safe_dump({"version": 1, "devices": entries}, sort_keys=False))
        yield path


def set_up(devices_yaml: Path) -> None:
    """Install the runtimes on the pi. Raises LabError."""
    if python("-c", "from edgeworthy.cli import main; main()", "devices", "setup", "pi", f"--devices={devices_yaml}"):
        raise LabError("'edgeworthy devices setup pi' failed")


def python(*arguments: str) -> int:
    """Run Python in the repository; gives back its exit status."""
    return subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, check=False).returncode


def held_against_host(devices_yaml: Path, scratch: Path) -> int:
    """Say which of the phone's cells did not answer as this machine does, sample by sample; 1 where there is one."""
    project = Project.load(REPOSITORY / "benchmarks" / "models.yaml", devices_yaml)
    cells = compare(RESULTS / "latest", project, "phone", scratch)
    others = [cell for cell in cells if not cell.same]
    for cell in others:
        print(
            f"{cell.cell}: {cell.other_answers} of {cell.samples} samples are answered otherwise than on this machine, "
            f"the largest output difference is {cell.largest_difference:.3g}"
        )
    print(
        f"the phone's outputs equal this machine's, sample by sample, in {len(cells) - len(others)} of {len(cells)} cells; "
        f"the largest output difference is {max((cell.largest_difference for cell in cells), default=0.0):.3g}"
    )
    return int(bool(others) or not cells)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
