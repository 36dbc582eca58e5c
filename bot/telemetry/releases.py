"""Which release of a service is running, as its own telemetry says it.

Comes in: attributes of an OpenTelemetry resource (semconv registry: service, container), or the same as labels of a metric. Goes
out: `Report`s of releases. What is lost: words that name none (`latest`, `unknown`), and all but the start of a long one.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.model import Report
from bot.names import printable

IMAGE_TAGS = "container.image.tags"
"""The one attribute here that is a list; its first item is looked at."""

_SAYS = {
    "version": ("service.version",),
    "image": (IMAGE_TAGS, "container.image.tag", "k8s.container.image.tag"),
}
_AS_LABELS = {facet: tuple(key.replace(".", "_") for key in keys) for facet, keys in _SAYS.items()}
LABELS = tuple(label for labels in _AS_LABELS.values() for label in labels)
_NONE = frozenset(("", "-", "latest", "unknown", "undefined", "none", "null"))
_LONGEST = 100


def of_resource(service: str, attributes: Mapping[str, object]) -> tuple[Report, ...]:
    """The releases that a resource says its service is of."""
    return _first_of_each(service, attributes, _SAYS)


def of_labels(service: str, labels: Mapping[str, str]) -> tuple[Report, ...]:
    """The same from the labels of one of the service's own metrics."""
    return _first_of_each(service, labels, _AS_LABELS)


def release(service: str, facet: str, value: object) -> tuple[Report, ...]:
    """One release; none where `value` does not name any."""
    named = printable(value[: 2 * _LONGEST]).strip()[:_LONGEST] if isinstance(value, str) else ""
    return ((service, facet, named),) if named.lower() not in _NONE else ()


def _first_of_each(
    service: str, said: Mapping[str, object], facets: Mapping[str, tuple[str, ...]]
) -> tuple[Report, ...]:
    found: tuple[Report, ...] = ()
    for facet, keys in facets.items():
        found += next((one for key in keys if key in said and (one := release(service, facet, said[key]))), ())
    return found
