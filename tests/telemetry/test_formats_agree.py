"""The same trace through OTLP in protobuf, OTLP in JSON and Zipkin gives the same links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from bot.layers.linker import Link, link
from bot.layers.trace import TraceLayer
from bot.model import ENTRY
from bot.telemetry import otlp, zipkin
from bot.telemetry.spans import SpanBatch
from tests.telemetry.bodies import NOW, Sent, otlp_json, protobuf, zipkin_json

SHOP = (
    Sent("a", "SERVER", "web", duration=0.4),
    Sent("b", "INTERNAL", "web", "a"),
    Sent("c", "CLIENT", "web", "b", peer="Cart", duration=0.3),
    Sent("d", "SERVER", "cart", "c", duration=0.25, failed=True),
    Sent("e", "CLIENT", "cart", "d", peer="cart-db", duration=0.2, failed=True),
    Sent("f", "PRODUCER", "cart", "d", peer="kafka", duration=0.001),
    Sent("g", "CONSUMER", "shipping", "f", peer="kafka", duration=1.5),
    Sent("h", "CLIENT", "shipping", "g", peer="mail.example.com"),
    Sent("i", "CLIENT", "cart", "d", peer="vip"),
    Sent("j", "SERVER", "pay", "i", start=NOW - 70, duration=0),
)
DOORS: dict[str, Callable[[Sequence[Sent]], SpanBatch]] = {
    "protobuf": lambda spans: otlp.decode_protobuf(protobuf(spans), NOW),
    "json": lambda spans: otlp.decode_json(otlp_json(spans), NOW),
    "zipkin": lambda spans: zipkin.decode(zipkin_json(spans), NOW),
}


def links(batch: SpanBatch) -> Counter[Link]:
    return Counter(made for trace, spans in batch.traces.items() for made in link(spans, trace in batch.tangled))


def without_zero_durations(found: Counter[Link]) -> Counter[Link]:
    """Zipkin cannot tell a call of no time from one whose time is not known."""
    return Counter((*made[:4], made[4] if made[4] > 1 else 0, made[5]) for made in found.elements())


@pytest.mark.parametrize("door", DOORS)
def test_every_format_gives_the_same_links(door: str) -> None:
    batch = DOORS[door](SHOP)
    found = links(batch)

    assert (batch.accepted, batch.rejected, batch.duplicates) == (len(SHOP), 0, 0)
    assert without_zero_durations(found) == without_zero_durations(links(DOORS["protobuf"](SHOP)))
    assert {(caller, callee): failed for caller, callee, _, failed, _, _ in found} == {
        (ENTRY, "web"): False,
        ("web", "cart"): True,
        ("cart", "cart-db"): True,
        ("cart", "kafka"): False,
        ("kafka", "shipping"): False,
        ("shipping", "mail.example.com"): False,
        ("cart", "pay"): False,
    }


@pytest.mark.parametrize("left", DOORS)
@pytest.mark.parametrize("right", DOORS)
def test_halves_of_a_trace_join_whichever_door_they_come_through(left: str, right: str) -> None:
    layer = TraceLayer()
    layer.add(DOORS[left](SHOP[::2]), NOW)
    layer.add(DOORS[right](SHOP[1::2]), NOW)
    windows = layer.flush(NOW).windows

    assert sum(tally.sampled for edges in windows.values() for tally in edges.values()) == sum(
        links(DOORS["protobuf"](SHOP)).values()
    )
    assert {edge for edges in windows.values() for edge in edges} == {made[:2] for made in links(DOORS["zipkin"](SHOP))}


def test_a_span_sent_through_two_doors_counts_once() -> None:
    layer = TraceLayer()
    for door in DOORS.values():
        layer.add(door(SHOP), NOW)

    windows = layer.flush(NOW).windows
    assert sum(tally.sampled for edges in windows.values() for tally in edges.values()) == 7


def test_a_64_bit_trace_id_of_zipkin_joins_the_128_bit_id_that_is_padded_with_zeros() -> None:
    client = Sent("a", "CLIENT", "web", trace=bytes(8) + b"\x07" * 8)
    server = Sent("b", "SERVER", "cart", "a", trace=bytes(8) + b"\x07" * 8)
    layer = TraceLayer()
    layer.add(zipkin.decode(zipkin_json([client]).replace(b'"traceId": "0000000000000000', b'"traceId": "'), NOW), NOW)
    layer.add(otlp.decode_protobuf(protobuf([server]), NOW), NOW)

    [edges] = layer.flush(NOW).windows.values()
    assert list(edges) == [("web", "cart")]
