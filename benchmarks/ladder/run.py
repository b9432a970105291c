"""Judge the public models of models.yaml on this machine, and print what became of each variant.

    .venv/bin/python benchmarks/ladder/run.py [--edge-model GLOB]

Exits with 1 where a cell is red that WORSE does not name, or where one model in three formats is not one model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from edgeworthy import load_run
from edgeworthy.metrics import METRICS, QUALITIES
from edgeworthy.records import RED_STATUSES
from edgeworthy.runs.run import Run
from fetch import MODELS, ROOT, fetch
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
TARGET = "host:cpu"
#: One model in three formats, and by how much their outputs, from 0 to 1, may differ.
FORMATS, MOST_DIFFERENCE = ("pitch_saved_model", "pitch_onnx", "pitch_tflite"), 1e-4

_INT8_NOTES = "what it takes the logarithm of lies decades apart: eight bits keep the loud notes"
_BOXES = "boxes of 30 to 60 pixels are off by some of them"
_LOUDNESS = "the magnitudes of its spectrum lie decades apart: what eight bits hold is the loud ones"
_SYMBOLS = "one of 6,625 symbols is chosen at each step: what lies close together changes places"
#: Variants that are really worse, by model, and why.
WORSE: dict[tuple[str, str], str] = {
    **{("pitch_saved_model", name): _INT8_NOTES for name in ("int8_float_io", "ort_int8_minmax")},
    ("pitch_onnx", "ort_int8_minmax"): _INT8_NOTES,
    **{("pitch_tflite", name): _INT8_NOTES for name in ("dynamic_int8", "int8_float_io")},
    **{("face", name): _BOXES for name in ("weight_only_int8", "dynamic_int8")},
    (
        "face",
        "int8_float_io",
    ): "scores of anchors go down to -3000: of those near 0, which decide, eight bits say nothing",
    ("magika", "ort_int8_minmax"): "the range of its normalizations: left float, by ort_mixed, nothing is lost",
    **{("voice", name): _LOUDNESS for name in ("ort_dynamic", "ort_int8_minmax")},
    ("ocr_detector", "ort_float16"): "a normalization has a variance of 98 million: float16 ends at 65504",
    ("ocr_detector", "ort_int8_minmax"): "the edges of the lines' areas",
    **{("ocr_reader", name): _SYMBOLS for name in ("ort_dynamic", "ort_int8_minmax")},
    ("ocr_detector_6", "float16"): "NaN: 1e-11, which keeps a division from 0 / 0, is 0 in float16",
}


def main() -> int:
    """Fetch, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--edge-model", default="*", metavar="GLOB")
    asked = parser.parse_args()
    fetch()
    results = MODELS / "results"
    options = {
        "edge_models": HERE.relative_to(ROOT) / "models.yaml",
        "edge_results": results,
        "edge_history": "off",
        "edge_diagnose": "false",
    }
    given = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    tests = [
        "benchmarks/",
        "-q",
        "--tb=no",
        "-k",
        "accuracy or latency or footprint or canary",
        "-p",
        "no:cacheprovider",
    ]
    selected = ["--edge-target", TARGET, "--edge-model", asked.edge_model]
    subprocess.run([sys.executable, "-m", "pytest", *tests, *given, *selected], cwd=ROOT, check=False)
    run = (results / "latest").resolve()
    cells = load_run(run).cells
    Console(width=130).print(table(cells))
    strange = unexpected(cells)
    if set(FORMATS) <= set(cells.model):
        strange += disagreement(run)
    for said in strange:
        print(said)
    return int(bool(strange))


def table(cells: Any) -> Table:
    """A row for each variant, in the order of models.yaml."""
    models = yaml.safe_load((HERE / "models.yaml").read_text())["models"]
    order = [(name, variant) for name, entry in models.items() for variant in (*entry["variants"], "canary")]
    rows = {(row.model, row.variant): row for row in cells.itertuples()}
    made = Table("model", "variant", "status", "value", "p50 ms", "KB")
    for cell in (cell for cell in order if cell in rows):
        row = rows[cell]
        measured = (judged(row), f"{row.p50_ms:.3f}", f"{row.size_kb:.0f}") if row.status in ("pass", "fail") else ()
        made.add_row(*cell, row.status, *measured)
    return made


def judged(row: Any) -> str:
    """The value of what the model is judged by."""
    quality = QUALITIES[row.metric]
    return f"{getattr(row, quality.metric):.{METRICS[quality.metric].digits}f} {quality.header}"


def unexpected(cells: Any) -> list[str]:
    """Red cells that WORSE does not name. One that it names may be fine on another processor, as with VNNI."""
    red = [row for row in cells.itertuples() if row.status in RED_STATUSES and (row.model, row.variant) not in WORSE]
    return [f"red, and not named in WORSE: {row.model}/{row.variant}: {row.message}" for row in red]


def disagreement(run: Path) -> list[str]:
    """What differs between the references of FORMATS, output by output: each is compared with the nearest of its size."""
    journal = Run.open(run).journal
    truths = {name: journal.truth(name) for name in FORMATS}
    parts = {name: list(truth.parts(truth.reference)) for name, truth in truths.items() if truth}
    found = []
    for name in FORMATS[1:]:
        for output, values, _ in parts[name]:
            others = [other for _, other, _ in parts[FORMATS[0]] if other.shape == values.shape]
            difference = min((float(np.abs(values - other).max()) for other in others), default=np.inf)
            print(f"{name}: {output} differs from that of {FORMATS[0]} by {difference:.2g} at most")
            if difference > MOST_DIFFERENCE:
                found.append(f"{name}: its output {output} is not that of {FORMATS[0]}")
    return found


if __name__ == "__main__":
    sys.exit(main())
