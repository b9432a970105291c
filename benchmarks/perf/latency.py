"""What the harness adds to an inference: its median over that of a bare loop, on reloads in turns."""

from pathlib import Path

import numpy as np
from finding import Finding, ratio_of_medians
from sides import artifacts, bare, harness, harness_times_ns

LOADS = 40
SAMPLES = 60
LEAST_MS = 0.3
MOST = 1.02


def measure(model="wide"):
    """One ratio for LiteRT, one for its CompiledModel, and one for ONNX Runtime."""
    made, inputs = artifacts(Path(__file__).with_name("models.yaml"), model, ["fp32", "ort_fp32"])
    with harness() as target:
        for artifact in made:
            yield _ratio(target, artifact, inputs, f"{model} on {artifact.runtime}")
    with harness(compiled_model={"accelerator": "cpu"}) as target:
        yield _ratio(target, made[0], inputs, f"{model} on CompiledModel", "compiled")


def _ratio(target, artifact, inputs, name, api=None):
    ours, theirs = [], []
    with bare(artifact, inputs, api) as bare_times_ns:
        for _ in range(LOADS):
            ours.append(np.median(harness_times_ns(target, artifact, inputs, SAMPLES)))
            theirs.append(np.median(bare_times_ns(SAMPLES, batch=1)))
    ratio, low, high = ratio_of_medians(ours, theirs)
    bare_ms = np.median(theirs) / 1e6
    if bare_ms < LEAST_MS:
        raise SystemExit(f"{artifact.path}: {bare_ms:.3f} ms is too little to hold an overhead against; widen wide.py")
    told = f"{low:.3f} to {high:.3f} over {LOADS} loads a side; bare {bare_ms:.3f} ms"
    return Finding(f"latency over bare loop, {name}", ratio, "ratio", told, most=MOST)
