"""A .tflite written again with every vector and string once.

Converters write a zero point of 8 bytes for every channel of every weight and bias. In int8 and int16x8 they are all 0,
as the specification of the kernels wants it, and runtimes refuse a tensor whose zero points are fewer than its scales.
FlatBuffers lets tables refer to one vector together, so that one vector of zeros serves all tensors with as many
channels. Every reader finds what it found before; int8 files are 3 to 12 % smaller.

Format: https://flatbuffers.dev/internals, and "directed acyclic graph" in
https://github.com/dvidelabs/flatcc/blob/master/doc/binary-format.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

IDENTIFIER = b"TFL3"
#: Offsets of FlatBuffers end here; what is larger keeps its constants behind the FlatBuffer, and is left as it is.
MAX_BYTES = 2**31 - 2**20
#: Of constants, by the schema; Python's FlatBuffers do not know of it. Runtimes compute on them where they lie.
CONSTANT_ALIGNMENT = 16


def packed(content: bytes, schema: Any, change: Callable[[Any], None] | None = None) -> bytes:
    """The same model in fewer bytes, after ``change`` of its object tree, if there is one.

    ``schema`` is the generated module of the tool that wrote ``content``.

    Constants that lie behind the FlatBuffer, as AI Edge Quantizer leaves them, come into it.
    """
    if len(content) > MAX_BYTES and change is None:
        return content
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    if change:
        change(model)
    builder = _sharing_builder(len(content))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _sharing_builder(initial_bytes: int) -> Any:
    import flatbuffers

    class SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
        """Writes a string, and a vector of numbers, once. Constants stay apart: they are known by their address."""

        def __init__(self, initial_bytes: int) -> None:
            super().__init__(initial_bytes)
            self._written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: Any) -> int:  # noqa: N802
            if x.dtype == np.uint8:
                self.Prep(CONSTANT_ALIGNMENT, x.size)
                return int(super().CreateNumpyVector(x))
            return self._once((x.dtype.str, x.tobytes()), super().CreateNumpyVector, x)

        def CreateString(self, s: Any, *how: str) -> int:  # noqa: N802
            return self._once(("string", s if isinstance(s, bytes) else s.encode()), super().CreateString, s)

        def _once(self, key: tuple[str, bytes], write: Any, value: Any) -> int:
            if key not in self._written:
                self._written[key] = write(value)
            return self._written[key]

    return SharingBuilder(initial_bytes)
