"""What adb-shell, libusb and the sockets raise, in edgeworthy's own errors: device, what it did, and a hint."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from edgeworthy.errors import DeviceAbsent, DeviceError, DeviceRefuses, LinkLost
from edgeworthy.targets.links.adb_keys import AdbKey
from edgeworthy.targets.links.adb_session import CONFIRM_S


@dataclass(frozen=True)
class Meaning:
    """What an exception means to somebody who holds the device; ``{error}`` and ``{key}`` are filled in."""

    raised: type[DeviceError]
    message: str
    hint: str


LISTEN = "run 'adb tcpip 5555' once with the phone on a cable, and check address and port in devices.yaml"
NO_ADB = Meaning(DeviceAbsent, "the peer is not an ADB daemon ({error})", LISTEN)
OFFLINE = Meaning(
    DeviceAbsent,
    "offline: it accepts the connection and does not respond",
    "replug it, or switch USB debugging off and on",
)

#: By name, for libusb's exceptions cannot be imported where it is missing. The nearest base class decides.
CONNECTING = {
    "UsbUnavailable": Meaning(
        DeviceAbsent,
        "USB needs libusb, which cannot be loaded here ({error})",
        "install the system's libusb-1.0 and pip's libusb1, or reach the phone by its address",
    ),
    "UsbDeviceNotFoundError": Meaning(
        DeviceAbsent,
        "it is on no USB port; {error}",
        "plug it in, unlock it, switch on 'USB debugging' in its developer options, and compare 'serial' in "
        "devices.yaml with what 'adb devices' shows",
    ),
    "USBErrorBusy": Meaning(
        DeviceRefuses,
        "another program holds it, most likely a running adb server",
        "end that with 'adb kill-server'",
    ),
    "USBErrorAccess": Meaning(
        DeviceRefuses,
        "this user may not open it",
        "install the udev rules for Android phones (Debian: android-sdk-platform-tools-common) and replug it",
    ),
    "USBErrorTimeout": OFFLINE,
    "USBError": Meaning(DeviceAbsent, "USB says {error}", "replug it"),
    "NotListening": Meaning(DeviceAbsent, "nothing listens there, also when asked again", LISTEN),
    "Unreachable": Meaning(
        DeviceAbsent,
        "it cannot be reached ({error})",
        "see that it is switched on and in this network, and check address and port in devices.yaml",
    ),
    "TlsWanted": Meaning(
        DeviceRefuses,
        "it wants TLS (the wireless debugging of Android 11), which edgeworthy does not speak",
        "connect it by USB, or run 'adb tcpip 5555' with the phone on a cable and use that port",
    ),
    "NotConfirmed": Meaning(
        DeviceRefuses,
        f"unauthorized: it does not know the key {{key}}, and nobody confirmed it on its screen within {CONFIRM_S:g} s",
        "unlock it, say 'Always allow from this computer' and run again; or name the key that it knows in devices.yaml",
    ),
    "TimeoutError": OFFLINE,
    "AdbTimeoutError": OFFLINE,
    "ConnectionError": Meaning(
        DeviceAbsent,
        "it ends the connection at once ({error})",
        "end another program that holds it ('adb kill-server'), replug it, and check address and port in devices.yaml",
    ),
    "InvalidCommandError": NO_ADB,
    "InvalidChecksumError": NO_ADB,
    "InvalidResponseError": NO_ADB,
}
KEY_IS_NEW = Meaning(
    DeviceRefuses,
    "unauthorized: it wants a key, there was none, and {key} has just been made",
    "unlock it, say 'Always allow from this computer' on its screen, and run again",
)

SILENT = "the device fell silent"
GARBLED = "what it sends is garbled"
#: How a connection breaks at work, by the exception's name; KeyError is how adb-shell meets an unknown word.
BREAKING = {
    "TimeoutError": SILENT,
    "AdbTimeoutError": SILENT,
    "USBErrorTimeout": SILENT,
    "ConnectionError": "{error}",
    "StreamClosed": "{error}",
    "USBError": "{error}",
    "UsbReadFailedError": "{error}",
    "UsbWriteFailedError": "{error}",
    "StreamGarbled": GARBLED,
    "InvalidCommandError": GARBLED,
    "InvalidChecksumError": GARBLED,
    "InvalidResponseError": GARBLED,
    "KeyError": GARBLED,
}


@contextlib.contextmanager
def connecting(device: str, where: str, key: AdbKey) -> Iterator[None]:
    """What keeps us from the device, as DeviceAbsent, or as DeviceRefuses where it is there."""
    try:
        yield
    except Exception as error:
        name = _known(error, CONNECTING)
        if name is None:
            raise
        meaning = KEY_IS_NEW if name == "NotConfirmed" and key.is_new else CONNECTING[name]
        message = meaning.message.format(error=error, key=key.path)
        raise meaning.raised(f"{device} ({where}): {message}", hint=meaning.hint) from error


@contextlib.contextmanager
def working(device: str, doing: str) -> Iterator[None]:
    """A connection that breaks at work, as LinkLost."""
    try:
        yield
    except Exception as error:
        name = _known(error, BREAKING)
        if name is None:
            raise
        raise LinkLost(
            f"{device}: the link broke during {doing}: {BREAKING[name].format(error=error)}",
            hint="check cable and network, and whether the device has restarted",
        ) from error


def _known(error: BaseException, table: dict[str, Meaning] | dict[str, str]) -> str | None:
    """The name in the table that fits best; adb-shell wraps what libusb says."""
    kinds = [*type(getattr(error, "usb_error", None)).__mro__, *type(error).__mro__]
    return next((kind.__name__ for kind in kinds if kind.__name__ in table), None)
