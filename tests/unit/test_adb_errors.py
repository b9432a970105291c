"""What libusb and adb-shell raise becomes an error that says what to do; what is a defect of ours is not hidden."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import usb1
from adb_shell.exceptions import UsbReadFailedError
from edgeworthy.errors import DeviceAbsent, DeviceError, DeviceRefuses, LinkLost
from edgeworthy.targets.links.adb_errors import connecting, working
from edgeworthy.targets.links.adb_keys import AdbKey

KEY = AdbKey(Path("/home/me/.android/adbkey"), None, is_new=False)


@pytest.mark.parametrize(
    ("raised", "expected", "says", "hint"),
    [
        (usb1.USBErrorBusy(), DeviceRefuses, "a running adb server", "adb kill-server"),
        (usb1.USBErrorAccess(), DeviceRefuses, "may not open it", "udev"),
        (usb1.USBErrorNoDevice(), DeviceAbsent, "USB says", "replug"),
        (UsbReadFailedError("no data", usb1.USBErrorTimeout()), DeviceAbsent, "offline", "replug"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_usb_errors_have_a_hint(raised: Exception, expected: type[DeviceError], says: str, hint: str) -> None:
    """The device and its cable are named, and the cause is kept."""
    with pytest.raises(expected, match=says) as caught, connecting("pixel7", "USB, serial 7A", KEY):
        raise raised
    assert caught.value.message.startswith("pixel7 (USB, serial 7A): ")
    assert hint in caught.value.hint
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize(
    ("raised", "how"),
    [
        (UsbReadFailedError("no data", usb1.USBErrorTimeout()), "the device fell silent"),
        (UsbReadFailedError("no data", usb1.USBErrorNoDevice()), "during 'ls': "),
        (ConnectionResetError("reset"), "reset"),
        (KeyError(7), "garbled"),
    ],
    ids=["silent", "unplugged", "reset", "garbled"],
)
def test_broken_connections_are_lost_links(raised: Exception, how: str) -> None:
    """The error says during what, and how."""
    with pytest.raises(LinkLost, match=how), working("pixel7", "'ls'"):
        raise raised


def test_other_errors_are_not_translated() -> None:
    """A defect of ours looks like one."""
    for block in (connecting("pixel7", "USB", KEY), working("pixel7", "'ls'")):
        with pytest.raises(ZeroDivisionError), block:
            raise ZeroDivisionError


WITHOUT_LIBUSB = """
import sys
from pathlib import Path
sys.modules["usb1"] = None
from edgeworthy.errors import DeviceAbsent
from edgeworthy.targets.links.adb import AdbLink
from edgeworthy.targets.links.adb_transport import UsbConnection
try:
    AdbLink("pixel7", UsbConnection("7A"), Path(sys.argv[1])).run(["true"], 5)
except DeviceAbsent as error:
    print(error)
"""


def test_libusb_is_optional(tmp_path: Path) -> None:
    """Everything but USB works without it, and USB says what is missing."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBUSB, str(tmp_path / "adbkey")], capture_output=True, text=True, check=True
    )
    assert "pixel7 (USB, serial 7A): USB needs libusb, which cannot be loaded here" in done.stdout
    assert "libusb1" in done.stdout
