"""Samples a second of the harness's accuracy run, quantizing included, over the bare rate of ready-made batches."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from edgeworthy.runners.python_runner.outputs import BATCH
from finding import Finding, median_ratio
from sides import ROOT, artifacts, bare, harness, harness_seconds

VARIANTS = ["fp32", "int8", "ort_fp32"]
ROUNDS = 12
#: The 797 digits so many times over: few evaluate on so little that loading and checking the batch would count.
COPIES = 32
LEAST = 0.9


def measure(models_yaml=ROOT / "benchmarks" / "models.yaml", model="cnn", variants=VARIANTS, copies=COPIES):
    """One ratio for each artifact of a model."""
    made, samples = artifacts(models_yaml, model, variants)
    with tempfile.TemporaryDirectory() as folder, harness() as target:
        inputs, values = replace(samples, path=Path(folder) / "inputs.npy"), samples.read()
        np.save(inputs.path, np.concatenate([values] * copies))
        for artifact in made:
            yield _ratio(target, artifact, inputs, len(values) * copies, model)


def _ratio(target, artifact, inputs, count, model):
    ours, theirs = [], []
    with bare(artifact, inputs) as bare_times_ns:
        for _ in range(ROUNDS):
            ours.append(count / harness_seconds(target, artifact, inputs))
            theirs.append(count / (sum(bare_times_ns(-(-count // BATCH), BATCH)) / 1e9))
    ratio, low, high = median_ratio(ours, theirs)
    told = (
        f"{low:.3f} to {high:.3f}; {np.median(ours):,.0f} of {np.median(theirs):,.0f} samples/s in batches of {BATCH}"
    )
    return Finding(f"accuracy throughput, {model} as {artifact.recipe}", ratio, "ratio", told, least=LEAST)
