"""Ask pip what the extras resolve to for a Python, newest versions and no constraints, without installing anything.

``make check-installs`` runs it for each supported Python that this machine has. It says in a sentence where the
registry lacks a package.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
SHOWN = ("torch", "tensorflow", "keras", "onnx", "onnx2tf", "onnxruntime", "ai-edge-litert", "numpy")
TORCH = re.compile(r"(torch|torchvision)\b")


def requirements() -> list[str]:
    """What the package and the extra ``all`` ask for, extras of its own replaced by their requirements."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]

    def expanded(entries: list[str]) -> list[str]:
        found = []
        for entry in entries:
            own = re.fullmatch(r"edgeworthy\[(.*)\]", entry)
            found += [inner for name in own[1].split(",") for inner in expanded(extras[name])] if own else [entry]
        return found

    return sorted({*project["dependencies"], *expanded(extras["all"])})


def resolved(python: str, wanted: list[str]) -> dict[str, str]:
    """Name to version of what pip would install. Raises CalledProcessError with pip's words."""
    # fast-deps reads of each wheel its metadata alone: whole wheels are gigabytes, most of them CUDA's.
    command = [
        *(sys.executable, "-m", "pip", "--python", python, "install", "--use-feature=fast-deps"),
        *("--dry-run", "--ignore-installed", "--quiet", "--report", "-"),
    ]
    done = subprocess.run([*command, *wanted], check=True, capture_output=True, text=True)
    items = json.loads(done.stdout)["install"]
    return {item["metadata"]["name"].lower(): item["metadata"]["version"] for item in items}


def reason(error: subprocess.CalledProcessError) -> str:
    """pip's own line."""
    lines = [line for line in error.stderr.splitlines() if line.startswith("ERROR")]
    return (lines or error.stderr.splitlines() or ["no reason given"])[-1].removeprefix("ERROR: ")


def check(python: str) -> bool:
    """Whether everything resolves, or everything without torch where the registry lacks a package of its."""
    wanted = requirements()
    without = [entry for entry in wanted if not TORCH.match(entry)]
    for entries, note in ((wanted, ""), (without, " without torch")):
        try:
            found = resolved(python, entries)
        except subprocess.CalledProcessError as error:
            print(f"{python}: the extra all{note} does not resolve: {reason(error)}", flush=True)
            continue
        shown = ", ".join(f"{name} {found[name]}" for name in SHOWN if name in found)
        print(f"{python}: the extra all{note} resolves to {len(found)} packages: {shown}", flush=True)
        return True
    return False


if __name__ == "__main__":
    results = [check(python) for python in sys.argv[1:]]
    sys.exit(0 if all(results) else 1)
