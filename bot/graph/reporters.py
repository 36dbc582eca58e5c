"""Which services send telemetry themselves, and which of those have fallen silent. Asked about thousands at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bot.model import Kind, Node

_REPORTING_KINDS = frozenset((Kind.SERVICE, Kind.GATEWAY))
_LOOKED_UP_SECONDS = 5.0
_FEW = 1_000


class Reporters:
    """The services of reporting kinds: a database, or a host somewhere else, is only ever seen by its callers."""

    def __init__(self, last_seen: Callable[[str], float]) -> None:
        self._last_seen = last_seen
        self._reporting: set[str] = set()
        self._silent: tuple[int, set[str]] = (-1, set())

    def sort(self, node: Node) -> None:
        """Put a service where its kind says it belongs."""
        self._silent = (-1, set())
        if node.kind in _REPORTING_KINDS:
            self._reporting.add(node.id)
        else:
            self._reporting.discard(node.id)

    def discard(self, service: str) -> None:
        """Forget a service that left the map."""
        self._reporting.discard(service)

    def among(self, services: Iterable[str], since: float) -> tuple[int, list[tuple[str, float]]]:
        """How many of `services` report, and those of them not seen since `since`, by name, with when they were."""
        concerned = self._reporting.intersection(services)
        looked_at = concerned if len(concerned) < _FEW else concerned & self._long_silent(since)
        silent = [(one, self._last_seen(one)) for one in sorted(looked_at)]
        return len(concerned), [(one, seen) for one, seen in silent if seen < since]

    def _long_silent(self, since: float) -> set[str]:
        """Everybody not seen since some seconds ago: a look at every service, so not one for every question."""
        bucket = int(since // _LOOKED_UP_SECONDS)
        if self._silent[0] != bucket:
            self._silent = (bucket, {one for one in self._reporting if self._last_seen(one) < since})
        return self._silent[1]
