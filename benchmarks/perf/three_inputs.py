"""A model of three inputs by the promises that one of a single input is held to: latency, throughput, a warm cell's own time."""

from pathlib import Path

import latency
import throughput
import warm
from sides import ROOT

MODELS, MODEL = Path(__file__).with_name("models.yaml"), "three"
#: Its samples so many times over; each takes about a millisecond.
COPIES = 8


def measure():
    """What latency.py, throughput.py and warm.py find of it."""
    yield from latency.ratios([(MODEL, "fp32"), (MODEL, "ort_fp32")])
    yield from throughput.measure(MODELS, MODEL, ["fp32", "int8_float_io", "ort_fp32"], COPIES)
    yield from warm.measure_overhead((MODEL,), str(MODELS.relative_to(ROOT)))
