"""How near each variant of benchmarks/models.yaml comes to its budgets, over seeds and on a processor that can do less.

    .venv/bin/python benchmarks/perf/margins.py [--seeds 10] [--edge-model GLOB] [--edge-variant GLOB]

What fine-tunes is trained once for each seed, everything is converted and evaluated once for each setting, and a row shows
the worst value of each limit. Latency and memory are left out, as they are another matter on each machine. Exits with 1
where a limit is broken, or kept by less than MARGIN of what it allows.
"""

import argparse
import fnmatch
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml
from edgeworthy import CellId, load_run
from edgeworthy.config import limits_for, load_models
from edgeworthy.variants.recipes.registry import all_recipes
from pytest_runs import RAN
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "benchmarks" / "models.yaml"
SCRATCH = ROOT / ".edgeworthy" / "margins"
TARGET = "host:cpu"
#: Limits that do not depend on how fast the machine is.
LIMITS = ("max_drop_points", "min_agreement_percent", "min_top1_percent", "max_size_kb", "max_gzip_kb")
#: Between the worst value seen and the limit there must be this share of what the limit allows.
MARGIN = 0.1
#: Statuses of a cell that broke no limit.
KEPT = ("pass", "refused")
#: What the same wheels compute with on an old processor, or with other kernels.
SETTINGS = {
    "as it is": {},
    "limited": {"TF_ENABLE_ONEDNN_OPTS": "0", "ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
}


def main():
    """Measure what was asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--edge-model", default="*", metavar="GLOB")
    parser.add_argument("--edge-variant", default="*", metavar="GLOB")
    parser.add_argument("--setting", action="append", choices=list(SETTINGS), help="may be repeated; default: all")
    asked = parser.parse_args()
    path = seeded(asked.seeds, asked.edge_model, asked.edge_variant)
    cells = pd.concat(evaluated(path, setting) for setting in asked.setting or SETTINGS)
    rows = [row for _, group in cells.groupby(["model", "variant"], sort=False) for row in worst(group)]
    Console(width=120).print(table(rows))
    return int(any(margin < MARGIN for *_, margin in rows))


def seeded(seeds, model_glob, variant_glob):
    """Write models.yaml with a variant ``NAME__SEED`` for each seed of what fine-tunes; gives back its path."""
    data, recipes = yaml.safe_load(MODELS.read_text()), all_recipes([])
    data["models"] = {name: model for name, model in data["models"].items() if fnmatch.fnmatch(name, model_glob)}
    for model in data["models"].values():
        copies = {}
        for name, variant in model["variants"].items():
            given = variant or {}
            recipe = given.get("recipe", name)
            trained = recipes.chosen(recipe, given.get("options", {})).recipe.trained
            if name != "fp32" and not fnmatch.fnmatch(name, variant_glob):
                continue
            for seed in range(seeds) if trained else [None]:
                options = given.get("options", {}) | ({} if seed is None else {"seed": seed})
                copies[name if seed is None else f"{name}__{seed}"] = {"recipe": recipe, "options": options}
        model["variants"] = copies
    # Variants are judged below, by the budgets of models.yaml.
    data["budgets"] = [{"max_drop_points": 100}, {"variant": "canary", "max_drop_points": 1}]
    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = SCRATCH / "models.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def evaluated(path, setting):
    """The cells of a run under that setting; the store is kept, so that an interrupted study goes on.

    Exits where the run did not judge every cell that was asked for: what is missing would look like a margin that is kept.
    """
    folder = SCRATCH / setting.replace(" ", "-")
    options = [f"edge_models={path}", f"edge_devices={ROOT / 'devices.yaml'}", f"edge_results={folder / 'results'}"]
    command = [sys.executable, "-m", "pytest", "benchmarks/", "-q", "-k", "accuracy or footprint"]
    arguments = [f"--edge-target={TARGET}", *(word for option in options for word in ("-o", option))]
    environment = {**os.environ, **SETTINGS[setting], "EDGE_STORE": str(folder / "store")}
    print(f"margins: {setting}: {SETTINGS[setting] or 'no variable set'}", flush=True)
    run = [*command, "-o", "edge_diagnose=false", *arguments]
    status = subprocess.run(run, cwd=ROOT, env=environment, check=False).returncode
    if status not in RAN:
        raise SystemExit(f"margins: {setting}: pytest ended with exit status {status}")
    cells = load_run((folder / "results" / "latest").resolve()).cells
    cells = cells[cells.variant != "canary"]
    if lacking := asked_for(path) - set(zip(cells.model, cells.variant, strict=True)):
        raise SystemExit(f"margins: {setting}: not judged: {sorted(lacking)}")
    if status and cells.status.isin(KEPT).all():
        raise SystemExit(f"margins: {setting}: pytest failed, and not because of a cell: see above")
    parts = cells.variant.str.split("__", expand=True).reindex(columns=[0, 1])
    return cells.assign(variant=parts[0], seed=parts[1], setting=setting)


def asked_for(path):
    """Each (model, variant) of that models.yaml."""
    models = yaml.safe_load(path.read_text())["models"]
    return {(name, variant) for name, model in models.items() for variant in model["variants"]}


def worst(cells):
    """For each limit of the variant: the worst value over its runs, where it was seen, and the margin that is left."""
    first = cells.iloc[0]
    budgets = limits_for(load_models(MODELS)[0].budgets, CellId(first.model, first.variant, TARGET))
    if broken := sorted(set(cells.loc[~cells.status.isin(KEPT), "message"])):
        yield first.model, first.variant, len(cells), broken[0][:40], 0, "", "", -1.0
    for limit in (limit for limit in LIMITS if limit in budgets):
        side, _, column = limit.partition("_")
        values = cells[column].astype(float)
        if values.isna().all():
            continue
        at = cells.iloc[values.argmax() if side == "max" else values.argmin()]
        value, bound = float(at[column]), budgets[limit]
        room = bound if side == "max" else 100 - bound
        left = (bound - value if side == "max" else value - bound) / room
        seen = f"{at.setting}{'' if pd.isna(at.seed) else f', seed {at.seed}'}"
        yield first.model, first.variant, len(cells), limit, bound, f"{value:.2f}", seen, left


def table(rows):
    """One row for each limit of each variant."""
    shown = Table(title="worst values over seeds and settings", title_justify="left")
    for column in ("model", "variant", "runs", "limit", "at", "worst", "seen with", "margin"):
        shown.add_column(column)
    for model, variant, runs, limit, bound, value, seen, left in rows:
        colour = "green" if left >= MARGIN else "red"
        shown.add_row(model, variant, str(runs), limit, f"{bound:g}", value, seen, f"[{colour}]{100 * left:.0f} %[/]")
    return shown


if __name__ == "__main__":
    sys.exit(main())
