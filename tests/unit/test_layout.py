"""Images are turned for a model of another layout, and only they."""

from __future__ import annotations

import numpy as np
import pytest
from edgeworthy.sources.samples import as_stored, in_layout


@pytest.mark.parametrize("shape", [(2,), (2, 5), (2, 5, 3), (2, 5, 4, 3), (2, 5, 4, 3, 6)])
def test_only_images_are_turned_and_turned_back(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape)).reshape(shape)
    turned = in_layout(values, "nchw")
    assert turned.shape == ((2, 3, 5, 4) if len(shape) == 4 else shape)
    np.testing.assert_array_equal(as_stored(turned, "nchw"), values)
    assert in_layout(values, "nhwc") is values
