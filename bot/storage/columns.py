"""Columns of numbers in few bytes: how a block of the map's history lies on disk.

Comes in: arrays of one length. Goes out: bytes, and the same arrays again, to the last bit. Each column is written in the
smallest number type that holds it exactly, and sparsely where most of it is zero (most buckets of a histogram are), then
all of it is compressed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

from bot.counts import Floats, Integers

_VERSION = 1
_LEVEL = 1  # a higher one takes several times as long and saves a tenth
_HEAD = struct.Struct("<BIH")
_COLUMN = struct.Struct("<BI")
_TYPES = tuple(np.dtype(name) for name in ("<u1", "<u2", "<u4", "<i8", "<f8"))
_SPARSE = 0x80
_EXACT = 2.0**53  # beyond this not every whole number is a float


class BlockUnreadable(ValueError):
    """A block of another version, or a damaged one."""


def pack(columns: Sequence[Floats | Integers]) -> bytes:
    """The columns, all of one length, as bytes."""
    rows = len(columns[0])
    heads, bodies = [_HEAD.pack(_VERSION, rows, len(columns))], []
    for column in columns:
        code, body = _column(column)
        heads.append(_COLUMN.pack(code, len(body)))
        bodies.append(body)
    return zlib.compress(b"".join(heads + bodies), _LEVEL)


def unpack(body: bytes) -> Floats:
    """The columns that `pack` was given, as floats, one row of the array for each. Raises BlockUnreadable."""
    try:
        data = zlib.decompress(body)
        version, rows, width = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise BlockUnreadable(f"block version {version}")
        heads = [_COLUMN.unpack_from(data, _HEAD.size + index * _COLUMN.size) for index in range(width)]
        at = _HEAD.size + width * _COLUMN.size
        if len(data) != at + sum(length for _, length in heads):
            raise BlockUnreadable("a block is cut short")
        columns = np.zeros((width, rows))
        for column, (code, length) in zip(columns, heads, strict=True):
            _fill(column, code, memoryview(data)[at : at + length])
            at += length
    except (zlib.error, struct.error, ValueError, IndexError) as error:
        raise BlockUnreadable(str(error)) from error
    return columns


def _column(column: Floats | Integers) -> tuple[int, bytes]:
    filled = np.flatnonzero(column)
    if len(filled) * 4 < len(column):
        places = np.diff(filled, prepend=0)  # steps are small where positions are not
        code, body = _numbers(column[filled])
        place_code, place_body = _numbers(places)
        return code | _SPARSE, struct.pack("<BI", place_code, len(filled)) + place_body + body
    return _numbers(column)


def _numbers(column: Floats | Integers) -> tuple[int, bytes]:
    code = _code(column)
    return code, column.astype(_TYPES[code]).tobytes()


def _code(column: Floats | Integers) -> int:
    """The smallest type that holds every number of the column exactly."""
    if not len(column):
        return 0
    low, high = column.min(), column.max()
    if column.dtype.kind == "f" and not (
        abs(low) < _EXACT and abs(high) < _EXACT and (column == np.rint(column)).all()
    ):
        return 4
    if low < 0:
        return 3
    return next(code for code, top in enumerate((2**8, 2**16, 2**32, 2**63)) if high < top)


def _fill(column: Floats, code: int, body: memoryview) -> None:
    if not code & _SPARSE:
        column[:] = np.frombuffer(body, _TYPES[code])
        return
    place_code, count = _COLUMN.unpack_from(body)
    at = _COLUMN.size + count * _TYPES[place_code].itemsize
    steps = np.frombuffer(body[_COLUMN.size : at], _TYPES[place_code])
    column[np.cumsum(steps.astype(np.int64))] = np.frombuffer(body[at:], _TYPES[code & ~_SPARSE])
