"""50,000 JPEGs through a run of pytest: the memory that it takes, and the decoder's rate beside Pillow's own.

The images are links to a few distinct files, since what is measured is the work and not the disk.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import psutil
from bare_decoding import bare_decode
from edgeworthy.datasets.decoding import decode
from edgeworthy.datasets.pixels import Geometry
from finding import Finding, median_ratio
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sides import ROOT

IMAGES, DISTINCT, SIDE, CLASSES = 50_000, 64, 224, 1000
MOST_GB = 2.0
#: The decoder's rate over that of as many processes that do nothing but open and decode. Both start their processes.
LEAST = 0.8
ROUNDS = 5


def measure():
    """The decoder's rate, and the memory of a run over all images."""
    disk = (
        ROOT / ".edgeworthy"
    )  # the images come to 8 GB, which may be more than the system's folder for such files has
    disk.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=disk) as name:
        folder = Path(name)
        paths = write_images(folder / "benchmarks" / "val")
        yield _rate(paths, folder)
        yield _memory(folder, paths)


def write_images(folder):
    """Smooth noise as JPEGs of quality 90, about 19 KB each, linked to IMAGES names."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(DISTINCT):
        smooth = Image.fromarray(random.integers(0, 255, (28, 28, 3), dtype=np.uint8)).resize((SIDE, SIDE))
        noisy = np.asarray(smooth).astype(int) + random.integers(-8, 8, (SIDE, SIDE, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{index:05}.jpg", quality=90)
    for index in range(DISTINCT, IMAGES):
        os.link(folder / f"{index % DISTINCT:05}.jpg", folder / f"{index:05}.jpg")
    return [folder / f"{index:05}.jpg" for index in range(IMAGES)]


def _rate(paths, folder):
    sides = {
        "ours": lambda: decode(paths, Geometry(), folder / "x.npy", lambda text: None),
        "theirs": lambda: bare_decode(paths),
    }
    rates, cpu_s = {"ours": [], "theirs": []}, {"ours": [], "theirs": []}
    for index in range(ROUNDS):
        for name in sorted(sides, reverse=index % 2):  # who goes first finds another disk than who goes second
            start, cpu_before_s = time.perf_counter(), processor_s()
            sides[name]()
            rates[name].append(len(paths) / (time.perf_counter() - start))
            cpu_s[name].append(processor_s() - cpu_before_s)
    (folder / "x.npy").unlink()
    ratio, low, high = median_ratio(rates["ours"], rates["theirs"])
    by_cpu = median_ratio(cpu_s["theirs"], cpu_s["ours"])[0]
    ours, theirs = (np.median(rates[name]) for name in ("ours", "theirs"))
    told = f"{low:.3f} to {high:.3f}; {ours:,.0f} of {theirs:,.0f} images/s; by processor time {by_cpu:.3f}"
    return Finding("decoding JPEGs", ratio, "ratio", told, least=LEAST)


def processor_s():
    """Processor time of this process, and of all child processes that have ended."""
    return sum(os.times()[:4])


def _memory(folder, paths):
    """The largest memory of all processes of a run together, pages that they share counted once."""
    write_project(folder, paths)
    environment = {**os.environ, "EDGE_STORE": str(folder / "store"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "benchmarks", "-q", "-k", "accuracy or canary"]
    with (folder / "log.txt").open("wb") as log:
        start = time.perf_counter()
        run = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        peak = peak_bytes(run)
        seconds = time.perf_counter() - start
    printed = (folder / "log.txt").read_text()
    if f"{IMAGES} samples" not in printed and run.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)}: exit status {run.returncode}\n{printed[-3000:]}")
    cells = json.loads((folder / "results" / "latest" / "run.json").read_text())["status"]
    told = f"{IMAGES:,} images at {SIDE} px, {CLASSES} classes, decoded and evaluated in {seconds:.0f} s; run {cells}"
    return Finding("memory of 50,000 images", peak / 1e9, "GB", told, most=MOST_GB)


def peak_bytes(run):
    """The largest proportional set size of a process and its children until it ends."""
    process, peak = psutil.Process(run.pid), 0
    ended = threading.Event()
    threading.Thread(target=lambda: (run.wait(), ended.set()), daemon=True).start()
    while not ended.wait(0.5):
        sizes = []
        for each in [process, *_children(process)]:
            try:
                sizes.append(each.memory_full_info().pss)
            except psutil.Error:  # it has ended meanwhile
                continue
        peak = max(peak, sum(sizes))
    return peak


def _children(process):
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def classes_of(paths, weights):
    """What a linear classifier over the means of 16 x 16 patches takes the images for."""
    pool = SIDE // 16
    images = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths]).astype(np.float32)
    means = images.reshape(len(paths), pool, 16, pool, 16, 3).mean(axis=(2, 4)) / 127.5 - 1
    return (means.transpose(0, 3, 1, 2).reshape(len(paths), -1) @ weights).argmax(axis=1)


def write_project(folder, paths):
    """A linear classifier over means of patches, and labels that are its own answers nine times out of ten."""
    pool = SIDE // 16
    random = np.random.default_rng(0)
    weights = random.normal(0, 1, (pool * pool * 3, CLASSES)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["image"], ["means"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Flatten", ["means"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "patches",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(weights, "weights")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, folder / "benchmarks" / "patches.onnx")
    classes = classes_of(paths[:DISTINCT], weights)
    labels = [classes[i % DISTINCT] if i % 10 else random.integers(CLASSES) for i in range(len(paths))]
    lines = [f"{path.name} {label}" for path, label in zip(paths, labels, strict=True)]
    (folder / "benchmarks" / "val.txt").write_text("\n".join(lines))
    (folder / "benchmarks" / "models.yaml").write_text(
        f"""version: 1
datasets:
  jpegs: {{kind: images, path: val, labels: val.txt, classes: {CLASSES}, preprocessing: keras_tf}}
models:
  patches:
    source: {{path: patches.onnx}}
    dataset: jpegs
    reference: ort_fp32
    variants: {{ort_fp32: }}
timeouts: {{cell_s: 1200}}
"""
    )
    (folder / "devices.yaml").write_text("version: 1\ndevices: {host: {kind: host, backends: {cpu: {}}}}\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    for suite in (ROOT / "benchmarks").glob("test_*.py"):
        (folder / "benchmarks" / suite.name).write_text(suite.read_text())
