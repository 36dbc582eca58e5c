"""Where a service runs, as its own telemetry or whoever knows its addresses says it.

Comes in: attributes of an OpenTelemetry resource (semconv registry: k8s, host, cloud), or an identity record. Goes out: `Report`s of
places. What is lost: all but the start of a long name. A container takes itself for a host, so that a host's name counts only
where nothing says that it is a container's.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.model import PLACES, Report
from bot.names import printable

_NODE, _ZONE = PLACES
_CONTAINED = ("k8s.pod.name", "k8s.pod.uid", "container.id")
_NONE = frozenset(("", "-", "unknown", "localhost", "none", "null"))
_LONGEST = 100


def of_resource(service: str, attributes: Mapping[str, object]) -> tuple[Report, ...]:
    """The places that a resource says its service runs in."""
    node = attributes.get("k8s.node.name")
    if not node and not any(attributes.get(key) for key in _CONTAINED):
        node = attributes.get("host.name")
    zone = attributes.get("cloud.availability_zone") or attributes.get("cloud.zone")
    return _place(service, _NODE, node) + _place(service, _ZONE, zone)


def of_record(service: str, record: Mapping[str, object]) -> tuple[Report, ...]:
    """The same from the fields `node` and `zone` of an identity record."""
    return _place(service, _NODE, record.get(_NODE)) + _place(service, _ZONE, record.get(_ZONE))


def _place(service: str, what: str, value: object) -> tuple[Report, ...]:
    named = printable(value[: 2 * _LONGEST]).strip().lower()[:_LONGEST] if isinstance(value, str) else ""
    return ((service, what, named),) if named not in _NONE else ()
