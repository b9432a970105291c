"""What the paired bootstrap of a mean average precision costs."""

import time

import numpy as np
from corpora import boxes
from edgeworthy.statistics.paired_corpus import PairedCorpus
from finding import Finding

IMAGES, CLASSES, OBJECTS, EXTRA = 5_000, 80, 7, 13


def measure():
    """Seconds for the drop of 5,000 images, its interval and its p-value, from the evidence of both sides."""
    pairs = PairedCorpus(*boxes(IMAGES, np.random.default_rng(0), CLASSES, OBJECTS, EXTRA), higher_is_better=True)
    start = time.perf_counter()
    drop = pairs.drop()
    seconds = time.perf_counter() - start
    told = (
        f"{IMAGES:,} images, {IMAGES * (OBJECTS + EXTRA):,} detections of {CLASSES} classes: {drop.value:.2f} pp lost"
    )
    return [Finding("paired bootstrap of mAP", seconds, "s", told, most=10)]
