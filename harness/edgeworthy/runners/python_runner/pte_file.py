"""What a .pte file says of itself: which nodes its delegates took, and which ops they left to ExecuTorch's own kernels.

The file and the graphs of XNNPACK inside it are flatbuffers, read here by the numbers of their fields: program.fbs and
runtime_schema.fbs of ExecuTorch give them. Its own classes for that take seconds to import.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

#: Program's fields.
PLANS, INLINE, SEGMENTS = 1, 3, 4
#: ExecutionPlan's fields.
CHAINS, OPERATORS, DELEGATES = 5, 6, 7
#: Chain's field, and the kind of instruction that is a kernel's call.
INSTRUCTIONS, KERNEL_CALL = 2, 1
#: Where the header, if there is one, has where segments begin.
EXTENDED, SEGMENTS_BEGIN = slice(8, 12), 24
#: Of XNNPACK's data: where its header's magic is, and where its graph begins.
MAGIC, GRAPH_BEGINS, NODES = slice(4, 8), 10, 1


def delegated_nodes(content: bytes) -> tuple[int, list[str]]:
    """The number of nodes in XNNPACK's graphs, and the names of the ops that are left, one for each call."""
    program = _root(content)
    plans = list(_tables(program, PLANS))
    taken = sum(_xnnpack_nodes(_processed(program, each)) for plan in plans for each in _tables(plan, DELEGATES))
    return taken, [name for plan in plans for name in _kernel_calls(plan)]


def _kernel_calls(plan: Any) -> Iterator[str]:
    names = [_text(each, 0) for each in _tables(plan, OPERATORS)]
    for chain in _tables(plan, CHAINS):
        for instruction in _tables(chain, INSTRUCTIONS):
            if _number(instruction, 0, "B") == KERNEL_CALL:
                yield names[_number(_table(instruction, 1), 0, "i")]


def _processed(program: Any, delegate: Any) -> bytes:
    """The data of a delegate, which lies in the program or in a segment behind it."""
    reference = _table(delegate, 1)
    in_segment, index = _number(reference, 0, "b"), _number(reference, 1, "I")
    content: bytes = program.Bytes
    if not in_segment:
        entry = list(_tables(program, INLINE))[index]
        start = entry.Vector(entry.Offset(4))
        return content[start : start + entry.VectorLen(entry.Offset(4))]
    segment = list(_tables(program, SEGMENTS))[index]
    base = struct.unpack_from("<Q", content, SEGMENTS_BEGIN)[0] if content[EXTENDED] == b"eh00" else 0
    start = base + _number(segment, 0, "Q")
    return content[start : start + _number(segment, 1, "Q")]


def _xnnpack_nodes(data: bytes) -> int:
    start = struct.unpack_from("<I", data, GRAPH_BEGINS)[0] if data[MAGIC] == b"XH00" else 0
    return len(list(_tables(_root(data[start:]), NODES)))


def _root(content: bytes) -> Any:
    from flatbuffers.table import Table

    return Table(content, struct.unpack_from("<I", content)[0])


def _offset(table: Any, field: int) -> int:
    """Where a field lies in its table; 0 where it is left out."""
    return int(table.Offset(4 + 2 * field))


def _tables(table: Any, field: int) -> Iterator[Any]:
    """The tables of a field that is a vector of them."""
    offset = _offset(table, field)
    for index in range(table.VectorLen(offset) if offset else 0):
        yield type(table)(table.Bytes, table.Indirect(table.Vector(offset) + 4 * index))


def _table(table: Any, field: int) -> Any:
    return type(table)(table.Bytes, table.Indirect(table.Pos + _offset(table, field)))


def _text(table: Any, field: int) -> str:
    return str(table.String(table.Pos + _offset(table, field)).decode())


def _number(table: Any, field: int, kind: str) -> int:
    """A number, 0 where it is left out; ``kind`` is struct's letter of its type."""
    offset = _offset(table, field)
    return int(struct.unpack_from(f"<{kind}", table.Bytes, table.Pos + offset)[0]) if offset else 0
