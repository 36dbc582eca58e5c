"""OpenTelemetry attributes -> service ids: who reports a span, and whom it talks to.

Comes in: resource or span attributes by name. Goes out: nodes made by `bot.names`. Names and meanings are those of the
OpenTelemetry semantic conventions (opentelemetry.io/docs/specs/semconv: registry service, server, db, messaging, url,
peer), the current name first and the one it replaced after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot import names
from bot.model import Node
from bot.telemetry.spans import CLIENT, CONSUMER, LOCAL, PRODUCER, SERVER

Attributes = Mapping[str, str | bool]

_SERVICE_PEERS = ("service.peer.name", "service.peer.namespace", "peer.service")
_CALLEE_PEERS = (
    *_SERVICE_PEERS,
    "messaging.system",
    "messaging.destination.template",
    "messaging.destination.name",
    "messaging.destination.temporary",
    "messaging.destination.anonymous",
    "messaging.operation.type",
    "messaging.operation",
    "db.system.name",
    "db.system",
    "db.namespace",
    "db.name",
    "server.address",
    "net.peer.name",
)
PEER_KEYS: Mapping[int, tuple[str, ...]] = {
    LOCAL: _SERVICE_PEERS,
    SERVER: _SERVICE_PEERS,
    CLIENT: _CALLEE_PEERS,
    PRODUCER: _CALLEE_PEERS,
    CONSUMER: _CALLEE_PEERS,
}
"""The span attributes that can name the other end, by kind. A server's own `server.address` is itself, not its caller."""

URL_KEYS = ("url.full", "http.url")
"""Looked at only where no attribute of `PEER_KEYS` is there: a URL is different on every span."""

# What a span of kind CLIENT does to a queue (semconv, messaging spans, "span kind"): who polls a queue is its consumer.
_MESSAGING_KINDS = {
    "create": PRODUCER,
    "publish": PRODUCER,
    "send": PRODUCER,
    "receive": CONSUMER,
    "deliver": CONSUMER,
    "process": CONSUMER,
    "settle": LOCAL,
}
_URL_HOST = re.compile(r"^[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>\[[0-9a-f:.]+\]|[^/?#:]+)", re.IGNORECASE)


def reporter(attributes: Attributes) -> tuple[Node | None, str]:
    """The service a resource stands for, and its environment.

    None where `service.name` is missing or the SDK's stand-in `unknown_service…`: two programs that did not say who
    they are must not become one service.
    """
    environment = _text(attributes, "deployment.environment.name", "deployment.environment")
    name = _text(attributes, "service.name")
    if not name or name.startswith("unknown_service"):
        return None, environment
    return names.service(name, _text(attributes, "service.namespace"), environment), environment


_WORKLOADS = ("k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name")


def workload(attributes: Attributes) -> str:
    """The Kubernetes workload a resource runs in, `name[.namespace][@cluster]`; "" where it does not say (semconv, k8s
    resources). A Job that no CronJob made is a workload of its own every time, so it is none here."""
    name = _text(attributes, *_WORKLOADS)
    if not name:
        return ""
    return names.workload(name, _text(attributes, "k8s.namespace.name"), _text(attributes, "k8s.cluster.name"))


def peer(kind: int, attributes: Attributes, environment: str) -> tuple[int, Node | None]:
    """What the span is (its kind, put right for messaging) and the other end as this span names it, None if it does not.

    Peers that are services, databases or queues live in the caller's environment: a caller in staging calls staging's.
    """
    name = _text(attributes, "service.peer.name")
    namespace = _text(attributes, "service.peer.namespace") if name else ""
    named = names.service(name or _text(attributes, "peer.service"), namespace, environment)
    system = _text(attributes, "messaging.system")
    if system and kind == CLIENT:
        kind = _MESSAGING_KINDS.get(_text(attributes, "messaging.operation.type", "messaging.operation"), kind)
    if named or kind in (LOCAL, SERVER):
        return kind, named
    if system:
        return kind, names.queue(system, _destination(attributes), environment)
    host = _text(attributes, "server.address", "net.peer.name")
    if system := _text(attributes, "db.system.name", "db.system"):
        return kind, names.database(system, host, _text(attributes, "db.namespace", "db.name"), environment)
    return kind, names.from_host(host or _url_host(_text(attributes, *URL_KEYS)), environment)


def _destination(attributes: Attributes) -> str:
    """The queue or topic; "" for one that lives as long as a single exchange, which would be a new node every time."""
    if template := _text(attributes, "messaging.destination.template"):
        return template
    if any(attributes.get(f"messaging.destination.{word}") is True for word in ("temporary", "anonymous")):
        return ""
    return _text(attributes, "messaging.destination.name")


def _url_host(url: str) -> str:
    match = _URL_HOST.match(url)
    return match["host"] if match else ""


def _text(attributes: Attributes, *keys: str) -> str:
    """The first of the attributes that is there and is a text; "" for none."""
    for key in keys:
        value = attributes.get(key)
        if isinstance(value, str) and value:
            return value
    return ""
