"""Edges below the display threshold, kept from either end, so that what is shown is one subtraction away."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bot.model import EdgeKey


class Faded:
    """A set of edges. Holds nothing for a service without one, so it costs nothing on a map that is all fresh."""

    def __init__(self) -> None:
        self._callers: dict[str, set[str]] = {}
        self._callees: dict[str, set[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._callers)

    def __contains__(self, edge: EdgeKey) -> bool:
        return edge[1] in self._callees.get(edge[0], ())

    def add(self, caller: str, callee: str) -> None:
        """Hide an edge."""
        self._callers.setdefault(callee, set()).add(caller)
        self._callees.setdefault(caller, set()).add(callee)

    def discard(self, caller: str, callee: str) -> None:
        """Show an edge again, or forget it."""
        for side, one, other in ((self._callers, callee, caller), (self._callees, caller, callee)):
            if one in side:
                side[one].discard(other)
                if not side[one]:
                    del side[one]

    def shown_callers(self, service: str, callers: Mapping[str, object]) -> Collection[str]:
        """Those of `callers` whose edge to `service` is shown."""
        faded = self._callers.get(service)
        return callers if faded is None else callers.keys() - faded

    def shown_callees(self, service: str, callees: Mapping[str, object]) -> Collection[str]:
        """Those of `callees` whose edge from `service` is shown."""
        faded = self._callees.get(service)
        return callees if faded is None else callees.keys() - faded
