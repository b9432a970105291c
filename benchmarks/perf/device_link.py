"""The link to Android beside adb-shell's own transport, on one real adbd: a push of 20 MB, and a command's round trip."""

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from adb_shell.adb_device import AdbDeviceTcp
from edgeworthy.targets.links.adb import AdbLink
from edgeworthy.targets.links.adb_transport import TcpConnection
from finding import Finding, median_ratio
from sides import ROOT

sys.path.append(str(ROOT))
from tests.lab import build
from tests.lab.phone import Phone

PUSHED_BYTES = 20_000_000
PUSHES = 12
COMMANDS, BLOCKS = 20, 10
REMOTE = "/data/local/tmp/pushed"


def measure():
    """The ratio of the pushes in turn, and the round trip; nothing, with the reason, where there is no phone."""
    if reason := build.PHONE.missing():
        print(f"  skipped: the lab's {build.PHONE.title}: {reason}")
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Phone(Path(folder), build.PHONE.folder, None)) as phone,
        contextlib.closing(AdbLink("phone", TcpConnection(phone.address, phone.port), phone.key)) as ours,
        contextlib.closing(AdbDeviceTcp(phone.address, phone.port)) as stock,
    ):
        stock.connect()
        yield _push(ours, stock, Path(folder) / "file")
        yield _round_trip(ours)


def _push(ours, stock, file):
    """Ours also looks whether there is room and moves the file into place."""
    file.write_bytes(os.urandom(PUSHED_BYTES))
    seconds = [
        (_seconds(lambda: stock.push(str(file), REMOTE)), _seconds(lambda: ours.push(file, REMOTE)))
        for _ in range(PUSHES)
    ]
    ratio, low, high = median_ratio(*zip(*seconds, strict=True))
    stock_mb_s, our_mb_s = PUSHED_BYTES / 1e6 / np.median(seconds, axis=0)
    told = f"{low:.2f} to {high:.2f}; {our_mb_s:.0f} over {stock_mb_s:.0f} MB/s, 20 MB in turn"
    return Finding("push over ADB, ours over adb-shell's", ratio, "ratio", told, least=1.2)


def _round_trip(ours):
    """The median of several blocks' medians."""
    milliseconds = [[1000 * _seconds(lambda: ours.run(["true"], 10)) for _ in range(COMMANDS)] for _ in range(BLOCKS)]
    medians = np.median(milliseconds, axis=1)
    told = f"median of {BLOCKS} medians of {COMMANDS}; {min(medians):.1f} to {max(medians):.1f}"
    return Finding("round trip of a command over ADB", float(np.median(medians)), "ms", told, most=5)


def _seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
