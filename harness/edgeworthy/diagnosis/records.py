"""What a diagnosis says, as records that become JSON. Units are in the names."""

from __future__ import annotations

from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

FORMAT_VERSION = 2
Cause = Literal["range", "weights"]
#: The largest number of float16.
FLOAT16_MAX = 65_504
_ELSEWHERE = (
    "take a recipe that is made for the accelerator (for a Qualcomm NPU ort_qnn_int8), or let it leave the op to the processor:"
    " less than 100 as min_delegated_percent of the target"
)


class Record(BaseModel):
    """Frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LayerError(Record):
    """One layer of the quantized graph against the same layer of the float graph, over all samples.

    ``tensor`` is its output's name in the float graph, ``origin`` that in the quantized one.
    ``added_sqnr_db`` compares the layer's output with the float layer's output for the same inputs that the
    quantized one was given; ``sqnr_db`` compares with the float graph as a whole, errors of earlier layers included; None
    where nothing differs. ``share_percent`` is the layer's part of the error of the model's output: what its own added
    error, carried through the float graph, does to the output, over the sum of that of all layers. Of several outputs each
    counts by its error over its own power; ``output_shares_percent`` are the layer's parts of the error of each, in their order.
    ``cause`` says what added the error: ``range``, the output's own rounding and clipping, or ``weights``, all else.
    ``calibrated`` is the range that the output's quantization can hold, ``seen`` the float graph's on these samples.
    """

    tensor: str
    origin: str
    op: str
    parts: tuple[str, ...]
    sqnr_db: float | None
    added_sqnr_db: float | None
    share_percent: float
    output_shares_percent: tuple[float, ...]
    cause: Cause
    calibrated: tuple[float, float] | None
    seen: tuple[float, float]
    saturated_percent: float
    dead_channels: int
    channels: int

    @property
    def used_percent(self) -> float | None:
        """How much of the calibrated range the float graph's values take, None where the output is not quantized."""
        if self.calibrated is None:
            return None
        low, high = self.calibrated
        taken = min(self.seen[1], high) - max(self.seen[0], low)
        return 100.0 * max(taken, 0.0) / (high - low) if high > low else 100.0


class OpsLeft(Record):
    """Nodes of one kind that the delegate did not take; ``float_taken`` where it takes them in the float graph."""

    op: str
    tensors: tuple[str, ...]
    float_taken: bool


class Delegated(Record):
    """Where the quantized graph ran: ``kernels`` pieces of it, ``taken`` of ``total`` nodes, on the delegate.

    ``tensors`` are the outputs of those that it took.
    """

    delegate: str
    kernels: int
    taken: int
    total: int
    tensors: tuple[str, ...]
    left: tuple[OpsLeft, ...]


class OutputError(Record):
    """One output of the quantized graph against the float graph's, over all samples; ``name`` is "" of a single one.

    ``error_percent`` is the root of the error's energy over that of the float graph's values; ``sqnr_db`` says the same in
    decibels, None where nothing differs.
    """

    name: str
    sqnr_db: float | None
    error_percent: float


class Traced(Record):
    """What running both graphs side by side showed; ``layers`` in the order of execution, the inputs first.

    ``entries`` are the tensors in which the inputs are first quantized, be it after they were only moved (transposed, flattened);
    an input itself where none is. Inputs of whole numbers are not among them. ``consumers`` are the layers of the float graph
    that compute with a layer's output.
    """

    samples: int
    agreement_percent: float
    outputs: tuple[OutputError, ...]
    layers: tuple[LayerError, ...]
    entries: tuple[str, ...]
    consumers: dict[str, tuple[str, ...]]
    delegated: Delegated | None

    @property
    def worst_output(self) -> int:
        """The place of the output with the largest error for its size."""
        errors = [output.error_percent for output in self.outputs]
        return errors.index(max(errors))

    def blamed_for(self, output: int) -> list[LayerError]:
        """The layers that add to the error of the output in that place, the one that adds most first."""
        found = [layer for layer in self.layers if layer.output_shares_percent[output] > 0]
        return sorted(found, key=lambda layer: -layer.output_shares_percent[output])


class Finding(Record):
    """One thing that is wrong, in a sentence, and what to do about it."""

    kind: Literal[
        "input range",
        "output",
        "layer",
        "saturated",
        "dead channels",
        "unused range",
        "delegate",
        "spread",
        "fine",
        "accelerator",
    ]
    message: str
    hint: str = ""
    tensor: str | None = None


class Proposal(Record):
    """A variant that leaves the worst layers float, for the model's ``variants`` in models.yaml."""

    name: str
    recipe: str
    options: dict[str, Any]
    left_percent: float

    def yaml(self) -> str:
        """The entry, ready to paste."""
        return variant_yaml(self.name, self.recipe, self.options)


class Diagnosis(Record):
    """Why a cell is as it is. ``findings`` begin with the worst, ``ranked`` with the layer that is to blame most."""

    version: int = FORMAT_VERSION
    model: str
    variant: str
    target: str
    recipe: str
    reference: str
    classifies: bool
    traced: Traced
    findings: tuple[Finding, ...]
    proposal: Proposal | None
    verdicts: tuple[str, ...] = ()

    @property
    def ranked(self) -> list[LayerError]:
        """The layers, the one that adds most to the final error first."""
        return sorted(self.traced.layers, key=lambda layer: -layer.share_percent)


class OpError(Record):
    """One op on an accelerator against the same op on the processor, over all samples.

    The errors are the largest difference over the largest value; ``inputs_reach`` is the largest value among the inputs.
    """

    op: str
    name: str
    tensor: str
    error_percent: float
    inputs_percent: float
    inputs_reach: float

    @property
    def words(self) -> str:
        """``Mul`` and its tensor."""
        return f"{self.op} {self.tensor}"


class OnAccelerator(Record):
    """What an accelerator makes of a cell's graph: ``ops`` in the order of execution, and the ``first`` that goes wrong.

    With every tensor as an output it took ``taken`` of ``total`` nodes, which may be fewer than of the graph as it ships.
    """

    version: int = FORMAT_VERSION
    model: str
    variant: str
    target: str
    samples: int
    taken: int | None
    total: int | None
    ops: tuple[OpError, ...]
    first: OpError | None

    @property
    def finding(self) -> Finding:
        """What is wrong, in a sentence, and what to do about it."""
        found = self.first
        if found is None:
            worst = max(self.ops, key=lambda op: op.error_percent)
            message = (
                f"no op goes wrong there by itself: the largest error is {worst.error_percent:.3g} %, of {worst.words}"
            )
            return Finding(kind="fine", message=message, tensor=worst.tensor)
        message = (
            f"{found.words} is the first op that goes wrong on {self.target}: its error is {found.error_percent:.3g} % of its"
            f" largest value, that of its inputs {found.inputs_percent:.3g} %"
        )
        if found.inputs_reach > FLOAT16_MAX:
            message += f"; its inputs reach {found.inputs_reach:,.0f}, and float16 holds {FLOAT16_MAX:,}"
        return Finding(kind="accelerator", message=message, hint=_ELSEWHERE, tensor=found.tensor)


def variant_yaml(name: str, recipe: str, options: dict[str, Any]) -> str:
    """An entry of a model's ``variants``, ready to paste into models.yaml."""
    entry: dict[str, Any] = {"recipe": recipe} if recipe != name else {}
    if options:
        entry["options"] = options
    return yaml.safe_dump({name: entry or None}, sort_keys=False, width=4096).replace(": null", ":")
