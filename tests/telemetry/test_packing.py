"""Packed bodies: what honest senders make of them, and what others might."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import BadRequest, TooLarge, UnsupportedMediaType
from bot.telemetry.packing import BODY_LIMIT, MAX_MEMBERS, unpack

GIB = 1024 * 1024 * 1024


def packed(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(body)
    return zlib.compress(body) if encoding == "deflate" else body


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_an_unpacked_body_is_itself(encoding: str) -> None:
    assert unpack(b"spans", encoding) == b"spans"


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", " gzip "])
def test_gzip_is_unpacked(encoding: str) -> None:
    assert unpack(gzip.compress(b"spans"), encoding) == b"spans"


def test_deflate_is_unpacked_as_http_means_it_with_a_zlib_header() -> None:
    assert unpack(zlib.compress(b"spans"), "deflate") == b"spans"


def test_several_gzip_members_in_a_row_are_one_body() -> None:
    body = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"body")

    assert unpack(body, "gzip") == b"one body"


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
def test_nothing_is_nothing(encoding: str) -> None:
    assert unpack(b"", encoding) == b""


@settings(deadline=None)
@given(st.lists(st.binary(max_size=2_000), min_size=1, max_size=5))
def test_whatever_is_packed_comes_out(parts: list[bytes]) -> None:
    assert unpack(b"".join(gzip.compress(part) for part in parts), "gzip") == b"".join(parts)


@pytest.mark.parametrize("encoding", ["br", "zstd", "snappy", "gzip, gzip", "gzip;q=1", "x" * 10_000])
def test_an_encoding_this_door_does_not_read_is_named_and_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="reads gzip, deflate or none") as raised:
        unpack(b"spans", encoding)
    assert len(str(raised.value)) < 150


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("body", [b"spans", b"\x1f", b"\x1f\x8b\x08", bytes(range(1, 101))])
def test_bytes_that_are_not_what_they_say_are_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(BadRequest):
        unpack(body, encoding)


@pytest.mark.parametrize("cut", [1, 5, 9, 10, 15])
def test_a_body_that_was_cut_off_is_refused_and_not_half_used(cut: int) -> None:
    with pytest.raises(BadRequest):
        unpack(gzip.compress(b"spans" * 100)[:-cut], "gzip")
    with pytest.raises(BadRequest):
        unpack(gzip.compress(b"whole") + gzip.compress(b"spans" * 100)[:-cut], "gzip")


def test_a_body_that_was_damaged_on_the_way_is_refused() -> None:
    body = bytearray(gzip.compress(b"spans" * 100))
    body[-5] ^= 0xFF  # its checksum

    with pytest.raises(BadRequest, match="not gzip data"):
        unpack(bytes(body), "gzip")


def test_rubbish_behind_a_body_is_refused() -> None:
    with pytest.raises(BadRequest):
        unpack(gzip.compress(b"spans") + b"rubbish", "gzip")


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
def test_a_body_as_large_as_the_limit_passes_and_one_byte_more_does_not(encoding: str) -> None:
    assert len(unpack(packed(bytes(1_000), encoding), encoding, limit=1_000)) == 1_000
    with pytest.raises(TooLarge, match="1000 bytes"):
        unpack(packed(bytes(1_001), encoding), encoding, limit=1_000)


def test_members_are_counted_together() -> None:
    with pytest.raises(TooLarge):
        unpack(gzip.compress(bytes(600)) * 2, "gzip", limit=1_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_of_a_gibibyte_costs_memory_by_the_limit_and_not_by_its_size(encoding: str) -> None:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    piece = bytes(16 * 1024 * 1024)
    bomb = b"".join([*(packer.compress(piece) for _ in range(GIB // len(piece))), packer.flush()])
    assert len(bomb) < 8 * 1024 * 1024

    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unpack(bomb, encoding)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.1 * BODY_LIMIT


def test_a_million_members_of_nothing_cost_no_time() -> None:
    """Each member costs a copy of all that follow it."""
    body = gzip.compress(b"") * 1_000_000
    started = time.process_time()
    with pytest.raises(BadRequest, match=f"more than {MAX_MEMBERS} members"):
        unpack(body, "gzip")

    assert time.process_time() - started < 3.0
