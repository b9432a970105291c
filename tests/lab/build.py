"""Build the lab: ``python -m tests.lab.build [TIER ...]``; what stands already is left as it is.

Exit status 1 where a tier that the tests cannot do without is missing.
"""

from __future__ import annotations

import sys

from tests.lab import benchmark_tool, roots
from tests.lab.tiers import HERE, Tier, pinned

ROOTS = (HERE / "roots.py", HERE / "loopback_only.c", HERE / "launcher.c")

PHONE = Tier(
    "phone",
    "(a) adbd of Debian trixie, with mksh and toybox",
    {"debootstrap": "debootstrap", "cc": "build-essential", "adb": "adb", "nsenter": "util-linux"},
    make=roots.make_phone,
    recipe=ROOTS,
    pins=pinned("ai-edge-litert", "numpy"),
    required=True,
)
PI = Tier("pi", "(b) sshd on this machine's architecture", {"sshd": "openssh-server"}, required=True)
ARM_BOARD = Tier(
    "arm_board",
    "(c) sshd and LiteRT for aarch64, under qemu",
    {"debootstrap": "debootstrap", roots.QEMU: "qemu-user-static"},
    make=roots.make_arm_board,
    recipe=(HERE / "roots.py",),
    pins=pinned("ai-edge-litert", "numpy", "onnxruntime"),
    required=True,
)
ADB = Tier("adb", "(d) Debian's adb, the witness of the daemon double", {"adb": "adb"}, required=True)
TFLITE = Tier(
    "tflite",
    "(e) TFLite's benchmark_model, from Debian sid's source",
    {"debootstrap": "debootstrap"},
    make=benchmark_tool.make_tool,
    recipe=(HERE / "benchmark_tool.py", HERE / "launcher.c"),
)
SHELLS = Tier(
    "shells", "(f) a phone's shell and commands, mksh and toybox", {"mksh": "mksh", "toybox": "toybox"}, required=True
)
TIERS = {tier.name: tier for tier in (PHONE, PI, ARM_BOARD, ADB, TFLITE, SHELLS)}


def main(names: list[str]) -> int:
    """Build the named tiers, or all of them, and say what came of each."""
    status = 0
    for tier in [TIERS[name] for name in names] or TIERS.values():
        reason = tier.build()
        print(f"lab: {tier.name}: {tier.title}: {'cannot be built: ' + reason if reason else 'ready'}", flush=True)
        status |= bool(reason) and tier.required
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
