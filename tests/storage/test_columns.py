"""Columns on disk come back to the last bit, in few bytes."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.storage.columns import BlockUnreadable, pack, unpack

WHOLE = st.integers(-(2**53) + 1, 2**53 - 1).map(float)
COLUMN = st.one_of(
    st.lists(WHOLE, min_size=9, max_size=9),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=9, max_size=9),
    st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.0, 300.0, 0.5]), min_size=9, max_size=9),
)


@given(st.lists(COLUMN, min_size=1, max_size=5))
def test_columns_come_back_as_they_were(columns: list[list[float]]) -> None:
    found = unpack(pack([np.array(column) for column in columns]))

    assert found.tolist() == columns


def test_no_rows_and_whole_numbers_come_back_too() -> None:
    assert unpack(pack([np.empty(0), np.empty(0, np.int64)])).shape == (2, 0)
    assert unpack(pack([np.array([1, 2**40, 0], np.int64)])).tolist() == [[1, 2**40, 0]]


def test_what_is_mostly_nothing_takes_next_to_no_room() -> None:
    column = np.zeros(100_000)
    column[::1_000] = 7.0

    assert len(pack([column] * 16)) < 1_000


@pytest.mark.parametrize(
    "body",
    [b"", b"no block", zlib.compress(b""), zlib.compress(b"\x02" + bytes(6)), pack([np.ones(9)])[:-6]],
)
def test_a_damaged_block_is_refused(body: bytes) -> None:
    with pytest.raises(BlockUnreadable):
        unpack(body)


def test_a_block_that_is_cut_inside_is_refused() -> None:
    whole = zlib.decompress(pack([np.arange(9.0) + 0.5, np.ones(9)]))

    for length in range(len(whole)):
        with pytest.raises(BlockUnreadable):
            unpack(zlib.compress(whole[:length]))
