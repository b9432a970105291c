"""What goes into a model and comes out of it is the same number, or an error."""

from __future__ import annotations

import contextlib

import numpy as np
from edgeworthy.runners.python_runner.casting import as_floats, to_input
from edgeworthy.runners.python_runner.jobs import RunnerError
from edgeworthy.runners.python_runner.texts import FINGERPRINT, fingerprints, text_numbers, texts_of
from edgeworthy.tensors import in_a_row
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
TYPES = st.sampled_from(["bool", *INTEGERS, "float16", "float32", "float64"])
STORED = st.sampled_from([*INTEGERS, "float32"])


@given(STORED.flatmap(lambda kind: arrays.arrays(np.dtype(kind), (3, 2))), TYPES)
def test_an_input_is_given_its_own_value_or_none(values: np.ndarray, kind: str) -> None:
    """Fractions are rounded to a floating-point type; nothing else is changed, whatever two types meet."""
    with contextlib.suppress(RunnerError):
        found = to_input(values, np.dtype(kind))
        assert found.dtype == kind
        for was, became in zip(values.ravel().tolist(), found.ravel().tolist(), strict=True):
            whole = np.dtype(kind).kind != "f"
            assert became == was if whole else became == np.dtype(kind).type(was) or (became != became and was != was)


@given(TYPES.flatmap(lambda kind: arrays.arrays(np.dtype(kind), (3, 2))))
def test_an_output_is_its_own_value_or_an_error(values: np.ndarray) -> None:
    """Whole numbers are exact; floating-point numbers are rounded, and none becomes infinite."""
    with contextlib.suppress(RunnerError):
        found = as_floats(values)
        if values.dtype.kind in "iub":
            assert found.tolist() == values.tolist()
        else:
            assert np.array_equal(np.isinf(found), np.isinf(values))


TEXTS = arrays.arrays(
    np.dtype("<U6"), (4, 2), elements=st.text(max_size=6).filter(lambda text: not text.endswith("\0"))
)


@given(TEXTS)
def test_texts_are_kept_as_they_are(texts: np.ndarray) -> None:
    [named] = in_a_row({"x": texts})
    rows = text_numbers(texts, named.width).reshape(4, -1)
    assert named.size == rows.shape[1]
    assert np.array_equal(named.of(rows), texts)
    assert np.array_equal(texts_of(rows.reshape(4, 2, -1)), texts)


@given(TEXTS)
def test_fingerprints_are_equal_where_texts_are(texts: np.ndarray) -> None:
    found = fingerprints(texts.reshape(8, 1))
    assert found.shape == (8, FINGERPRINT)
    assert set(np.unique(found)) <= {-1, 1}
    same = texts.reshape(8, 1) == texts.reshape(1, 8)
    assert np.array_equal(found @ found.T == FINGERPRINT, same)
