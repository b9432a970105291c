"""Whether a converted model is still the model it was made from: the same outputs for the same real samples.

Converters guess (which axes to swap, where the preprocessing belongs) and say nothing where they guess wrong.
Every column of the outputs (a class, a coordinate, a channel) is held to its own spread: a score in [0, 1] beside boxes
in pixels is not lost. Where the outputs differ, the classic mistakes are undone on the inputs one by one; the one that
restores the outputs is named.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import IMAGE_RANK
from edgeworthy.errors import NotTheSameModel

if TYPE_CHECKING:
    from edgeworthy.variants.models.source_outputs import SourceOutputs

Images = NDArray[np.float32]
Values = NDArray[np.floating[Any]]
#: Samples (N, ...), images (N, H, W, C), to outputs (N, ..., columns).
Infer = Callable[[Images], Values]

#: Of the spread of a column of the source's outputs; what is rightly converted differs by 1e-5 of it.
MAX_DIFFERENCE = 1e-3
#: Of the largest output of a column, and of all: float32 arithmetic in another order, where outputs hardly differ.
ROUNDING, ROUNDING_OF_ALL = 1e-5, 1e-6
#: A few samples that are compared one at a time first, and the differing ones that are enough to say no.
FEW, ENOUGH = 8, 64
#: Changes of the inputs, of their largest value, that are no more than rounding; up to LAST_BITS in their last bits alone.
NUDGES, NUDGES_EACH, LAST_BITS = (1e-7, 1e-6, 1e-5), 8, 1e-6
#: So many times what rounding was seen to change is allowed, at most so many times the usual tolerance.
ROUNDINGS, MOST_ROUNDING = 4, 10
TINY = np.finfo(np.float32).tiny


class Mistake(NamedTuple):
    """A classic mistake: its kind, what it looks like, and the change of the inputs that undoes it."""

    kind: str
    sign: str
    undo: Callable[[Images], Images]


def check_same_outputs(how: str, source: SourceOutputs, infer: Infer) -> None:
    """Raise NotTheSameModel, which names the difference, unless ``infer`` gives the outputs of ``source``.

    ``how`` names what was converted and by which tool.
    """
    reason = few_differ(source, infer) or _some_differ(source, infer)
    if reason is not None:
        raise NotTheSameModel(
            f"{how}: converted, but not the same model: {reason}",
            hint="use recipes of another runtime for this model, or export its source in another way",
        )


def few_differ(source: SourceOutputs, infer: Infer) -> str | None:
    """The difference on a few samples from everywhere in the dataset, one at a time as on a device; None if there is none."""
    images, expected = source.probe(FEW)
    given = singly(infer, images)
    if given.shape == expected.shape:
        differing = _differing(given, expected, source.allowed)
        if all(_is_rounding(infer, images[[i]], expected[[i]], source.allowed) for i in differing):
            return None
    return difference(expected, partial(singly, infer), images, source.allowed)


def output_axes(source: SourceOutputs, infer: Infer) -> tuple[int, ...] | None:
    """The order of axes that makes of the converted model's outputs the source's, where it is another than their own."""
    images, expected = source.probe(FEW)
    given = singly(infer, images)
    if given.shape == expected.shape and agrees(given, expected, source.allowed):
        return None
    for axes in itertools.permutations(range(1, given.ndim)):
        turned = given.transpose(0, *axes)
        if turned.shape == expected.shape and agrees(turned, expected, source.allowed):
            return (0, *axes)
    return None


def output_places(source: SourceOutputs, each: Callable[[Images], list[Values]]) -> list[int] | None:
    """Where each of the source's several outputs is among those of the converted model, by their values; None if one is not."""
    images, expected = source.probe(1)
    given = [np.asarray(values).reshape(len(images), -1) for values in each(images)]
    places: list[int] = []
    start = 0
    while start < expected.shape[1]:
        left = ((place, values) for place, values in enumerate(given) if place not in places)
        found = next((each for each in left if _stands_at(each[1], expected, source.allowed, start)), None)
        if found is None:
            return None
        places.append(found[0])
        start += found[1].shape[1]
    return places


def _stands_at(values: Values, expected: Values, allowed: Values, start: int) -> bool:
    """Whether the columns of ``expected`` from ``start`` on are ``values``."""
    columns = slice(start, start + values.shape[1])
    return agrees(values, expected[:, columns], allowed[columns])


def _some_differ(source: SourceOutputs, infer: Infer) -> str | None:
    """The difference on any sample, in batches; a sample that differs in a batch is compared again alone."""
    found: list[tuple[int, Images, Values]] = []
    for rows, images, expected in source.batches():
        differing = _differing(infer(images), expected, source.allowed)
        if not len(differing):
            continue
        alone = _differing(singly(infer, images[differing]), expected[differing], source.allowed)
        found += [(int(rows[i]), images[[i]], expected[[i]]) for i in differing[alone]]
        if len(found) >= ENOUGH:
            break
    found = [each for each in found if not _is_rounding(infer, *each[1:], source.allowed)]
    if not found:
        return None
    images, expected = (np.concatenate([each[part] for each in found[:FEW]]) for part in (1, 2))
    reason = difference(expected, partial(singly, infer), images, source.allowed)
    count = f"at least {len(found)}" if len(found) >= ENOUGH else f"{len(found)}"
    return f"{reason}; {count} of {source.extent} differ, the first is sample {found[0][0]}"


def singly(infer: Infer, images: Images) -> Values:
    """Outputs of each of the samples, at least one, alone."""
    return np.concatenate([np.asarray(infer(image[None])) for image in images])


def difference(expected: Values, infer: Infer, images: Images, allowed: Values | None = None) -> str | None:
    """How the outputs for ``images`` differ from ``expected``, beginning with the kind of the difference; None if not.

    ``allowed`` is the tolerance of each column, by default that of ``expected``.
    """
    given = np.asarray(infer(images))
    allowed = tolerance(expected) if allowed is None else allowed
    if given.shape != expected.shape:
        return f"shape: {len(images)} samples become {given.shape}, by the source {expected.shape}"
    if not np.isfinite(given).all():
        return "NaN: its outputs hold NaN or infinity, the source's do not"
    if agrees(given, expected, allowed):
        return None
    for mistake in mistakes(images):
        if agrees(np.asarray(infer(mistake.undo(images))), expected, allowed):
            return f"{mistake.kind}: {mistake.sign}"
    if expected.ndim == 2 and (agrees(_softmax(given), expected) or agrees(given, _softmax(expected))):
        return "softmax: the last softmax was lost or added on the way"
    worst = np.unravel_index(np.argmax(np.abs(given - expected) / np.maximum(allowed, TINY)), given.shape)
    return (
        f"outputs differ by {np.abs(given - expected)[worst]:.2g} on {len(images)} real samples,"
        f" {np.broadcast_to(allowed, given.shape)[worst]:.2g} allowed{_column(worst, expected)}"
    )


def agrees(given: Values, expected: Values, allowed: Values | None = None, equal_nan: bool = False) -> bool:
    """Whether no output differs by more than ``allowed``, the tolerance of each column; NaN agrees only if asked to."""
    if given.shape != expected.shape:
        return False
    if equal_nan:
        if not np.array_equal(np.isfinite(given), np.isfinite(expected)):
            return False
        given, expected = (np.where(np.isfinite(expected), values, 0) for values in (given, expected))
    return bool((np.abs(given - expected) <= (tolerance(expected) if allowed is None else allowed)).all())


def tolerance(expected: Values) -> Values:
    """How far a rightly converted model's outputs may lie from ``expected``, per column (the last axis)."""
    columns = expected.reshape(-1, expected.shape[-1]) if expected.ndim > 1 else expected.reshape(-1, 1)
    largest = np.abs(columns).max(axis=0)
    spread = MAX_DIFFERENCE * np.ptp(columns, axis=0)
    allowed: Values = np.maximum(spread, np.maximum(ROUNDING * largest, ROUNDING_OF_ALL * largest.max()))
    return allowed


def _differing(given: Values, expected: Values, allowed: Values) -> NDArray[np.intp]:
    """The places of samples of which any output differs."""
    if given.shape != expected.shape:
        return np.arange(len(expected))
    beyond = ~(np.abs(given - expected) <= allowed)
    return np.flatnonzero(beyond.any(axis=tuple(range(1, beyond.ndim))))


def _is_rounding(infer: Infer, image: Images, expected: Values, allowed: Values) -> bool:
    """Whether a change of the input as small as rounding brings the source's outputs, or changes the model's as much.

    The model jumps at this sample, or its outputs are that sensitive there.
    """
    random, largest = np.random.default_rng(0), float(np.abs(image).max())
    given = np.asarray(infer(image))
    sensitivity = 0.0
    for size in np.repeat(NUDGES, NUDGES_EACH):
        nudged = np.asarray(infer(image + (size * largest * random.uniform(-1, 1, image.shape)).astype(np.float32)))
        if agrees(nudged, expected, allowed):
            return True
        if size <= LAST_BITS:
            sensitivity = max(sensitivity, float(np.abs(nudged - given).max()))
    return agrees(given, expected, np.clip(ROUNDINGS * sensitivity, allowed, MOST_ROUNDING * allowed))


def _column(worst: tuple[np.intp, ...], expected: Values) -> str:
    return f" (column {worst[-1]})" if expected.ndim > 1 and expected.shape[-1] > 1 else ""


def mistakes(images: Images) -> Iterator[Mistake]:
    """The mistakes that can be recognized on ``images`` (N, H, W, C); of other samples (N, ...) the scalings."""
    if images.ndim == IMAGE_RANK:
        yield from _of_images(images)
    for sign, factor, offset in _SCALINGS:
        yield Mistake("preprocessing", sign, partial(_scaled, factor=factor, offset=offset))


def _of_images(images: Images) -> Iterator[Mistake]:
    _, height, width, channels = images.shape
    if height == width:
        yield Mistake("layout", "it takes height for width", lambda x: x.transpose(0, 2, 1, 3))
    if channels > 1:
        yield Mistake("layout", "it reads NCHW data as NHWC", lambda x: x.transpose(0, 3, 1, 2).reshape(x.shape))
        yield Mistake("layout", "it reads NHWC data as NCHW", _as_if_nchw)
        yield Mistake("channel order", "it takes RGB for BGR, or BGR for RGB", lambda x: x[..., ::-1])


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
