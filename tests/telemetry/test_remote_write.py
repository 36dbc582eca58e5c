"""Remote-write bodies of both versions, good and bad."""

from __future__ import annotations

import math
import struct

import cramjam
import pytest

from bot.errors import BadRequest, TooLarge, UnsupportedMediaType
from bot.telemetry.remote_write import MAX_IN_BODY, MAX_UNPACKED, MESSAGES, PROTO_1, PROTO_2, decode, protocol
from tests.kit.remote_write import write_request, write_request_2

NOW = 1_760_000_000.0
WRITERS = {PROTO_1: write_request, PROTO_2: write_request_2}
STALE = struct.unpack("<d", bytes.fromhex("020000000000f07f"))[0]


def packed(message: object) -> bytes:
    return bytes(cramjam.snappy.compress_raw(message.SerializeToString()))  # type: ignore[attr-defined]


@pytest.mark.parametrize("proto", [PROTO_1, PROTO_2])
def test_both_versions_say_the_same(proto: str) -> None:
    labels = {"client": "web", "server": "cart", "Zone": "ä"}
    batch = decode(proto, WRITERS[proto]([("calls_total", labels, NOW + 0.25, 7.5), ("up", {}, NOW, 0.0)]), NOW)
    first, second = batch.samples
    assert (first.name, first.at, first.value, first.start, first.delta) == ("calls_total", NOW + 0.25, 7.5, 0, False)
    assert first.labels == labels | {"__name__": "calls_total"}
    assert (second.name, second.value) == ("up", 0)
    assert (batch.accepted, batch.rejected) == (2, 0)


@pytest.mark.parametrize("proto", [PROTO_1, PROTO_2])
def test_a_series_has_the_same_identity_in_every_body_and_another_has_another(proto: str) -> None:
    def identity(*extra: tuple[str, dict[str, str], float, float], server: str = "cart") -> object:
        samples = [*extra, ("calls_total", {"client": "web", "server": server}, NOW, 1.0)]
        return decode(proto, WRITERS[proto](samples), NOW).samples[-1].identity

    assert identity() == identity(("other_total", {"x": "y"}, NOW, 1.0))
    assert identity() != identity(server="pay")


def test_the_start_of_a_counter_comes_with_version_2() -> None:
    (sample,) = decode(PROTO_2, write_request_2([("calls_total", {}, NOW, 1.0)], created=NOW - 60), NOW).samples
    assert sample.start == NOW - 60

    request = MESSAGES["Request"]()
    request.symbols.extend(["", "__name__", "calls_total"])
    series = request.timeseries.add(labels_refs=[1, 2], created_timestamp=1_000)
    series.samples.add(value=1, timestamp=5_000, start_timestamp=3_000)
    (sample,) = decode(PROTO_2, packed(request), NOW).samples
    assert sample.start == 3, "the sample's own start is the better one"


@pytest.mark.parametrize("proto", [PROTO_1, PROTO_2])
def test_the_end_of_a_series_is_no_sample(proto: str) -> None:
    assert math.isnan(STALE)
    batch = decode(proto, WRITERS[proto]([("calls_total", {}, NOW, STALE), ("calls_total", {}, NOW, 3.0)]), NOW)
    assert [sample.value for sample in batch.samples] == [3]
    assert batch.ignored == {"stale marker": 1}
    assert batch.accepted == 2


@pytest.mark.parametrize(("message", "series"), [("WriteRequest", "TimeSeries"), ("Request", "TimeSeriesV2")])
def test_native_histograms_are_counted_and_ignored(message: str, series: str) -> None:
    request = MESSAGES[message]()
    added = request.timeseries.add(histograms=[b"\x08\x01", b""])
    if message == "Request":
        request.symbols.extend(["", "__name__", "calls"])
        added.labels_refs.extend([1, 2])
    else:
        added.labels.append(MESSAGES["Label"](name=b"__name__", value=b"calls").SerializeToString())
    batch = decode(PROTO_2 if message == "Request" else PROTO_1, packed(request), NOW)
    assert (batch.histograms, batch.ignored, batch.samples) == (2, {"native histogram": 2}, [])


@pytest.mark.parametrize("refs", [[1, 99], [1], [], [3, 4]])
def test_series_without_sound_labels_are_refused_and_the_rest_is_taken(refs: list[int]) -> None:
    request = MESSAGES["Request"]()
    request.symbols.extend(["", "__name__", "calls_total", "job", "web"])
    for labels in (refs, [1, 2]):
        request.timeseries.add(labels_refs=labels).samples.add(value=1, timestamp=1)
    batch = decode(PROTO_2, packed(request), NOW)
    assert (batch.accepted, batch.rejected, len(batch.errors)) == (1, 1, 1)


def test_a_nameless_series_of_version_1_is_refused() -> None:
    request = MESSAGES["WriteRequest"]()
    series = request.timeseries.add(labels=[MESSAGES["Label"](name=b"job", value=b"web").SerializeToString()])
    series.samples.add(value=1, timestamp=1)
    assert decode(PROTO_1, packed(request), NOW).errors == ["a series without __name__"]


def test_labels_that_are_none_name_nobody_and_break_nothing() -> None:
    request = MESSAGES["WriteRequest"]()
    series = request.timeseries.add(labels=[b"\n\x08__name__\x12\x01\xff", b"\n\x50 too short"])
    series.samples.add(value=1, timestamp=1)
    (sample,) = decode(PROTO_1, packed(request), NOW).samples
    assert (sample.labels, sample.name) == ({}, "")

    del series.labels[1]
    (sample,) = decode(PROTO_1, packed(request), NOW).samples
    assert sample.name == "\ufffd"


@pytest.mark.parametrize("proto", [PROTO_1, PROTO_2])
@pytest.mark.parametrize(
    "body", [b"", b"\x05abc", b"not snappy", bytes(cramjam.snappy.compress_raw(b"\xff\xff\xff no protobuf"))]
)
def test_what_is_no_remote_write_is_refused(proto: str, body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode(proto, body, NOW)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    size, length = MAX_UNPACKED + 1, bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    with pytest.raises(TooLarge):
        decode(PROTO_1, bytes(length) + b"\x00", NOW)
    with pytest.raises(TooLarge):
        decode(PROTO_1, b"\xff" * 12, NOW)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/x-protobuf", PROTO_1),
        (f"application/x-protobuf;proto={PROTO_1}", PROTO_1),
        (f"Application/X-Protobuf; proto={PROTO_2}", PROTO_2),
    ],
)
def test_the_content_type_says_which_message_it_is(kind: str, expected: str) -> None:
    assert protocol(kind, "snappy") == expected


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [
        ("application/json", "snappy"),
        ("application/x-protobuf", "gzip"),
        ("application/x-protobuf", ""),
        ("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy"),
        ("application/x-protobuf;charset=utf-8", "snappy"),
    ],
)
def test_another_type_or_encoding_is_unsupported_so_that_the_sender_falls_back(kind: str, encoding: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        protocol(kind, encoding)


@pytest.mark.parametrize(
    ("proto", "raw"),
    [
        (PROTO_1, b"\x0a\x00" * (MAX_IN_BODY + 1)),
        (PROTO_2, b"\x2a\x00" * (MAX_IN_BODY + 1)),
        (PROTO_1, b"\x0a\x84\x89\x7a" + b"\x12\x00" * (MAX_IN_BODY + 2)),
    ],
    ids=["series", "series of version 2", "samples of one series"],
)
def test_millions_of_nothing_are_refused_before_anything_is_made_of_them(proto: str, raw: bytes) -> None:
    """100 KB as they come, gigabytes as Python objects."""
    with pytest.raises(TooLarge, match="send fewer"):
        decode(proto, bytes(cramjam.snappy.compress_raw(raw)), NOW)
