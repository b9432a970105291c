"""Have the gate judge random models, of which one conversion in two is damaged, and compare it with the truth.

    python -m tests.random_models --seed 0 --models 6

The truth is computed beside it, by each artifact's own runtime: a damage that moves the metric beyond its budget, or
changes what a recipe promises to keep, must not pass; an undamaged conversion within its budget must.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from edgeworthy.reports.frames import load_run
from numpy.random import Generator
from numpy.typing import NDArray

from tests.integration.conftest import REPOSITORY, SUITES
from tests.random_models import specs
from tests.random_models.damage import KINDS
from tests.runtime_outputs import runtime_outputs

MAX_DROP, MAX_GROWTH, MAX_COLUMN_DROP = 2.0, 10.0, 10.0
REFERENCES = {"torch": "torch_fp32", "onnx": "ort_fp32", "keras": "fp32"}
SOUND = {
    "torch": ("torch_int8", "ort_fp32", "ort_dynamic", "ort_int8_minmax", "fp32", "int8"),
    "onnx": ("ort_dynamic", "ort_int8_minmax", "ort_float16", "fp32", "int8", "float16"),
    "keras": ("float16", "weight_only_int8", "int8", "ort_fp32", "ort_int8_minmax", "int16x8"),
}
DAMAGED = {
    "torch": ("damaged_torch", "damaged_ort", "damaged_int8", "checked_torch", "checked_ort"),
    "onnx": ("damaged_ort", "damaged_litert", "damaged_int8", "checked_ort", "checked_litert"),
    "keras": ("damaged_litert", "damaged_int8", "damaged_ort", "checked_litert", "checked_ort"),
}
#: What the last bit of a percentage may be; 100 - 98 is no more than 2.
ROUNDED = 1e-6
#: With an option, by which their artifacts are known from the canary's.
CALIBRATED = ("torch_int8", "ort_int8_minmax", "int8", "int16x8")
#: Of a column's spread: what differs by more is another model, whatever the metric says.
CHANGED = 0.02


def main() -> int:
    """Exit status 1 where a damage passed, or a sound conversion did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", type=int, default=6)
    parser.add_argument("--keep", type=Path, help="leave the project there, with its store and its reports")
    asked = parser.parse_args()
    if asked.keep:
        asked.keep.mkdir(parents=True)
        return campaign(asked.keep, asked.seed, asked.models)
    with tempfile.TemporaryDirectory(prefix="edgeworthy-random-models-") as name:
        return campaign(Path(name), asked.seed, asked.models)


def campaign(root: Path, seed: int, count: int) -> int:
    """Make the models, judge them, and say what came of each cell."""
    random = np.random.default_rng(seed)
    models = {
        f"m{number}": {**specs.random_spec(random), "framework": specs.FRAMEWORKS[number % len(specs.FRAMEWORKS)]}
        for number in range(count)
    }
    folder = root / "benchmarks"
    folder.mkdir()
    (folder / "specs.json").write_text(json.dumps(models))
    for framework in ("torch", "keras"):  # in a process each, as edgeworthy itself does
        subprocess.run(
            [sys.executable, "-m", f"tests.random_models.in_{framework}", str(folder)],
            cwd=REPOSITORY, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, check=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
    models = {name: spec for name, spec in models.items() if specs.is_varied(spec, _arrays(folder, name))}
    _write_project(root, models, random)
    command = [sys.executable, "-m", "pytest", "benchmarks", "-q", "-k", "accuracy", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(done.stdout + done.stderr)
    return _compare(root, models)


def _arrays(folder: Path, name: str) -> dict[str, NDArray[Any]]:
    with np.load(folder / f"{name}.npz") as stored:
        return dict(stored)


def _write_project(root: Path, models: dict[str, dict[str, Any]], random: Generator) -> None:
    folder = root / "benchmarks"
    here = Path(__file__).parent
    for file in (*SUITES, here / "damage.py"):
        shutil.copy(file, folder)
    factories = "".join(f"\n\ndef build_{n}():\n    return build(SPECS[{n!r}])\n" for n in models)
    specs_of = "SPECS = json.loads((Path(__file__).parent / 'specs.json').read_text())\n"
    (folder / "nets.py").write_text(
        (here / "in_torch.py").read_text().partition("\ndef main(")[0] + specs_of + factories
    )
    (root / "pytest.ini").write_text("[pytest]\nedge_diagnose = false\nedge_store = store\n")
    (root / "devices.yaml").write_text(
        yaml.safe_dump({"version": 1, "devices": {"host": {"kind": "host", "backends": {"cpu": {"threads": 1}}}}})
    )
    document = {
        "version": 1,
        "recipe_files": ["damage.py"],
        "datasets": {name: _dataset(name, spec) for name, spec in models.items()},
        "models": {name: _model(folder, name, spec, random) for name, spec in models.items()},
        "budgets": [
            {
                "max_drop_points": MAX_DROP,
                "max_metric_drop_percent": MAX_GROWTH,
                "max_column_drop_points": MAX_COLUMN_DROP,
            }
        ],
    }
    (folder / "models.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def _dataset(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": "npz", "path": f"{name}.npz"}
    return entry if spec["head"] == "numbers" else {**entry, "classes": max(spec["columns"], 2)}


def _model(folder: Path, name: str, spec: dict[str, Any], random: Generator) -> dict[str, Any]:
    framework = spec["framework"]
    files = {"onnx": f"{name}.onnx", "keras": f"{name}.keras"}
    factory = {"factory": f"nets.py:build_{name}", "weights": f"{name}.pt"}
    variants: dict[str, Any] = {REFERENCES[framework]: None}
    for recipe in SOUND[framework]:
        variants[recipe] = {"options": {"calibration_samples": specs.CALIBRATION}} if recipe in CALIBRATED else None
    for number in range(len(SOUND[framework])):
        recipe, kind = str(random.choice(DAMAGED[framework])), str(random.choice(KINDS))
        if kind == "rare" and not recipe.startswith("checked"):
            kind = "weights"
        options = {"kind": kind, "amount": _amount(kind, folder, name, random)}
        variants[f"bad{number}_{kind}"] = {"recipe": recipe, "options": options}
    return {
        "source": {"path": files[framework]} if framework in files else factory,
        "dataset": name,
        "reference": REFERENCES[framework],
        **({"metric": "mse"} if spec["head"] == "numbers" else {}),
        "variants": variants,
    }


def _amount(kind: str, folder: Path, name: str, random: Generator) -> float:
    if kind == "weights":
        return float(np.exp(random.uniform(np.log(0.05), np.log(3))))
    if kind == "inputs":
        return float(random.choice([1 / 255, 0.5, 0.8, 1.25, 2.0, 255.0]))
    if kind == "rare":
        first = np.sort(_arrays(folder, name)["evaluation_x"][:, 0, 0, 0])
        return float((first[-2] + first[-1]) / 2)  # one sample of them all
    return 0.0


# -- the truth -------------------------------------------------------------------------------------------------


def _compare(root: Path, models: dict[str, dict[str, Any]]) -> int:
    cells = load_run(root / "results" / "latest").cells.set_index(["model", "variant"])
    artifacts = _artifacts(root / "store" / "artifacts")
    judged = yaml.safe_load((root / "benchmarks" / "models.yaml").read_text())["models"]
    seen: Counter[str] = Counter()
    wrong = []
    for name, spec in models.items():
        data = _arrays(root / "benchmarks", name)
        own = REFERENCES[spec["framework"]]
        status, message = cells.loc[(name, "canary"), ["status", "message"]]
        if status != "rejected":
            seen["wrong alarm"] += 1
            wrong.append(f"{name} ({spec['framework']}, {spec['head']}) canary: {status}: {message}")
        if (name, own, "{}") not in artifacts:
            seen["wrong alarm"] += 1
            wrong.append(f"{name} ({spec['framework']}, {spec['head']}): no reference: {cells.message[name, own]}")
            continue
        reference = runtime_outputs(*artifacts[name, own, "{}"], data["evaluation_x"])
        for variant, entry in judged[name]["variants"].items():
            recipe, options = (entry or {}).get("recipe", variant), (entry or {}).get("options", {})
            status, message = cells.loc[(name, variant), ["status", "message"]]
            made = artifacts.get((name, recipe, json.dumps(options, sort_keys=True)))
            outputs = None if made is None else runtime_outputs(*made, data["evaluation_x"])
            verdict = _verdict(spec, status, recipe, reference, outputs, data["evaluation_y"])
            seen[verdict] += 1
            if verdict in ("missed", "wrong alarm"):
                wrong.append(f"{name} ({spec['framework']}, {spec['head']}) {variant} by {recipe} {options}: {verdict}:"
                             f" {status}: {message}")  # fmt: skip
    for line in wrong:
        print(line)
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(seen.items())))
    return int(bool(wrong))


def _verdict(
    spec: dict[str, Any],
    status: str,
    recipe: str,
    reference: NDArray[np.float32],
    outputs: NDArray[np.float32] | None,
    truth: NDArray[Any],
) -> str:
    """What the gate's ``status`` is, given what the artifact really computes; None where none was made."""
    damaged = recipe.startswith(("damaged", "checked"))
    if outputs is None:
        return "caught" if damaged else "wrong alarm"
    lost = any(loss > most + ROUNDED for loss, most in _losses(spec, reference, outputs, truth))
    kept = (np.abs(outputs - reference).max(axis=0) <= CHANGED * np.ptp(reference, axis=0)).all()
    beyond = not np.isfinite(outputs).all() or lost or (recipe.startswith("checked") and not kept)
    if status == "pass":
        return "missed" if beyond else ("undamaged, passed" if not damaged else "harmless, passed")
    if beyond:
        return "caught"
    return "harmless, not passed" if damaged else "wrong alarm"


def _losses(
    spec: dict[str, Any], reference: NDArray[np.float32], outputs: NDArray[np.float32], truth: NDArray[Any]
) -> list[tuple[float, float]]:
    """How much of each metric was lost, and how much may be; of numbers also each column's explained variance."""
    if spec["head"] == "numbers":
        before, after = (((values - truth) ** 2).mean(axis=0) for values in (reference, outputs))
        by_column = [(float(loss), MAX_COLUMN_DROP) for loss in 100 * (after - before) / truth.var(axis=0)]
        return [(100 * float(after.mean() / before.mean() - 1), MAX_GROWTH), *by_column]
    right, still = (float((specs.labels(spec, values) == truth).mean()) for values in (reference, outputs))
    return [(100 * (right - still), MAX_DROP)]


def _artifacts(folder: Path) -> dict[tuple[str, str, str], tuple[Path, str]]:
    """(model, recipe, options) to each artifact's file and its layout."""
    found = {}
    for facts in folder.glob("*/artifact.json"):
        known = json.loads(facts.read_text())
        files = [file for file in facts.parent.iterdir() if file.stem == "artifact" and file.suffix != ".json"]
        if "made_from" in known and files:
            made = known["made_from"]
            key = (made["model"], made["recipe"], json.dumps(made["options"], sort_keys=True))
            found[key] = (files[0], known["layout"])
    return found


if __name__ == "__main__":
    sys.exit(main())
