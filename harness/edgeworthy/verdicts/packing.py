"""Arrays packed into one line of JSON: base64 of the zlib stream of little-endian int32, as which all others are read."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import zlib
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.schema import Strict

#: More samples than any data set that one gate looks at; a file that says more is refused before it is unpacked.
MOST = 50_000_000


class Packed(Strict):
    """An array of int32: how many, the sha256 of its bytes, and the packed bytes."""

    count: int = Field(ge=0, le=MOST)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    data: str


def pack(values: NDArray[np.integer[Any]]) -> Packed:
    """Pack an array of shape (count,). Raises ValueError where a value does not fit into int32."""
    narrow = np.asarray(values).astype("<i4")
    if narrow.ndim != 1 or not np.array_equal(narrow, values):
        raise ValueError(f"only one row of 32-bit whole numbers can be packed, not shape {np.shape(values)}")
    raw = narrow.tobytes()
    data = base64.b64encode(zlib.compress(raw, 9)).decode()
    return Packed(count=narrow.size, sha256=hashlib.sha256(raw).hexdigest(), data=data)


def pack_floats(values: NDArray[np.floating[Any]]) -> Packed:
    """Pack an array of shape (count,) as float32, whose bits are 32-bit whole numbers."""
    return pack(np.ascontiguousarray(values, "<f4").view("<i4"))


def unpack_floats(packed: Packed) -> NDArray[np.float32]:
    """The array again. Raises ValueError as ``unpack`` does."""
    return unpack(packed).view(np.float32)


class PackedArray(Strict):
    """An array of any shape and of one of these types: its little-endian bytes, filled up to whole int32."""

    shape: list[Annotated[int, Field(ge=0, le=MOST)]]
    dtype: Literal["bool", "int8", "uint8", "int16", "int32", "int64", "float32", "float64"]
    packed: Packed


def pack_array(values: NDArray[Any]) -> PackedArray:
    """Pack an array of numbers. Raises pydantic's ValidationError for one of another type."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    raw = little.tobytes()
    filled = raw + bytes(-len(raw) % 4)
    shape, name = list(values.shape), values.dtype.name
    return PackedArray(shape=shape, dtype=name, packed=pack(np.frombuffer(filled, "<i4")))


def unpack_array(stored: PackedArray) -> NDArray[Any]:
    """The array again. Raises ValueError where the data is damaged, or is not what shape and type say."""
    dtype = np.dtype(stored.dtype).newbyteorder("<")
    raw, size = unpack(stored.packed).astype("<i4").tobytes(), math.prod(stored.shape) * dtype.itemsize
    if len(raw) != size + -size % 4:
        raise ValueError(f"the packed numbers are not those of {stored.dtype} of shape {tuple(stored.shape)}")
    return np.frombuffer(raw[:size], dtype).reshape(stored.shape).astype(np.dtype(stored.dtype))


def unpack(packed: Packed) -> NDArray[np.int32]:
    """The array again. Raises ValueError where the data is damaged, or is not what count and checksum say."""
    size = 4 * packed.count
    try:
        inflater = zlib.decompressobj()
        raw = inflater.decompress(base64.b64decode(packed.data, validate=True), size + 1)  # a bomb stops there
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError(f"the packed numbers are damaged ({error})") from error
    if len(raw) != size:
        raise ValueError(f"the packed numbers are not the {packed.count} that 'count' says")
    if hashlib.sha256(raw).hexdigest() != packed.sha256:
        raise ValueError("the packed numbers are not those that 'sha256' was made of")
    return np.frombuffer(raw, "<i4").astype(np.int32)
