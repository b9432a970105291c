"""Damaged models and datasets beside a healthy one, judged in one run: ``python -m tests.hostile.inputs --count 1000``.

Every input is made from the seed and its number. Nothing may be seen of what :mod:`tests.hostile.front_door` forbids, the
healthy model must pass, and where a damaged model passes its accuracy must be what its own runtime gives.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml
from edgeworthy.reports.frames import load_run
from PIL import Image

from tests.commands import PYTEST
from tests.hostile.front_door import Ended
from tests.hostile.results import flipped
from tests.integration.conftest import REPOSITORY, linear_model, linear_tflite
from tests.runtime_outputs import runtime_outputs

BATCH = 25
#: A run of one batch that takes longer hangs.
SECONDS = 900
LOG = "End of its log:"
JUDGED = ("pass", "fail", "error", "refused", "absent", "rejected")

#: What needs a framework to be made: a file of each form, of the linear model.
MAKE = {
    "torch": """
import numpy as np, sys, torch
from nets import build
made = build().eval()
weights, bias = (torch.from_numpy(np.load(name)) for name in ("weights.npy", "bias.npy"))
made[1].load_state_dict({"weight": weights.T.contiguous(), "bias": bias})
torch.save(made.state_dict(), "linear.pt")
batch = torch.export.Dim("batch", min=1, max=64)
example = torch.zeros(2, 1, 8, 8)
torch.export.save(torch.export.export(made, (example,), dynamic_shapes=({0: batch},)), "linear.pt2")
""",
    "keras": """
import keras, numpy as np
image = keras.Input((8, 8, 1))
scores = keras.layers.Dense(4)
made = keras.Model(image, scores(keras.layers.Flatten()(image)))
scores.set_weights([np.load("weights.npy"), np.load("bias.npy")])
made.save("linear.keras")
made.save("linear.h5")
""",
}
NETS = "from torch import nn\n\n\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))\n"
#: Form -> how often it is damaged, and its entry: source, variant.
MODELS: dict[str, tuple[int, Callable[[str], dict[str, Any]], str]] = {
    "onnx": (12, lambda path: {"path": path}, "ort_fp32"),
    "tflite": (8, lambda path: {"path": path}, "fp32"),
    "pt": (1, lambda path: {"factory": "nets.py:build", "weights": path}, "torch_fp32"),
    "pt2": (1, lambda path: {"path": path}, "torch_fp32"),
    "keras": (1, lambda path: {"path": path}, "fp32"),
    "h5": (1, lambda path: {"path": path}, "fp32"),
}
DATASETS = {"npz": 8, "images": 6, "table": 6}


def main() -> int:
    """Exit status 1 where anything was seen that must not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=BATCH)
    asked = parser.parse_args()
    seen: Counter[str] = Counter()
    bad, megabytes = 0, 0.0
    with tempfile.TemporaryDirectory(prefix="edgeworthy-hostile-inputs-") as name:
        good = make_good(Path(name) / "good")
        for first in range(0, asked.count, BATCH):
            folder = Path(name) / f"batch-{first}"
            shutil.copytree(good, folder)
            inputs = {
                f"m{n}": damaged(folder / "benchmarks", asked.seed, n)
                for n in range(first, min(first + BATCH, asked.count))
            }
            defects, most = judged(folder, inputs, seen)
            for defect in defects:
                print(f"seed {asked.seed}, inputs from {first}: {defect}", flush=True)
            bad, megabytes = bad + len(defects), max(megabytes, most)
            shutil.rmtree(folder)
    found = ", ".join(f"{count} {status}" for status, count in sorted(seen.items()))
    print(f"{asked.count} damaged models and datasets ({found}), at most {megabytes:.0f} MB: {bad} defects")
    return int(bad > 0)


def make_good(folder: Path) -> Path:
    """A project whose one model is right on all 120 samples, in every form."""
    benchmarks = folder / "benchmarks"
    benchmarks.mkdir(parents=True)
    dice = np.random.default_rng(0)
    weights = dice.normal(size=(64, 4)).astype(np.float32)
    images = dice.integers(0, 256, (160, 8, 8, 1)).astype(np.uint8)
    scaled = images.astype(np.float32) / 255
    scores = scaled.reshape(160, 64) @ weights
    bias = -scores.mean(axis=0)  # so that each class is the best one for some
    labels = (scores + bias).argmax(axis=1)[:120]
    assert len(set(labels.tolist())) == 4
    np.save(benchmarks / "weights.npy", weights)
    np.save(benchmarks / "bias.npy", bias)
    np.savez(benchmarks / "linear.npz", evaluation_x=scaled[:120], evaluation_y=labels, calibration_x=scaled[120:])
    linear_model(benchmarks / "linear.onnx", weights, bias)
    (benchmarks / "linear.tflite").write_bytes(linear_tflite(weights, bias))
    (benchmarks / "nets.py").write_text(NETS)
    rows = ["path,label"]
    for index, (image, label) in enumerate(zip(images[:120], labels, strict=True)):
        path = Path("images") / str(label) / f"{index}.png"
        (benchmarks / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(benchmarks / path)
        rows.append(f"{path},{label}")
    (benchmarks / "table.csv").write_text("\n".join(rows) + "\n")
    for code in MAKE.values():
        subprocess.run([sys.executable, "-c", code], cwd=benchmarks, check=True, capture_output=True)
    shutil.copy(REPOSITORY / "benchmarks" / "test_accuracy.py", benchmarks)
    (folder / "pytest.ini").write_text("[pytest]\nedge_diagnose = false\nedge_store = store\n")
    devices = {"version": 1, "devices": {"host": {"kind": "host", "backends": {"cpu": {"threads": 1}}}}}
    (folder / "devices.yaml").write_text(yaml.safe_dump(devices))
    return folder


def damaged(benchmarks: Path, seed: int, number: int) -> dict[str, Any]:
    """Write one damaged model or dataset; returns its entries, and the damaged file of a model."""
    dice = random.Random(f"{seed}/{number}")
    forms = {**{form: often for form, (often, _, _) in MODELS.items()}, **DATASETS}
    form = dice.choices(list(forms), list(forms.values()))[0]
    if form in MODELS:
        _, source, variant = MODELS[form]
        path = benchmarks / f"{number}.{form}"
        path.write_bytes(damage((benchmarks / f"linear.{form}").read_bytes(), dice))
        return {"form": form, "file": path, "dataset": {"kind": "npz", "path": "linear.npz", "classes": 4},
                "source": source(path.name), "variant": variant}  # fmt: skip
    entry = {"form": form, "file": None, "source": {"path": "linear.onnx"}, "variant": "ort_fp32"}
    pixels = {"preprocessing": {"channels": "gray", "scale": "1/255"}, "classes": 4}
    if form == "npz":
        (benchmarks / f"{number}.npz").write_bytes(damage((benchmarks / "linear.npz").read_bytes(), dice))
        return {**entry, "dataset": {"kind": "npz", "path": f"{number}.npz", "classes": 4}}
    if form == "table":
        (benchmarks / f"{number}.csv").write_bytes(damage((benchmarks / "table.csv").read_bytes(), dice))
        return {**entry, "dataset": {"kind": "table", "path": f"{number}.csv", **pixels}}
    folder = benchmarks / f"images-{number}"
    shutil.copytree(benchmarks / "images", folder)
    for path in dice.sample(sorted(folder.rglob("*.png")), dice.randint(1, 5)):
        path.write_bytes(damage(path.read_bytes(), dice))
    return {**entry, "dataset": {"kind": "images", "path": folder.name, **pixels}}


def damage(content: bytes, dice: random.Random) -> bytes:
    """The bytes truncated, emptied, zeroed in a range, flipped, with others between them, or of another kind of file."""
    start = dice.randrange(len(content))
    end = min(start + dice.randint(1, 200), len(content))
    other = flipped(content, dice, most=20)
    return dice.choice([
        content[:start], b"", content[:start] + bytes(end - start) + content[end:], other, other,
        content[:start] + dice.randbytes(end - start) + content[start:], content[:start] + content[end:],
        b"PK\x03\x04" + content[4:], b"not a model\n" * 20,
    ])  # fmt: skip


def judged(folder: Path, inputs: dict[str, dict[str, Any]], seen: Counter[str]) -> tuple[list[str], float]:
    """Run all of them beside the healthy model; what must not be, and the most megabytes of the main process."""
    healthy = {"form": "healthy", "file": None, "source": {"path": "linear.onnx"}, "variant": "ort_fp32",
               "dataset": {"kind": "npz", "path": "linear.npz", "classes": 4}}  # fmt: skip
    every = {**inputs, "healthy": healthy}
    document = {
        "version": 1,
        "datasets": {name: entry["dataset"] for name, entry in every.items()},
        "models": {
            name: {
                "source": entry["source"],
                "dataset": name,
                "reference": entry["variant"],
                "variants": {entry["variant"]: {}},
            }
            for name, entry in every.items()
        },
        "budgets": [{"max_drop_points": 2.0}],
        "timeouts": {"cell_s": 30, "conversion_s": 60},
    }
    (folder / "benchmarks" / "models.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    run = ended(folder)
    text, defects = run.output.decode("utf-8", "replace"), on_terminal(run)
    if "reports: " not in text:
        return [*defects, f"no report: {text[-2000:]}"], run.megabytes
    cells = load_run(folder / "results" / "latest").cells.set_index(["model", "variant"])
    for name, entry in every.items():
        cell = cells.loc[(name, entry["variant"])]
        seen[cell.status] += name != "healthy"
        defects += [f"{name} ({entry['form']}): {defect}" for defect in _wrong_with(cell, entry, folder)]
    if set(cells.loc["healthy"].status) != {"pass", "rejected"}:
        defects.append(f"the healthy model: {dict(cells.loc['healthy'].message)}")
    return defects, run.megabytes


def on_terminal(run: Ended) -> list[str]:
    """What must never be seen of a run; the log of a converter may be quoted with its traceback."""
    text = run.output.decode("utf-8", "replace")
    quoted = text.replace(f"{LOG}\nTraceback (most recent", LOG)
    defects = Ended(run.status, quoted.encode(), run.megabytes).defects()
    return [*defects, "an internal error"] if "INTERNALERROR" in text else defects


def _wrong_with(cell: Any, entry: dict[str, Any], folder: Path) -> list[str]:
    """What must not be of one cell."""
    found = [f"status {cell.status}"] if cell.status not in JUDGED else []
    if cell.status in ("error", "refused") and not (cell.message and cell.hint):
        found.append(f"no message or no hint: {cell.message!r}, {cell.hint!r}")
    if cell.status == "pass" and entry["form"] in ("onnx", "tflite"):
        truth = _top1(entry["file"], folder / "benchmarks" / "linear.npz")
        if abs(truth - cell.top1_percent) > 0.1:
            found.append(f"passes with {cell.top1_percent:.2f} %, its runtime gives {truth:.2f} %")
    return found


def _top1(path: Path, arrays: Path) -> float:
    """The accuracy that the file's own runtime gives, one sample at a time."""
    with np.load(arrays) as stored:
        images, labels = stored["evaluation_x"], stored["evaluation_y"]
    scores = runtime_outputs(path, "nchw" if path.suffix == ".onnx" else "nhwc", images)
    return 100.0 * float((np.argmax(scores, axis=1) == labels).mean())


def ended(folder: Path) -> Ended:
    """``pytest benchmarks`` in the folder, with the most memory that the main process itself ever had."""
    log = folder / "output.txt"
    with log.open("wb") as file:
        process = psutil.Popen([*PYTEST, "benchmarks", "-q"], cwd=folder, stdout=file, stderr=subprocess.STDOUT)
    most, until = 0.0, time.monotonic() + SECONDS
    while process.poll() is None:
        try:
            most = max(most, process.memory_info().rss / 1e6)
        except psutil.Error:
            break
        if time.monotonic() > until:
            process.kill()
        time.sleep(0.05)
    return Ended(process.wait(), log.read_bytes(), most)


if __name__ == "__main__":
    sys.exit(main())
