"""What the harness adds to an inference: its median over that of a bare loop, on reloads in turns."""

from pathlib import Path

import numpy as np
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.tuning.candidates import present
from finding import Finding, ratio_of_medians
from sides import artifacts, bare, harness, harness_times_ns

LOADS = 40
SAMPLES = 60
LEAST_MS = 0.3
MOST = 1.02
MODELS = Path(__file__).with_name("models.yaml")


#: The model and the float variant of each runtime, of which those are measured that are installed.
MEASURED = {
    "litert": ("wide", "fp32"),
    "onnxruntime": ("wide", "ort_fp32"),
    "openvino": ("wide", "ov_fp32"),
    "executorch": ("wide_torch", "et_fp32"),
}


def measure():
    """One ratio for each runtime that is installed, and one for LiteRT's CompiledModel."""
    yield from ratios([MEASURED[runtime.name] for runtime in present([RUNTIMES[name] for name in MEASURED])])
    model, variant = MEASURED["litert"]
    made, inputs = artifacts(MODELS, model, [variant])
    with harness(compiled_model={"accelerator": "cpu"}) as target:
        yield _ratio(target, *made, inputs, f"{model} on CompiledModel", "compiled")


def ratios(variants):
    """A ratio for each of the models' float variants."""
    for model, variant in variants:
        made, inputs = artifacts(MODELS, model, [variant])
        with harness() as target:
            yield _ratio(target, *made, inputs, f"{model} on {made[0].runtime}")


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
