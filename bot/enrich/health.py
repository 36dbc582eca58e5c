"""How a service or an edge does now against how it usually does. Pure arithmetic over recent windows.

"Now" is the current minute and the three before it; "usual" is the rest of the hour in memory. Thresholds are set so
that a handful of calls never decides: see `Rates.failing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.enrich.view import MapView
from bot.layers.windows import minute_of
from bot.model import PSEUDO, WINDOW_SECONDS, EdgeKey, Tally

NOW_SECONDS = 3 * WINDOW_SECONDS
USUAL_SECONDS = 3_600
UNNOTICED_SECONDS = 300.0

_MIN_CALLS = 5.0
_MIN_ERROR_RATE = 0.05
_MIN_TIMED_CALLS = 20.0
_MIN_SLOWDOWN = 2.5
_MIN_SLOWER_MS = 100.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Calls, error rate (0..1) and 95th percentile latency (ms), now and usually (None: no traffic to tell from)."""

    calls: float
    error_rate: float
    p95_ms: float | None
    usual_calls: float
    usual_error_rate: float | None
    usual_p95_ms: float | None

    @property
    def failing(self) -> str:
        """`errors`, `latency`, or '' where it does as usual or too few calls tell."""
        if self.calls >= _MIN_CALLS and self.error_rate >= max(_MIN_ERROR_RATE, 3 * (self.usual_error_rate or 0.0)):
            return "errors"
        slow = (
            self.p95_ms is not None
            and self.usual_p95_ms is not None
            and min(self.calls, self.usual_calls) >= _MIN_TIMED_CALLS
            and self.p95_ms >= max(_MIN_SLOWDOWN * self.usual_p95_ms, self.usual_p95_ms + _MIN_SLOWER_MS)
        )
        return "latency" if slow else ""


def edge_rates(view: MapView, edge: EdgeKey, now: float, onset: float | None = None) -> Rates:
    """Rates of one edge at `now` (epoch s); for `onset` see `_rates`."""
    return _rates(lambda since, until: view.counts(edge, since, until), now, onset)


def service_rates(view: MapView, service: str, now: float, onset: float | None = None) -> Rates:
    """Rates of everything a service serves, whoever asks it; for `onset` see `_rates`."""
    return _rates(lambda since, until: view.served(service, since, until), now, onset)


def _rates(counts: Callable[[float, float], Tally], now: float, onset: float | None) -> Rates:
    """Now against usual.

    `onset`: when the trouble was first noticed, if it was; the minutes just before that are not what is usual either,
    since an alert fires only after its condition has held for a while.
    """
    since = minute_of(now) - NOW_SECONDS
    usual_until = since if onset is None else min(since, minute_of(onset - UNNOTICED_SECONDS))
    current = counts(since, now + WINDOW_SECONDS)
    usual = counts(since - USUAL_SECONDS, usual_until)
    return Rates(
        calls=current.calls,
        error_rate=current.error_rate,
        p95_ms=current.quantile_ms(0.95),
        usual_calls=usual.calls,
        usual_error_rate=usual.error_rate if usual.calls > 0 else None,
        usual_p95_ms=usual.quantile_ms(0.95),
    )


def erring_now(view: MapView, now: float) -> set[EdgeKey]:
    """Edges with a failed call lately, whether or not that is usual for them."""
    return view.erring(minute_of(now) - NOW_SECONDS, now + WINDOW_SECONDS)


def failing_services(view: MapView, now: float, onset: float | None = None) -> dict[str, str]:
    """Services that fail more than usual at `now`, with `alert`, `errors` or `latency`. Of trouble that goes on, `onset` says
    since when: else it becomes what is usual.

    Looks only where something went wrong lately (edges with a failed call, firing alerts), which keeps it cheap on a
    big map; a service that is slow without any error is found only where its own alert or its callers say so.
    """
    found = dict.fromkeys(view.firing, "alert")
    suspects = {
        service for edge in erring_now(view, now) for service in edge if service not in PSEUDO and service in view.graph
    }
    for service in sorted(suspects - found.keys()):
        if reason := service_rates(view, service, now, onset).failing:
            found[service] = reason
    return found
