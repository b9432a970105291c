"""An emulated accelerator as a target: this machine computes what the vendor's kernels say that the chip would."""

from __future__ import annotations

from typing import Any, NoReturn

from edgeworthy.errors import Emulated
from edgeworthy.targets.host import HostTarget


class EmulatedTarget(HostTarget):
    """Gives outputs, with the evidence of what the emulated device took of the graph; it is never timed."""

    def timing(self, *_: Any) -> NoReturn:
        """Raise Emulated."""
        raise Emulated(self.name)

    def interleaved(self, *_: Any) -> NoReturn:
        """Raise Emulated."""
        raise Emulated(self.name)

    def profile(self, *_: Any) -> NoReturn:
        """Raise Emulated."""
        raise Emulated(self.name)
