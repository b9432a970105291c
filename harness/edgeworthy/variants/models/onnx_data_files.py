"""The second files in which an .onnx keeps its weights, found without importing onnx: a warm run needs them, too.

Of the protobuf (https://protobuf.dev/programming-guides/encoding) only what leads to a tensor is read; weights are
stepped over.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from edgeworthy.errors import SourceError

#: Message -> number of a field -> the message that the field holds; from onnx.proto3.
MESSAGES: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
}
#: Fields of a TensorProto, and what its data_location says of a tensor in another file.
EXTERNAL_DATA, DATA_LOCATION, EXTERNAL = 13, 14, 1
#: Fields of a StringStringEntryProto.
KEY, VALUE = 1, 2
VARINT, BYTES = 0, 2
#: Wire type -> bytes of its value.
FIXED = {1: 8, 5: 4}

#: The number of a field, and its number or where its bytes stand in the file.
Field = tuple[int, int | range]


def data_files(path: Path) -> list[Path]:
    """The files that tensors of the .onnx say they lie in, each once. Raises SourceError where it is no protobuf."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b"location") < 0:  # the key without which no tensor lies elsewhere
            return []
        try:
            names = [name for tensor in _tensors(content) for name in _locations(content, tensor)]
            return [path.parent / name.decode() for name in dict.fromkeys(names)]
        except (IndexError, ValueError) as error:
            raise SourceError(
                f"{path}: cannot be read as an ONNX model: {error}", hint="export or download the model again"
            ) from error


def _tensors(content: mmap.mmap) -> Iterator[range]:
    left = [("Model", range(len(content)))]
    while left:
        message, span = left.pop()
        if message == "Tensor":
            yield span
        else:
            held = MESSAGES[message]
            left += [(held[number], value) for number, value in _messages(content, span) if number in held]


def _locations(content: mmap.mmap, tensor: range) -> Iterator[bytes]:
    """The other file that the tensor lies in, if it does."""
    if (DATA_LOCATION, EXTERNAL) in _fields(content, tensor):
        for number, entry in _messages(content, tensor):
            if number == EXTERNAL_DATA:
                said = {number: content[span.start : span.stop] for number, span in _messages(content, entry)}
                if said.get(KEY) == b"location":
                    yield said.get(VALUE, b"")


def _messages(content: mmap.mmap, span: range) -> Iterator[tuple[int, range]]:
    """The fields of a message that are messages, or strings or bytes: the encoding does not tell them apart."""
    for number, value in _fields(content, span):
        if isinstance(value, range):
            yield number, value


def _fields(content: mmap.mmap, span: range) -> Iterator[Field]:
    at = span.start
    while at < span.stop:
        tag, at = _varint(content, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type in FIXED:
            at += FIXED[wire_type]
            continue
        value, at = _varint(content, at)
        if wire_type == VARINT:
            yield number, value
        elif wire_type == BYTES and at + value <= span.stop:
            yield number, range(at, at + value)
            at += value
        else:
            raise ValueError(f"the protobuf is damaged at byte {at}")


def _varint(content: mmap.mmap, at: int) -> tuple[int, int]:
    """The number that begins at ``at``, 7 bits a byte from the lowest on, and where it ends."""
    number, shift = 0, 0
    while content[at] & 0x80:
        number |= (content[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return number | content[at] << shift, at + 1
