"""What fine-tuning holds kernels to: zeros, shared values, the grid of int8."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgeworthy.variants.training.weight_constraints import Clustering, Pruning, Rounding
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

Kernels = list[NDArray[np.float32]]

weights = st.floats(-4, 4, width=32).filter(lambda value: value == 0 or abs(value) > 1e-3)
kernels = st.lists(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=4, max_side=5), elements=weights), min_size=1, max_size=4
)


def together(values: Kernels) -> NDArray[np.float32]:
    return np.concatenate([value.ravel() for value in values])


@given(kernels, st.floats(0.01, 0.99), st.sampled_from(["polynomial", "constant"]))
def test_the_sparsity_is_reached_by_the_smallest_weights(values: Kernels, sparsity: float, schedule: Any) -> None:
    """At the end the asked share of all weights is zero; what is left is unchanged and nowhere smaller than what is not."""
    pruning = Pruning(sparsity, schedule)
    before, after = together(values), together(pruning.apply(values, 1.0))
    assert pruning.is_final(1.0)
    assert (after == 0).sum() >= round(sparsity * before.size)
    kept = after != 0
    assert kept.sum() >= (before != 0).sum() - round(sparsity * before.size)
    assert np.array_equal(after[kept], before[kept])
    if kept.any() and not kept.all():
        assert np.abs(before[kept]).min() >= np.abs(before[~kept]).max()


@given(kernels, st.floats(0, 1), st.floats(0, 1))
def test_the_schedule_only_rises(values: Kernels, one: float, other: float) -> None:
    """A polynomial schedule starts with no zeros of its own and never takes fewer later."""
    pruning = Pruning(0.8, "polynomial")
    early, late = (together(pruning.apply(values, done)) for done in sorted((one, other)))
    assert (early == 0).sum() <= (late == 0).sum()
    assert np.array_equal(together(pruning.apply(values, 0)), together(values))
    assert not pruning.is_final(0.49)


@settings(deadline=None)  # the first example imports scipy
@given(kernels, st.integers(2, 16))
def test_a_kernel_has_at_most_so_many_distinct_weights(values: Kernels, clusters: int) -> None:
    """Also after the values moved, in every kernel, and the shared value is the mean of those that share it."""
    clustering = Clustering(clusters)
    for moved in (values, [value + np.float32(0.125) for value in values]):
        shared = clustering.apply(moved, 0.5)
        assert all(len(np.unique(kernel)) <= clusters for kernel in shared)
        assert all(kernel.shape == value.shape for kernel, value in zip(shared, moved, strict=True))
        assert together(shared).mean() == pytest.approx(together(moved).mean(), abs=1e-4)


@given(kernels)
def test_a_rounded_kernel_is_what_int8_stores(values: Kernels) -> None:
    """Per channel at most 255 levels, half a step from the weight at most, and rounding again changes nothing."""
    rounding = Rounding(tuple((value.ndim - 1,) for value in values))
    rounded = rounding.apply(values, 0.5)
    for kernel, value in zip(rounded, values, strict=True):
        for channel in range(value.shape[-1]):
            step = np.abs(value[..., channel]).max() / 127 or 1.0
            levels = kernel[..., channel] / step
            assert np.abs(levels - np.round(levels)).max() < 1e-2
            assert np.abs(levels).max() <= 127.01
            assert np.abs(kernel[..., channel] - value[..., channel]).max() <= step * 0.51
    np.testing.assert_allclose(together(rounding.apply(rounded, 0.5)), together(rounded), rtol=1e-5, atol=1e-6)
