"""Images a second of the harness's accuracy run, quantizing included, over the bare rate of ready-made batches."""

import tempfile
from pathlib import Path

import numpy as np
from edgeworthy.datasets.samples import Samples
from edgeworthy.runners.python_runner.outputs import BATCH
from finding import Finding, median_ratio
from sides import ROOT, artifacts, bare, harness, harness_seconds

VARIANTS = ["fp32", "int8", "ort_fp32"]
ROUNDS = 12
#: The 797 digits so many times over: few evaluate on so little that loading and checking the batch would count.
COPIES = 32
LEAST = 0.9


def measure():
    """One ratio for each artifact of the CNN."""
    made, digits = artifacts(ROOT / "benchmarks" / "models.yaml", "cnn", VARIANTS)
    with tempfile.TemporaryDirectory() as folder, harness() as target:
        inputs, images = Samples(Path(folder) / "inputs.npy"), digits.read()
        np.save(inputs.path, np.concatenate([images] * COPIES))
        for artifact in made:
            yield _ratio(target, artifact, inputs, len(images) * COPIES)


def _ratio(target, artifact, inputs, count):
    ours, theirs = [], []
    with bare(artifact, inputs) as bare_times_ns:
        for _ in range(ROUNDS):
            ours.append(count / harness_seconds(target, artifact, inputs))
            theirs.append(count / (sum(bare_times_ns(-(-count // BATCH), BATCH)) / 1e9))
    ratio, low, high = median_ratio(ours, theirs)
    told = f"{low:.3f} to {high:.3f}; {np.median(ours):,.0f} of {np.median(theirs):,.0f} images/s in batches of {BATCH}"
    return Finding(f"accuracy throughput, {artifact.recipe}", ratio, "ratio", told, least=LEAST)
