"""Whether a converted model is still the model it was made from: the same answers to the same real samples.

Converters guess (which axes to swap, where the preprocessing belongs) and say nothing where they guess wrong.
Where the answers differ, the classic mistakes are undone on the inputs one by one; the one that brings the answers
back is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotTheSameModel

Images = NDArray[np.float32]
Values = NDArray[np.floating[Any]]
#: Images (N, H, W, C) to answers (N, classes).
Answers = Callable[[Images], Values]

#: Of the spread of the source's answers; what is rightly converted differs by 1e-5 of it.
MAX_DIFFERENCE = 1e-3
#: Of the largest answer: float32 arithmetic in another order, where the answers hardly differ from one another.
ROUNDING = 1e-5


class Mistake(NamedTuple):
    """A classic mistake: its kind, what it looks like, and the change of the inputs that undoes it."""

    kind: str
    sign: str
    undo: Callable[[Images], Images]


def check_same_answers(how: str, expected: Values, answers: Answers, images: Images) -> None:
    """Raise NotTheSameModel, which names the difference, unless ``answers(images)`` are ``expected``.

    ``how`` says what was converted by what; ``expected`` are the source's answers to ``images`` (N, H, W, C).
    """
    reason = difference(expected, answers, images)
    if reason is not None:
        raise NotTheSameModel(
            f"{how}: converted, but not the same model: {reason}",
            next_step="use recipes of another runtime for this model, or export its source in another way",
        )


def difference(expected: Values, answers: Answers, images: Images) -> str | None:
    """How ``answers`` to ``images`` differ from ``expected``, beginning with the kind of the difference; None if not."""
    given = np.asarray(answers(images))
    if given.shape != expected.shape:
        return f"shape: {len(images)} samples become {given.shape}, by the source {expected.shape}"
    if not np.isfinite(given).all():
        return "NaN: its answers hold NaN or infinity, the source's do not"
    if agrees(given, expected):
        return None
    for mistake in mistakes(images):
        if agrees(np.asarray(answers(mistake.undo(images))), expected):
            return f"{mistake.kind}: {mistake.sign}"
    if agrees(_softmax(given), expected) or agrees(given, _softmax(expected)):
        return "softmax: the last softmax was lost or added on the way"
    return (
        f"answers differ by {np.abs(given - expected).max():.2g} on {len(images)} real samples,"
        f" {tolerance(expected):.2g} allowed"
    )


def agrees(given: Values, expected: Values) -> bool:
    """Whether no answer differs by more than ``tolerance(expected)``; NaN never agrees."""
    return given.shape == expected.shape and bool((np.abs(given - expected) <= tolerance(expected)).all())


def tolerance(expected: Values) -> float:
    """How far a rightly converted model's answers may lie from ``expected``."""
    return float(max(MAX_DIFFERENCE * np.ptp(expected), ROUNDING * np.abs(expected).max()))


def mistakes(images: Images) -> Iterator[Mistake]:
    """The mistakes that can be told on ``images`` (N, H, W, C)."""
    _, height, width, channels = images.shape
    if height == width:
        yield Mistake("layout", "it takes height for width", lambda x: x.transpose(0, 2, 1, 3))
    if channels > 1:
        yield Mistake("layout", "it reads NCHW data as NHWC", lambda x: x.transpose(0, 3, 1, 2).reshape(x.shape))
        yield Mistake("layout", "it reads NHWC data as NCHW", _as_if_nchw)
        yield Mistake("channel order", "it takes RGB for BGR, or BGR for RGB", lambda x: x[..., ::-1])
    for sign, factor, offset in _SCALINGS:
        yield Mistake("preprocessing", sign, partial(_scaled, factor=factor, offset=offset))


#: What a converted model does to its inputs beside what its source does; the factor and the offset that undo it.
_SCALINGS = (
    ("it scales by 1/255 once more", 255.0, 0.0),
    ("it lacks the scale factor 1/255", 1 / 255, 0.0),
    ("it maps [0, 1] to [-1, 1] once more", 0.5, 0.5),
    ("it lacks the map of [0, 1] to [-1, 1]", 2.0, -1.0),
    ("it maps [0, 255] to [-1, 1] once more", 127.5, 127.5),
    ("it lacks the map of [0, 255] to [-1, 1]", 1 / 127.5, -1.0),
)


def _scaled(images: Images, factor: float, offset: float) -> Images:
    return (images * np.float32(factor) + np.float32(offset)).astype(np.float32)


def _as_if_nchw(images: Images) -> Images:
    count, height, width, channels = images.shape
    return images.reshape(count, channels, height, width).transpose(0, 2, 3, 1)


def _softmax(values: Values) -> Values:
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    softened: Values = raised / raised.sum(axis=1, keepdims=True)
    return softened
