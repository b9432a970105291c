"""A device that is away for a while is waited for; one that stays away is absent, however the last try failed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from edgeworthy.errors import CommandFailed, DeviceAbsent, DeviceError, LinkLost
from edgeworthy.targets.links import patience
from edgeworthy.targets.links.patience import at_first_contact, patiently


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 0.01)
    monkeypatch.setattr(patience, "PATIENCE_S", 0.1)


def failing(*errors: type[DeviceError]) -> Callable[[], str]:
    """Fails with each of the errors in turn, then answers."""
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)("pi: gone", hint="plug it in")
        return "back"

    return call


def test_a_device_that_comes_back_is_waited_for() -> None:
    """Whether it was away or the link broke."""
    assert patiently(failing(LinkLost, DeviceAbsent, LinkLost)) == "back"


@pytest.mark.parametrize("last", [LinkLost, DeviceAbsent])
def test_a_device_that_stays_away_is_absent(last: type[DeviceError]) -> None:
    """So that 'required: false' holds for it; the cause is kept."""
    with pytest.raises(DeviceAbsent, match=r"pi: gone; connecting again for 0\.1 s did not help") as caught:
        patiently(failing(*[LinkLost] * 3, *[last] * 1000))
    assert isinstance(caught.value.__cause__, last)
    assert caught.value.hint == "plug it in"


def test_a_call_that_broke_late_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience is counted from the loss: what worked for longer before it broke is tried again all the same."""
    clock = iter(range(0, 10_000, 1000))
    monkeypatch.setattr(patience, "PATIENCE_S", 1500)
    monkeypatch.setattr(patience.time, "monotonic", lambda: next(clock))
    assert patiently(failing(LinkLost)) == "back"


def test_other_errors_are_no_absence() -> None:
    """They are raised at once."""
    with pytest.raises(CommandFailed, match=r"^pi: gone\n"):
        patiently(failing(CommandFailed))


def test_first_contact_fails_fast_if_absent_and_retries_if_link_drops() -> None:
    """A device that was not plugged in does not cost two minutes; one whose link broke was there."""
    with pytest.raises(DeviceAbsent, match=r"^pi: gone\n"):
        at_first_contact(failing(DeviceAbsent))
    assert at_first_contact(failing(LinkLost, DeviceAbsent, DeviceAbsent)) == "back"
