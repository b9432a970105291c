"""Sound that a model makes better: denoising, separation."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.tasks.closeness import close
from edgeworthy.tasks.one_output import OneOutput
from edgeworthy.tasks.target_checks import check_numbers
from edgeworthy.tasks.task import Measure, Outputs, Predictions, Shapes, Targets, mean_of

#: The most that SI-SDR is where there is no error, and its negative the least, of an output that is silent or has a NaN.
MOST_DB = 100.0


class Audio(OneOutput):
    """Sound of the targets' shape, and targets (samples, time) or (samples, channels, time), waveforms.

    SI-SDR (Le Roux et al., SDR - half-baked or well done?, ICASSP 2019) is torchmetrics'
    ScaleInvariantSignalDistortionRatio with ``zero_mean=True``, the mean over channels; from -MOST_DB to MOST_DB.
    """

    METRICS: ClassVar[tuple[str, ...]] = ("si_sdr",)

    kind: Literal["audio"] = "audio"

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Audio:
        """The task as it is. Raises SourceError where shapes are unlike, or a target is silent: it has no SI-SDR."""
        if targets.ndim not in (2, 3):
            raise SourceError(
                f"the targets have shape {targets.shape}", hint="give (samples, time) or (samples, channels, time)"
            )
        check_numbers(targets, self.judged(outputs))
        silent = np.flatnonzero((np.ptp(targets, axis=-1) == 0).reshape(len(targets), -1).any(axis=1))
        if silent.size:
            raise SourceError(
                f"{silent.size} targets are silent or have a silent channel, the first is that of sample {silent[0]}",
                hint="leave them out: SI-SDR is not defined for silence",
            )
        return self

    def decode(self, outputs: Outputs) -> NDArray[Any]:
        """Sound as the output has it, (samples, ...)."""
        return self.judged(outputs)

    def agree(self, first: Predictions, other: Predictions) -> NDArray[np.bool_]:
        """Whether the sounds are close, as :func:`edgeworthy.tasks.closeness.close` says."""
        return close(first, other)

    def measure(self, metric: str) -> Measure:
        """As the table of metrics says."""
        return {"si_sdr": mean_of(_si_sdr_db)}[metric]


def _si_sdr_db(sounds: NDArray[Any], targets: Targets) -> NDArray[np.float64]:
    """SI-SDR of each sample in dB, 10 log10(|a s|^2 / |a s - x|^2) with a = <x, s> / <s, s>; the mean over channels."""
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted, given = _centred(targets), _centred(sounds.reshape(targets.shape))
        scale = (given * wanted).sum(axis=-1, keepdims=True) / (wanted**2).sum(axis=-1, keepdims=True)
        signal = scale * wanted
        ratio = 10 * np.log10((signal**2).sum(axis=-1) / ((signal - given) ** 2).sum(axis=-1))
    bounded = np.clip(np.nan_to_num(ratio, nan=-MOST_DB), -MOST_DB, MOST_DB)
    return np.asarray(bounded.reshape(len(bounded), -1).mean(axis=1))


def _centred(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(values - values.mean(axis=-1, keepdims=True, dtype=np.float64))
