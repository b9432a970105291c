"""Images decoded by Pillow in as many processes as there are cores, and nothing else: what the decoder is held against.

It imports Pillow and numpy alone, so that its processes start as fast as they can.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from PIL import Image


def bare_decode(paths):
    """Open and decode all images; nobody takes the arrays."""
    names = [str(path) for path in paths]  # a Path takes a tenth longer, most of it to arrive in another process
    chunks = [names[start : start + 64] for start in range(0, len(names), 64)]
    processes = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_decode, chunks))


def _decode(paths):
    for path in paths:
        with Image.open(path) as image:
            np.asarray(image if image.mode == "RGB" else image.convert("RGB"))  # convert() copies what is RGB already
