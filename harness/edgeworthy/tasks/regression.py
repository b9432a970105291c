"""Regression: numbers for each sample."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.tasks.one_output import OneOutput
from edgeworthy.tasks.target_checks import check_numbers
from edgeworthy.tasks.task import Measure, Outputs, Predictions, Shapes, Targets, mean_of, of_one_size, of_sums

#: Numbers that differ by at most this share of their column's range count as the same; one int8 step is 1/255.
ALIKE = 0.01
#: What float16 arithmetic may change of a number, as a share of the column's largest: two units in its last place.
FLOAT16 = 2.0**-10
#: Below this share of the squared distances from the mean of all samples, a resampling's variance is rounding: it is 0.
VANISHING = 1e-12


class Regression(OneOutput):
    """Numbers of any shape for each sample, and targets (samples, ...) of the same, apart from sizes of 1.

    The mean absolute error and R squared are scikit-learn's, the mean over the columns; mse and psnr are judged without it.
    """

    DIRECT: ClassVar[tuple[str, ...]] = ("mse",)
    METRICS: ClassVar[tuple[str, ...]] = ("mae", "r2")

    kind: Literal["regression"] = "regression"

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Regression:
        """The task as it is. Raises SourceError where targets are not finite or of another shape than the output."""
        check_numbers(targets, self.judged(outputs))
        return self

    def decode(self, outputs: Outputs) -> NDArray[np.float64]:
        """Numbers (samples, columns); NaN where they are not finite."""
        values = _rows(self.judged(outputs))
        return np.where(np.isfinite(values), values, np.nan)

    def agree(self, first: Predictions, other: Predictions) -> NDArray[np.bool_]:
        """Whether no number differs by more than ALIKE of its column's range in ``first``, or by float16's rounding."""
        allowed = np.maximum(ALIKE * np.ptp(first, axis=0), FLOAT16 * np.abs(first).max(axis=0))
        return np.asarray((np.abs(first - other) <= allowed).all(axis=1))

    def measure(self, metric: str) -> Measure:
        """As the table of metrics says; NaN where an output is NaN, R squared also where a column's targets do not vary.

        The evidence of R squared raises SourceError where a column's targets are the same for all samples.
        """
        if metric == "mae":
            return mean_of(lambda predicted, targets: np.abs(predicted - _rows(targets)).mean(axis=1))
        return {"r2": of_sums(_squares, _r_squared, together=True)}[metric]


def _rows(values: Targets) -> NDArray[np.float64]:
    return values.reshape(len(values), -1).astype(np.float64)


def _squares(predicted: NDArray[np.float64], targets: Targets) -> NDArray[np.float64]:
    """Squared error, deviation from the mean of all targets, its square, and 1: (samples, 3 columns + 1).

    Without the mean taken off first, the variance of large numbers would be lost in the difference of its sums.
    """
    predicted, rows = of_one_size("r2", predicted), _rows(targets)
    constant = np.flatnonzero(np.ptp(rows, axis=0) == 0)
    if constant.size:
        raise SourceError(
            f"R squared is undefined: column {constant[0]} of the targets is {rows[0, constant[0]]:g} for all samples",
            hint="judge by mae or mse",
        )
    deviations = rows - rows.mean(axis=0)
    return np.concatenate([(predicted - rows) ** 2, deviations, deviations**2, np.ones((len(rows), 1))], axis=1)


def _r_squared(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - squared errors / squared deviations from the resampling's own mean, the mean over columns."""
    errors, deviations, squares = np.moveaxis(sums[:, :-1].reshape(len(sums), 3, -1), 1, 0)
    spread = squares - deviations**2 / sums[:, -1:]
    spread = np.where(spread > VANISHING * squares, spread, np.nan)
    found: NDArray[np.float64] = (1 - errors / spread).mean(axis=1)
    return found
