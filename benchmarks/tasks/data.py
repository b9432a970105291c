"""The datasets of models.yaml: evaluation and calibration samples, none of which train.py trains on."""

from __future__ import annotations

from typing import Any

from canvases import Canvases, canvases
from digits import digits
from lines import lines, tokens
from numpy.typing import NDArray
from tumors import tumors
from words import words

#: What is made for the two splits is made with these seeds; train.py has its own.
EVALUATION, CALIBRATION = 1, 2
Arrays = dict[str, NDArray[Any]]


def boxes() -> Arrays:
    """Canvases (48, 48, 1) and the boxes of their digits, (3, 5) of x1, y1, x2, y2 and digit, or -1."""
    evaluation, calibration = _canvases()
    return _splits(evaluation.images, evaluation.boxes, calibration.images)


def masks() -> Arrays:
    """Canvases (48, 48, 1) and the class of each pixel (48, 48): 0, or 1 + the digit."""
    evaluation, calibration = _canvases()
    return _splits(evaluation.images, evaluation.masks, calibration.images)


def _canvases() -> tuple[Canvases, Canvases]:
    return canvases("evaluation", 400, EVALUATION), canvases("calibration", 100, CALIBRATION)


def spectra() -> Arrays:
    """Log-mel spectra (49, 32, 1) of one second, and the word in each, of twelve."""
    return _splits(*words(1200, EVALUATION), words(96, CALIBRATION)[0])


def measurements() -> Arrays:
    """30 measurements of each tumor, and whether it is benign."""
    return _splits(*tumors("evaluation"), tumors("calibration")[0])


def texts() -> Arrays:
    """Bytes and mask (48,) of each line, and whether it is prose."""
    texts, kinds = lines("evaluation", 2000)
    ids, mask = tokens(texts)
    calibration_ids, calibration_mask = tokens(lines("calibration", 200)[0])
    return {
        "evaluation_ids": ids,
        "evaluation_mask": mask,
        "evaluation_y": kinds,
        "calibration_ids": calibration_ids,
        "calibration_mask": calibration_mask,
    }


def rows() -> Arrays:
    """Digits as sequences of their 8 rows (8, 8), and which they are."""
    return _splits(*digits("evaluation"), digits("calibration")[0])


def _splits(inputs: NDArray[Any], targets: NDArray[Any], calibration: NDArray[Any]) -> Arrays:
    return {"evaluation_x": inputs, "evaluation_y": targets, "calibration_x": calibration}
