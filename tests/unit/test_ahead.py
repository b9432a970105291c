"""Samples that a runner makes ready while the runtime computes."""

from types import SimpleNamespace

import numpy as np
import pytest
from edgeworthy.runners.python_runner import ahead
from edgeworthy.runners.python_runner.jobs import RunnerError
from hypothesis import given
from hypothesis import strategies as st

BATCH = 4
CONSTANT = 16000


class Samples:
    """Rows of two numbers, and a number that all of them have."""

    bytes_of_sample = 8

    def __init__(self, count):
        self.values = np.arange(2 * count).reshape(count, 2)

    def __getitem__(self, rows):
        return [self.values[rows], CONSTANT]


def model(refused=None):
    def native(given, first):
        values, constant = given
        if refused is not None and first <= refused < first + len(values):
            raise RunnerError("input_mismatch", f"sample {refused}")
        return [values * 10, np.array(constant)]

    inputs = [{"constant": None}, {"constant": CONSTANT}]
    return SimpleNamespace(job={"inputs": {"inputs": inputs}}, native=native)


@given(count=st.integers(BATCH, 60), together=st.integers(1, 5))
def test_every_batch_is_what_the_model_takes_of_its_samples(count, together):
    samples = Samples(count)
    starts = [min(start, count - BATCH) for start in range(0, count, BATCH)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "READY_BYTES", together * BATCH * samples.bytes_of_sample)
        found = list(ahead.batches_ahead(model(), samples, starts, BATCH))
    for start, (values, constant) in zip(starts, found, strict=True):
        np.testing.assert_array_equal(values, samples.values[start : start + BATCH] * 10)
        assert constant == CONSTANT


def test_what_a_sample_is_refused_for_is_raised_where_its_batch_is_due(monkeypatch):
    monkeypatch.setattr(ahead, "READY_BYTES", 1)
    batches = ahead.batches_ahead(model(refused=9), Samples(16), [0, 4, 8, 12], BATCH)
    assert len([next(batches), next(batches)]) == 2
    with pytest.raises(RunnerError, match="sample 9"):
        next(batches)
