"""Tier (a): adbd of Debian in a root with Android's shell and tools, as an unrooted phone shows itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.lab.benchmark_tool import PLACE
from tests.lab.machine import BOOT_ID, Machine, new_boot_id
from tests.lab.sandbox import Sandbox
from tests.lab.telemetry import PhoneTelemetry
from tests.lab.tiers import HERE

#: Android's user of ``adb shell``.
SHELL_USER = 2000
ADBD = "/usr/lib/android-sdk/platform-tools/adbd"


class Phone(Machine):
    """adbd, ``dumpsys`` and the like, and a folder /data; ``tflite`` is the folder of tier (e), where it was built.

    ``benchmark_model`` and ``tflite_benchmark_model`` are files here that, pushed, are the stand-in and the real tool;
    the stand-in is on the phone's path too.
    """

    disk = "/data/local/tmp"
    abi = "x86_64"

    def __init__(self, folder: Path, tier: Path, tflite: Path | None) -> None:
        root = tier / "root"
        self.work = folder / "data" / "local" / "tmp"
        self.key = folder / "adbkey"
        self.benchmark_model = tier / "benchmark_model"
        self.tflite_benchmark_model = tflite / "benchmark_model" if tflite else None
        shutil.copytree(HERE / "phone_root", folder / "lab")
        shutil.copy(self.benchmark_model, folder / "lab" / "bin")
        shutil.copy(HERE / "benchmark_model.py", folder / "lab")
        self.telemetry = PhoneTelemetry(folder / "lab" / "says")
        self.work.mkdir(parents=True)
        (folder / "data" / "lab").mkdir()
        for writable in (self.work, folder / "data" / "lab"):
            shutil.chown(writable, SHELL_USER, SHELL_USER)
        super().__init__(folder, Sandbox(root, phone_mounts(root, folder, tflite)))

    def daemon(self) -> list[str]:
        """Adbd as Android's shell user, kept on loopback."""
        quiet = ["/usr/bin/env", "-i", f"ADBD_PORT={self.port}", "PATH=/lab/bin:/system/bin:/usr/bin", "HOME=/"]
        as_shell = ["/usr/bin/setpriv", f"--reuid={SHELL_USER}", f"--regid={SHELL_USER}", "--clear-groups"]
        loopback = ["/lib64/ld-linux-x86-64.so.2", "--preload", "/usr/lib/loopback_only.so"]
        return [*quiet, *as_shell, *loopback, ADBD]

    def fixed_performance_mode(self) -> str:
        """What ``cmd power set-fixed-performance-mode-enabled`` was told last; empty before."""
        told = self.folder / "data" / "lab" / "fixed-performance-mode"
        return told.read_text().strip() if told.exists() else ""

    def devices_entry(self, **changes: Any) -> dict[str, Any]:
        """XNNPACK and reference kernels as its backends; the stand-in is pushed as the tool."""
        return {
            "kind": "android",
            "address": self.address,
            "port": self.port,
            "key": str(self.key),
            "work_folder": f"{self.disk}/edgeworthy",
            "benchmark_model": {self.abi: str(self.benchmark_model)},
            "backends": {"cpu": {"delegate": "cpu"}, "reference": {"delegate": "cpu", "xnnpack": False}},
        } | changes


def phone_mounts(root: Path, folder: Path, tflite: Path | None) -> list[list[str]]:
    """A read-only system, devices, and the phone's own folder as /data and /lab."""
    mounts = [
        ["--bind", "-o", "ro", str(root), str(root)],
        ["-t", "proc", "proc", f"{root}/proc"],
        ["--bind", str(new_boot_id(folder)), f"{root}/{BOOT_ID}"],
        ["-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=0620", "devpts", f"{root}/dev/pts"],
        ["--bind", "-o", "ro", "/sys", f"{root}/sys"],
        ["--bind", str(folder / "data"), f"{root}/data"],
        ["--bind", f"{root}/data/local/tmp", f"{root}/data/local/tmp"],
        ["--bind", "-o", "ro", str(folder / "lab"), f"{root}/lab"],
    ]
    return mounts + ([["--bind", "-o", "ro", str(tflite), f"{root}{PLACE}"]] if tflite else [])
