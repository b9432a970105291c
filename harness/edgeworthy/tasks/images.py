"""Images that a model makes better: super-resolution, denoising, restoration."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.errors import SourceError
from edgeworthy.tasks.closeness import close
from edgeworthy.tasks.layout import Layout, channels_last, layout_of
from edgeworthy.tasks.one_output import OneOutput
from edgeworthy.tasks.packages import package
from edgeworthy.tasks.target_checks import check_numbers
from edgeworthy.tasks.task import Measure, Outputs, Predictions, Shapes, Targets, mean_of

#: Side of the Gaussian window of 1.5 pixels that SSIM is averaged over.
WINDOW = 11
#: The SSIM of a sample that has none, because of a NaN: the least there is.
WORST = -1.0


class Images(OneOutput):
    """Images of the targets' size, and targets (samples, height, width, channels) or (samples, height, width).

    An output may have its channels first. SSIM is that of Wang et al. (2004), as scikit-image's ``structural_similarity``
    has it with Gaussian weights and no sample covariance, the mean over channels; PSNR is judged without this task.
    """

    DIRECT: ClassVar[tuple[str, ...]] = ("psnr",)
    METRICS: ClassVar[tuple[str, ...]] = ("ssim",)

    kind: Literal["images"] = "images"
    layout: Layout | None = Field(None, description="needed where height, width and channels are as many")

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Images:
        """The task with its layout. Raises SourceError where the images are not of the targets' size, or too small."""
        shape = self.judged(outputs)
        if targets.ndim not in (3, 4):
            raise SourceError(
                f"the targets have shape {targets.shape}", hint="give images (samples, height, width, channels)"
            )
        layout = layout_of(shape, targets.shape[1:3], self.layout)
        last = shape if layout != "chw" else (*shape[1:], shape[0])
        check_numbers(targets, last)
        if min(targets.shape[1:3]) < WINDOW:
            raise SourceError(
                f"the images are {targets.shape[1]} x {targets.shape[2]}, smaller than SSIM's window of {WINDOW} pixels",
                hint="judge by mse or psnr",
            )
        if targets.min() == targets.max():
            raise SourceError(f"all pixels of the targets are {targets.min():g}", hint="correct the targets")
        return self.model_copy(update={"layout": layout})

    def decode(self, outputs: Outputs) -> NDArray[Any]:
        """Images (samples, height, width, channels)."""
        return channels_last(self.judged(outputs), self.layout)

    def agree(self, first: Predictions, other: Predictions) -> NDArray[np.bool_]:
        """Whether the images are close, as :func:`edgeworthy.tasks.closeness.close` says."""
        return close(first, other)

    def measure(self, metric: str) -> Measure:
        """As the table of metrics says. Raises SourceError where scikit-image is not installed."""
        ssim = package("skimage.metrics", "SSIM is measured by scikit-image's", "ssim").structural_similarity
        return {"ssim": mean_of(lambda images, targets: _scores(ssim, images, targets), together=True)}[metric]


def peak(targets: Iterable[NDArray[Any]]) -> float:
    """The range of the targets' kind of image: 1 within [0, 1], 255 within [0, 255], else what they have."""
    low, high = float(min(map(np.min, targets))), float(max(map(np.max, targets)))
    return high - low if low < 0 or high > 255 else 1.0 if high <= 1 else 255.0


def _scores(ssim: Any, images: Iterable[NDArray[Any]], targets: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """SSIM of each sample; WORST where it is NaN."""
    measured = functools.partial(
        ssim, data_range=peak(targets), channel_axis=-1, gaussian_weights=True, use_sample_covariance=False
    )
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN
        found = [
            measured(target.reshape(image.shape).astype(np.float64), image.astype(np.float64))
            for target, image in zip(targets, images, strict=True)
        ]
    return np.nan_to_num(np.array(found, np.float64), nan=WORST)
