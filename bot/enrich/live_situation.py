"""An alert's situation as the map knows it: its dependencies, minute by minute for the last hour, alerts, changes, and where all that runs.

Comes in: a `MapView`, live or of the past, and perhaps one of a day before, for what is usual at this hour. Goes out: a
`Situation` in terms of `requests` a minute, `error_ratio` and `latency_mean_ms`. What is lost:
dependencies beyond the nearest few hundred, and the minute under way where only whole minutes can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from bot.enrich.causes.metric_kinds import Family
from bot.enrich.causes.situation import Event, Measured, Points, Situation
from bot.enrich.view import COUNTING_LAYERS, MapView
from bot.graph.walk import dependencies, dependents
from bot.layers.windows import minute_of
from bot.model import WINDOW_SECONDS, EdgeKey, Layer, Tally

MAX_DEPENDENCIES = 300
MAX_CALLERS = 100
SPAN_SECONDS = 3_600.0
_DAY = 86_400.0
_FEW_CALLS = 3.0
_LEVEL_MINUTES = 3.0
_BY_CHANCE = 2.0
_NEW_SECONDS = 3_600.0
_CHANGES_SECONDS = 6 * 3_600.0
_ABOUT = {Family.ERRORS: "error_ratio", Family.LATENCY: "latency_mean_ms", Family.TRAFFIC: "requests"}

_Minutes = Sequence[tuple[int, Tally]]


def situation(
    view: MapView, service: str, at: float, about: str = "", usual: MapView | None = None, until: float | None = None
) -> Situation:
    """What surrounds an alert on `service` at `at` (epoch s), up to `until` where that is later. `about` is the alert's title
    or metric, which may say what kind of trouble it is; `usual` the map a day before."""
    now = at if until is None else max(at, until)
    below = dependencies(view.graph, [service], limit=MAX_DEPENDENCIES).found
    above = dependents(view.graph, [service], 1, limit=MAX_CALLERS).found
    services = sorted({service, *below, *above})
    known = set(services)
    callees = {one: sorted(known.intersection(view.graph.shown_callees(one))) for one in services}
    metric = _ABOUT.get(view.metrics.kind(about).family, "") if about else ""
    measured = _measured(view, services, now, usual)
    minutes = max((len(one.points) for those in measured.values() for one in those), default=1)
    return Situation(
        service, metric, at, services, {one: those for one, those in callees.items() if those},
        measured, _edges(view, callees, now, max(1, minutes)),
        (*_alerts(view, service, known), *_new_edges(view, callees, at), *_changes(view, known, at, now)),
        view.places.shared(services, now),
    )  # fmt: skip


def _measured(
    view: MapView, services: Sequence[str], at: float, usual: MapView | None
) -> Mapping[str, Sequence[Measured]]:
    counted = {one: _counting(view, service=one) for one in services}
    now = {one: _inward(view, one, layer, at) for one, layer in counted.items()}
    then = {one: _inward(usual, one, layer, at - _DAY) for one, layer in counted.items()} if usual is not None else {}
    open_minute = minute_of(at)
    heard = _heard(now.values())
    heard_then = _heard(then.values())
    found = {}
    for one, minutes in now.items():
        before = then.get(one, ())
        if not minutes and not before:
            continue
        found[one] = [
            Measured("error_ratio", _failed(minutes), _failed(before), _few_failures(minutes)),
            Measured("latency_mean_ms", _means(minutes), _means(before)),
            Measured(
                "requests", _requests(minutes, heard - {open_minute}), _requests(before, heard_then), _chance(minutes)
            ),
        ]
    return found


def _counting(view: MapView, service: str = "", edge: EdgeKey | None = None) -> Layer | None:
    """The layer that counts a service's requests, or an edge's calls, best: metrics count every call, traces a sample."""
    for layer in COUNTING_LAYERS:
        windows = view.windows.get(layer)
        if windows is not None and (windows.calls(edge) if edge is not None else windows.served(service)) > 0:
            return layer
    return None


def _inward(view: MapView, service: str, layer: Layer | None, at: float) -> _Minutes:
    windows = view.windows.get(layer) if layer is not None else None
    if windows is None:
        return ()
    since = minute_of(at) - SPAN_SECONDS
    return [(minute, tally) for minute, tally in windows.minutes_inward(service, since, at) if tally.calls > 0]


def _edges(
    view: MapView, callees: Mapping[str, Sequence[str]], at: float, minutes: int
) -> Mapping[EdgeKey, Sequence[Measured]]:
    """Calls a minute on each edge, on average over the `minutes` in memory: what counts is who calls whom how much."""
    found = {}
    for caller, those in callees.items():
        for edge in ((caller, callee) for callee in those):
            if (layer := _counting(view, edge=edge)) is not None:
                found[edge] = [Measured("calls", [(at, view.windows[layer].calls(edge) / minutes)])]
    return found


def _heard(series: Iterable[_Minutes]) -> set[int]:
    """Minutes in which anybody reported: silence counts only where peers still speak."""
    return {minute for minutes in series for minute, _ in minutes}


def _requests(minutes: _Minutes, heard: set[int]) -> Points:
    if not minutes:
        return ()
    counted, first = dict(minutes), minutes[0][0]
    return [
        (float(minute), counted[minute].calls if minute in counted else 0.0)
        for minute in sorted(heard)
        if minute >= first
    ]


def _failed(minutes: _Minutes) -> Points:
    return [(float(minute), tally.error_rate) for minute, tally in minutes]


def _sightings(tally: Tally) -> float:
    """How many calls were really seen: of a sample, each stands for many, but proves no more than one."""
    return min(tally.calls, float(tally.sampled)) if tally.sampled > 0 else tally.calls


def _few_failures(minutes: _Minutes) -> float:
    """What a failure or two do to the share of failures over a few minutes: one failed call among two is no outage, and among
    some hundred services somebody has two within minutes."""
    seen = sum(_sightings(tally) for _, tally in minutes) / max(1, len(minutes))
    return min(1.0, _BY_CHANCE / max(1.0, _LEVEL_MINUTES * seen))


def _chance(minutes: _Minutes) -> float:
    """How far chance alone takes the number of requests a minute, over a few: calls that are sampled come in lumps."""
    calls, seen = sum(tally.calls for _, tally in minutes), sum(_sightings(tally) for _, tally in minutes)
    if not minutes or seen <= 0:
        return 0.0
    return calls / seen * math.sqrt(seen / len(minutes) / _LEVEL_MINUTES)


def _means(minutes: _Minutes) -> Points:
    """Mean latency in ms; minutes of few calls are drawn towards the usual minute."""
    timed = [
        (minute, sum(tally.histogram), tally.latency_us / 1_000.0, _sightings(tally) / tally.calls)
        for minute, tally in minutes
    ]
    means = [spent / count for _, count, spent, _ in timed if count > 0]
    if not means:
        return ()
    level = median(means)
    return [
        (float(minute), (spent * seen + _FEW_CALLS * level) / (count * seen + _FEW_CALLS))
        for minute, count, spent, seen in timed
        if count > 0
    ]


def _alerts(view: MapView, service: str, known: set[str]) -> Iterable[Event]:
    return (
        Event("alert", one, "", since) for one, since in sorted(view.firing.items()) if one in known and one != service
    )


def _changes(view: MapView, known: set[str], at: float, now: float) -> Iterable[Event]:
    """What was changed lately at the services in view."""
    for service in sorted(known):
        for change in view.changes.of(service, at - _CHANGES_SECONDS, now):
            who = f" by {change.author}" if change.author else ""
            yield Event("change", service, f"{change.kind}: {change.title}{who}", change.at)


def _new_edges(view: MapView, callees: Mapping[str, Sequence[str]], at: float) -> Iterable[Event]:
    """Edges of the last hour, on a map that is older than that: the caller has changed."""
    first = {
        (caller, callee): min(seen.first_seen for seen in view.graph.layers(caller, callee).values())
        for caller, those in callees.items()
        for callee in those
    }
    if not first or min(first.values()) > at - 2 * _NEW_SECONDS:
        return
    for (caller, callee), since in sorted(first.items()):
        if at - _NEW_SECONDS <= since <= at + WINDOW_SECONDS:
            yield Event("change", caller, f"calls {callee} since then, and did not before", since)
