"""Findings: from the numbers of the layers to a message and a hint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgeworthy.diagnosis.records import Finding, LayerError, Traced
from edgeworthy.text import digits, first_of

#: More clipped values than this are no rounding at the edge, and no calibrator's choice.
SATURATED_PERCENT = 1.0
#: A range that the values use less of wastes more than three of its eight bits.
USED_PERCENT = 10.0
#: A layer with a larger share of dead channels is reported.
DEAD_PERCENT = 10.0
#: Pixels are 0 to 255, or scaled to 0 to 1: who does it once too often, or not at all, is off by this factor.
PIXEL_SCALE = 255.0
#: How near to that factor counts as it.
NEAR = 0.3

#: Inputs as wide as this were not scaled.
UNSCALED = 16.0

_RECALIBRATE = "make the calibration samples exactly as the evaluation samples are made, and convert again"
_EVALUATE = "make the evaluation samples as the model expects them, which is how the calibration samples were made"
_SCALED_TWICE = "were scaled twice (divided by 255 once more)"
_NOT_SCALED = "were not scaled (0 to 255)"


@dataclass(frozen=True)
class Facts:
    """What the findings are made from.

    ``accurate`` is the gate's verdict; ``slower`` says by how much, or nothing; ``repairable`` is whether leaving a few
    layers float would do.
    """

    traced: Traced
    accurate: bool
    slower: str = ""
    repairable: bool = False


def find(facts: Facts) -> list[Finding]:
    """Every finding, the worst first."""
    rules: list[Callable[[Facts], Iterator[Finding]]] = [
        _input,
        _output,
        _layer,
        _saturated,
        _dead,
        _unused,
        _spread,
        _delegate,
    ]
    if facts.accurate:
        rules.insert(0, rules.pop())
    found = [finding for rule in rules for finding in rule(facts)]
    return found or [
        Finding(
            kind="fine", message=f"nothing stands out: {output_words(facts.traced)} has {_db(_worst_db(facts.traced))}"
        )
    ]


def output_words(traced: Traced) -> str:
    """``the output``, or of several ``the output boxes``, which has the largest error for its size."""
    name = traced.outputs[traced.worst_output].name
    return f"the output {name}" if name else "the output"


def _worst_db(traced: Traced) -> float | None:
    return traced.outputs[traced.worst_output].sqnr_db


def label(tensor: str) -> str:
    """A tensor's name, short: converters join the names of all that they fused."""
    parts = [part for part in tensor.split(";") if part]
    telling = [part for part in parts if part.rpartition("/")[2] in ("convolution", "depthwise", "MatMul", "mul")]
    return (telling or parts or [tensor])[0]


def calibrated_otherwise(traced: Traced) -> bool:
    """Whether a quantized input was made for other values than are evaluated: then no layer is to blame."""
    return any(map(_is_unfit, _entries(traced)))


def _is_unfit(entry: LayerError) -> bool:
    if entry.calibrated is None:
        return False
    return entry.saturated_percent > SATURATED_PERCENT or (entry.used_percent or 0.0) < USED_PERCENT


def _input(facts: Facts) -> Iterator[Finding]:
    several = len(facts.traced.entries) > 1
    for layer in filter(_is_unfit, _entries(facts.traced)):
        assert layer.calibrated is not None
        used, clipped = layer.used_percent or 0.0, layer.saturated_percent
        guess, step = _guess(_width(layer.calibrated), _width(layer.seen))
        held = f"the quantized input{f' {label(layer.tensor)}' if several else ''} holds {_range(layer.calibrated)}"
        wrong = (
            f"{clipped:.1f} % of them are clipped" if clipped > SATURATED_PERCENT else f"they use {used:.2g} % of it"
        )
        message = f"{held}, the evaluation inputs are in {_range(layer.seen)}: {wrong}; {guess}"
        yield Finding(kind="input range", message=message, hint=step, tensor=layer.tensor)


def _guess(calibrated: float, seen: float) -> tuple[str, str]:
    """What was done to one of the two, from how wide they are, and the hint.

    Scaled inputs are about as wide as 1, whatever their mean and standard deviation: the one that is far from it is wrong.
    """
    factor = calibrated / max(seen, 1e-30)
    if abs(factor * PIXEL_SCALE - 1) < NEAR:
        if seen > UNSCALED:
            return f"the evaluation inputs {_NOT_SCALED}", _EVALUATE
        return f"it was calibrated on inputs that {_SCALED_TWICE}", _RECALIBRATE
    if abs(factor / PIXEL_SCALE - 1) < NEAR:
        if calibrated > UNSCALED:
            return f"it was calibrated on inputs that {_NOT_SCALED}", _RECALIBRATE
        return f"the evaluation inputs {_SCALED_TWICE}", _EVALUATE
    return f"it was calibrated on inputs {digits(factor, 2)} times as wide", _RECALIBRATE


def _output(facts: Facts) -> Iterator[Finding]:
    """Which of several outputs suffers most, where they are bad enough to matter."""
    outputs, worst = facts.traced.outputs, facts.traced.worst_output
    if facts.accurate or len(outputs) < 2 or not outputs[worst].error_percent:
        return
    others = first_of([f"{each.name} {each.error_percent:.3g} %" for each in outputs if each is not outputs[worst]], 3)
    yield Finding(
        kind="output",
        message=f"of {len(outputs)} outputs {outputs[worst].name} suffers most: its error is"
        f" {outputs[worst].error_percent:.3g} % of its values; {others}",
    )


def _layer(facts: Facts) -> Iterator[Finding]:
    """The layer that adds most to the output that suffers most, where that is bad enough to matter."""
    blamed = facts.traced.blamed_for(facts.traced.worst_output)
    if facts.accurate or not blamed:
        return
    worst = blamed[0]
    message = (
        f"{_named(worst)} adds {worst.output_shares_percent[facts.traced.worst_output]:.0f} % of the error of"
        f" {output_words(facts.traced)} (its own signal to noise is {_db(worst.added_sqnr_db)}): {_why(worst)}"
    )
    step = "leave it float, as proposed below" if facts.repairable else ""
    yield Finding(kind="layer", message=message, hint=step, tensor=worst.tensor)


def _why(layer: LayerError) -> str:
    if layer.cause == "weights":
        return "its weights do not survive quantization"
    assert layer.calibrated is not None
    if layer.saturated_percent > SATURATED_PERCENT:
        return (
            f"its range {_range(layer.calibrated)} clips {layer.saturated_percent:.1f} % of the values,"
            f" which reach {_range(layer.seen)}"
        )
    dead = f", and {layer.dead_channels} of {layer.channels} channels are dead" if layer.dead_channels else ""
    return f"one step of its range {_range(layer.calibrated)} is too coarse for most of its values{dead}"


def _saturated(facts: Facts) -> Iterator[Finding]:
    found = [layer for layer in _inner(facts) if layer.saturated_percent > SATURATED_PERCENT]
    if found:
        worst = max(found, key=lambda layer: layer.saturated_percent)
        yield Finding(
            kind="saturated",
            message=f"{len(found)} layers clip more than {SATURATED_PERCENT:g} % of their values, {_named(worst)} most:"
            f" {worst.saturated_percent:.1f} % lie outside {_range(worst.calibrated or worst.seen)}",
            hint="calibrate on samples of every kind that is evaluated, or with more of them",
            tensor=worst.tensor,
        )


def _dead(facts: Facts) -> Iterator[Finding]:
    found = [layer for layer in facts.traced.layers if layer.dead_channels * 100 > DEAD_PERCENT * layer.channels]
    if found:
        worst = max(found, key=lambda layer: layer.dead_channels / layer.channels)
        yield Finding(
            kind="dead channels",
            message=f"{len(found)} layers have channels that vary in float and are constant here, {_named(worst)} most:"
            f" {worst.dead_channels} of {worst.channels}",
            hint="leave these layers float, or quantize them per channel",
            tensor=worst.tensor,
        )


def _unused(facts: Facts) -> Iterator[Finding]:
    found = [(layer.used_percent or 0.0, layer) for layer in _inner(facts) if layer.calibrated is not None]
    found = [(used, layer) for used, layer in found if used < USED_PERCENT]
    if found:
        used, worst = min(found, key=lambda pair: pair[0])
        yield Finding(
            kind="unused range",
            message=f"{len(found)} layers use less than {USED_PERCENT:g} % of the range they were calibrated to,"
            f" {_named(worst)} least: {used:.2g} % of {_range(worst.calibrated or worst.seen)}",
            hint=_RECALIBRATE,
            tensor=worst.tensor,
        )


def _spread(facts: Facts) -> Iterator[Finding]:
    if not facts.accurate and not facts.repairable and not calibrated_otherwise(facts.traced):
        yield Finding(
            kind="spread",
            message="the error is spread over most of the layers: leaving a few of them float does not help",
            hint="choose another recipe (dynamic_int8, float16, int16x8, qat_int8), or check the calibration samples",
        )


def _delegate(facts: Facts) -> Iterator[Finding]:
    found = facts.traced.delegated
    left = [op for op in found.left if op.float_taken] if found else []
    if found and left:
        ops = ", ".join(f"{len(op.tensors)} {op.op}" for op in left)
        pieces = f", and the rest runs in {found.kernels} pieces" if found.kernels > 1 else ""
        yield Finding(
            kind="delegate",
            message=f"{found.delegate} does not take {ops} of the quantized graph, which it takes in float{pieces}"
            f"{f'; {facts.slower}' if facts.slower else ''}",
            hint="leave these ops float, as proposed below",
            tensor=left[0].tensors[0],
        )


def _entries(traced: Traced) -> list[LayerError]:
    return [layer for layer in traced.layers if layer.tensor in traced.entries]


def _inner(facts: Facts) -> list[LayerError]:
    return [layer for layer in facts.traced.layers if layer.parts and layer.tensor not in facts.traced.entries]


def _named(layer: LayerError) -> str:
    return layer_words(layer) if layer.parts else "rounding the input"


def layer_words(layer: LayerError) -> str:
    """``CONV_2D`` and the tensor's name, short."""
    return f"{layer.op} {label(layer.tensor)}"


def _width(ends: tuple[float, float]) -> float:
    return ends[1] - ends[0]


def _range(ends: tuple[float, float]) -> str:
    return f"[{digits(ends[0])}, {digits(ends[1])}]"


def _db(value: float | None) -> str:
    return "no error at all" if value is None else f"{value:.1f} dB"
