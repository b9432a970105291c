"""Damaged stores: ``python -m tests.hostile.stores --count 200``.

A project is run once; then one file of its store is damaged, by the seed and the case's number, and it is run again. What is
damaged is made anew, or named in an error; it is never judged, and the accuracy of a cell that passes is that of the first run.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import yaml
from edgeworthy.reports.frames import load_run

from tests.hostile import inputs, results

VARIANTS = ("ort_fp32", "ort_int8_minmax")


def main() -> int:
    """Exit status 1 where anything was seen that must not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    asked = parser.parse_args()
    seen: Counter[str] = Counter()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="edgeworthy-hostile-stores-") as name:
        good = inputs.make_good(Path(name) / "good")
        _write_models(good)
        expected = _accuracies(good, inputs.ended(good))
        for number in range(asked.count):
            folder = Path(name) / f"case-{number}"
            shutil.copytree(good, folder, symlinks=True)
            file = results.damage(folder / "store", random.Random(f"{asked.seed}/{number}")).relative_to(folder)
            defects = _defects(folder, expected, seen)
            for defect in defects:
                print(f"seed {asked.seed}, case {number}, {str(file)!a}: {defect}", flush=True)
            bad += len(defects)
            shutil.rmtree(folder)
    found = ", ".join(f"{count} {status}" for status, count in sorted(seen.items()))
    print(f"{asked.count} damaged stores (cells: {found}): {bad} defects")
    return int(bad > 0)


def _write_models(folder: Path) -> None:
    linear = {"source": {"path": "linear.onnx"}, "reference": "ort_fp32"}
    document = {
        "version": 1,
        "datasets": {
            "images": {"kind": "images", "path": "images", "classes": 4,
                       "preprocessing": {"channels": "gray", "scale": "1/255"}},
            "arrays": {"kind": "npz", "path": "linear.npz", "classes": 4},
        },
        "models": {
            "seeing": {**linear, "dataset": "images", "variants": {"ort_fp32": {}}},
            "reading": {**linear, "dataset": "arrays", "variants": {name: {} for name in VARIANTS}},
        },
        "budgets": [{"max_drop_points": 5.0}],
        "timeouts": {"cell_s": 30, "conversion_s": 60},
    }  # fmt: skip
    (folder / "benchmarks" / "models.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def _accuracies(folder: Path, ended: inputs.Ended) -> dict[tuple[str, str], float]:
    cells = load_run(folder / "results" / "latest").cells
    assert set(cells.status) <= {"pass", "rejected"}, ended.output.decode()
    return {(cell.model, cell.variant): cell.top1_percent for cell in cells.itertuples()}


def _defects(folder: Path, expected: dict[tuple[str, str], float], seen: Counter[str]) -> list[str]:
    ended = inputs.ended(folder)
    defects = inputs.on_terminal(ended)
    if "reports: " not in ended.output.decode("utf-8", "replace"):
        return [*defects, f"no report: {ended.output[-2000:]!r}"]
    for cell in load_run(folder / "results" / "latest").cells.itertuples():
        seen[cell.status] += 1
        if cell.status in ("pass", "rejected") and cell.top1_percent != expected[cell.model, cell.variant]:
            defects.append(
                f"{cell.model}/{cell.variant}: {cell.top1_percent} %, was {expected[cell.model, cell.variant]} %"
            )
        if cell.status not in ("pass", "rejected", "error") or (
            cell.status == "error" and not (cell.message and cell.hint)
        ):
            defects.append(f"{cell.model}/{cell.variant}: {cell.status}: {cell.message!r}, {cell.hint!r}")
    return defects


if __name__ == "__main__":
    sys.exit(main())
