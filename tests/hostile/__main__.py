"""Throw hostile YAML files, names and damaged results at the commands, and say what was seen of what must not be.

Every case is made from the seed and its number, so that ``--seed 0 --case 17`` makes one of them again.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from edgeworthy.reports import run_folder
from edgeworthy.runs.run import Run
from edgeworthy.runs.run_file import Scope

from tests.hostile import front_door, results, yaml_files
from tests.unit.test_rows import CELL, full_run

MODELS: dict[str, Any] = {
    "version": 1,
    "datasets": {"digits": {"kind": "npz", "path": "digits.npz", "classes": 10}},
    "models": {
        CELL.model: {
            "source": {"path": "linear.onnx"},
            "dataset": "digits",
            "reference": "ort_fp32",
            "variants": {"ort_fp32": {}, "quick": {"recipe": "ort_int8_minmax", "options": {"calibration_samples": 9}}},
        }
    },
    "budgets": [{"max_drop_points": 2.0, "max_p50_ms": 50, "variant": "quick"}],
    "latency": {"loads": 3, "samples_per_load": 10},
}
DEVICES: dict[str, Any] = {
    "version": 1,
    "devices": {
        "host": {"kind": "host", "backends": {"cpu": {"threads": 1}}},
        "phone": {"kind": "android", "serial": "x", "benchmark_model": "/b", "backends": {"cpu": {"delegate": "cpu"}}},
    },
}
WAIVERS: dict[str, Any] = {
    "version": 1,
    "waivers": [
        {
            "model": CELL.model,
            "variant": CELL.variant,
            "target": CELL.target,
            "reason": "known",
            "issue": "https://example.org/1",
            "expires": "2999-01-01",
            "metric": "latency",
        }
    ],
}
NAMES = [
    os.fsdecode(b"caf\xe9"), "\x1b[2Jboo", "a\x07b", "line\nbreak", "\u202etxt", "x" * 300, "x/" * 2000, "\ud800", " ", "-",
    "[/]", "../../..", "/dev/full", "/proc/self/mem", "*", "[a", "\U0001f600", "a:b:c", "%s%n", "${HOME}",
]  # fmt: skip
RUN = "results/run"


def main() -> int:
    """Exit status 1 where anything was seen that must not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--case", type=int, help="this case alone, with what it printed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgeworthy-hostile-") as name:
        good = Path(name) / "good"
        _make_good(good)
        numbers = range(asked.count) if asked.case is None else [asked.case]
        bad = sum(_is_bad(Path(name), good, asked.seed, number, shown=asked.case is not None) for number in numbers)
    print(f"{len(numbers)} cases, {bad} with defects")
    return int(bad > 0)


def _make_good(folder: Path) -> None:
    """A project with a run and a baseline, all as it should be; every command passes on it."""
    run = folder / RUN
    (folder / "benchmarks").mkdir(parents=True)
    for path, document in (("benchmarks/models", MODELS), ("devices", DEVICES), ("benchmarks/waivers", WAIVERS)):
        (folder / f"{path}.yaml").write_text(yaml.safe_dump(document))
    (folder / "pytest.ini").write_text("[pytest]\nedge_results = results\n")
    begun = Run.begin(run, [CELL], Scope())
    verdicts, journal = full_run(run)
    truth = journal.truth(CELL.model)
    assert truth is not None
    journal.save_truth(CELL.model, dataclasses.replace(truth, dataset="0" * 64))
    for verdict in verdicts:
        begun.log.add(verdict)
    run_folder.finish(begun, folder, complete=True, notes=[])
    for arguments in (["models"], ["report", RUN], ["baseline", "accept", RUN, "--reason", "first"], *_READ):
        front_door.warm(folder, list(arguments))
        ended = front_door.run(folder, list(arguments))
        if ended.defects():
            sys.exit(f"the undamaged project: edgeworthy {arguments}: {ended}")


_READ = (
    ["report", RUN],
    ["select", "--target", CELL.target, "--run", RUN],
    ["gate", "--run", RUN, "--baseline", "results/baselines"],
    ["baseline", "diff", RUN, "results/baselines"],
)


def _hostile_yaml(folder: Path, dice: random.Random) -> list[str]:
    path, document = dice.choice(
        [("benchmarks/models.yaml", MODELS), ("devices.yaml", DEVICES), ("benchmarks/waivers.yaml", WAIVERS)]
    )
    (folder / path).write_bytes(yaml_files.hostile(document, dice))
    return list(_READ[2]) if "waivers" in path else ["models"]


def _hostile_name(folder: Path, dice: random.Random) -> list[str]:
    name = dice.choice(NAMES)
    commands = [
        ["models", "--models", name], ["report", name], ["select", "--target", name, "--run", RUN], ["schema", name],
        ["gate", "--run", name, "--baseline", name], ["diagnose", name, name], ["diagnose", CELL.model, name],
        ["export", name, name, "--run", RUN], ["baseline", "diff", name, RUN], ["init", name], ["tune", name],
        ["baseline", "accept", RUN, "--reason", name, "--model", name],
    ]  # fmt: skip
    with contextlib.suppress(OSError, ValueError):
        (folder / "benchmarks" / name).mkdir()
    return dice.choice(commands)


def _damaged_results(folder: Path, dice: random.Random) -> list[str]:
    results.damage(folder / dice.choice(["results", RUN]), dice)
    return list(dice.choice(_READ))


_KINDS: list[Callable[[Path, random.Random], list[str]]] = [_hostile_yaml, _hostile_name, _damaged_results]


def _is_bad(base: Path, good: Path, seed: int, number: int, *, shown: bool) -> bool:
    """Make the case, run it, and say what is wrong with how it ended."""
    folder, dice = base / f"case-{number}", random.Random(f"{seed}/{number}")
    shutil.copytree(good, folder, symlinks=True)
    arguments = _KINDS[number % len(_KINDS)](folder, dice)
    ended = front_door.run(folder, arguments)
    if shown:
        sys.stdout.write(ended.output.decode("utf-8", "replace"))
    for defect in ended.defects():
        print(f"case {number}: edgeworthy {ascii(' '.join(arguments))[:200]}: {defect}", flush=True)
    shutil.rmtree(folder)
    return bool(ended.defects())


if __name__ == "__main__":
    with contextlib.redirect_stderr(io.TextIOWrapper(sys.stderr.buffer, errors="backslashreplace")):
        sys.exit(main())
