"""The rules of the semantic conventions that need no wire format to be told."""

from __future__ import annotations

import pytest

from bot.model import Kind
from bot.telemetry import semconv
from bot.telemetry.spans import CLIENT, CONSUMER, LOCAL, PRODUCER, SERVER

QUEUE = {"messaging.system": "kafka", "messaging.destination.name": "orders.paid"}


@pytest.mark.parametrize(
    ("more", "peer"),
    [
        ({}, "orders.paid.kafka"),
        ({"messaging.destination.template": "orders.{what}"}, "orders.{what}.kafka"),
        ({"messaging.destination.temporary": True}, "kafka"),
        ({"messaging.destination.anonymous": True}, "kafka"),
        ({"messaging.destination.temporary": False}, "orders.paid.kafka"),
        ({"messaging.destination.anonymous": True, "messaging.destination.template": "reply"}, "reply.kafka"),
        ({"server.address": "broker-7"}, "orders.paid.kafka"),
        ({"service.peer.name": "bus"}, "bus"),
    ],
)
def test_a_queue_is_named_by_what_stays_the_same(more: dict[str, str | bool], peer: str) -> None:
    kind, node = semconv.peer(PRODUCER, {**QUEUE, **more}, "")

    assert node is not None
    assert (kind, node.id) == (PRODUCER, peer)
    assert (node.kind is Kind.QUEUE) == (peer != "bus")


@pytest.mark.parametrize(
    ("operation", "kind"),
    [("send", PRODUCER), ("create", PRODUCER), ("receive", CONSUMER), ("process", CONSUMER), ("settle", LOCAL),
     ("whatever", CLIENT)],
)  # fmt: skip
@pytest.mark.parametrize("key", ["messaging.operation.type", "messaging.operation"])
def test_a_client_span_on_a_queue_goes_the_way_the_messages_go(key: str, operation: str, kind: int) -> None:
    found, node = semconv.peer(CLIENT, {**QUEUE, key: operation}, "")

    assert found == kind
    assert (node is None) == (kind == LOCAL)


def test_a_client_span_on_anything_else_stays_a_client() -> None:
    kind, node = semconv.peer(CLIENT, {"messaging.operation.type": "receive", "server.address": "cart"}, "")

    assert (kind, node and node.id) == (CLIENT, "cart")


@pytest.mark.parametrize(
    ("system", "kind"), [("postgresql", Kind.DATABASE), ("redis", Kind.CACHE), ("memcached", Kind.CACHE)]
)
def test_databases_and_caches_are_told_apart(system: str, kind: Kind) -> None:
    _, node = semconv.peer(CLIENT, {"db.system.name": system, "server.address": "store"}, "prod")

    assert node is not None
    assert (node.id, node.kind) == ("store@prod", kind)


@pytest.mark.parametrize("kind", [SERVER, LOCAL])
def test_a_server_names_only_services(kind: int) -> None:
    assert semconv.peer(kind, {**QUEUE, "db.system.name": "mysql", "server.address": "x"}, "") == (kind, None)


@pytest.mark.parametrize(
    ("url", "peer"),
    [
        ("https://api.example.com/v1", "api.example.com"),
        ("HTTPS://API.example.com", "api.example.com"),
        ("grpc://cart:50051", "cart"),
        ("http://u:p@cart/x@y", "cart"),
        ("http://[2001:4860:4860::8888]:80/", "2001:4860:4860::8888"),
        ("http://10.0.0.1/", None),
        ("/only/a/path", None),
        ("http://", None),
        ("http:///x", None),
    ],
)
def test_the_host_of_a_url_is_the_last_resort(url: str, peer: str | None) -> None:
    _, node = semconv.peer(CLIENT, {"url.full": url}, "")

    assert (node.id if node else None) == peer


def test_an_empty_current_name_falls_back_to_the_old_one() -> None:
    _, node = semconv.peer(
        CLIENT, {"service.peer.name": "", "service.peer.namespace": "shop", "peer.service": "cart"}, ""
    )

    assert node is not None
    assert node.id == "cart", "the namespace belongs to the name that is not there"
