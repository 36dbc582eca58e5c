"""Labelled root-cause cases: JSON lines, gzip or plain -> situations with the services that were at fault.

One object a line: `{"case_id","graph":{"nodes","edges":[[caller,callee]…]},"alert":{"service","metric","ts"},
"baseline"/"series":{service:{metric:[[ts,value]…]}},"edge_baseline"/"edge_series":{"caller->callee":{…}},
"events":[…],"root_cause":[…]?,"blast_radius":[…]?}`. What is lost: a line that is no case, named with its number.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.enrich.causes.situation import Event, Measured, Situation

_KINDS = {"metric": "metric", "trace": "call", "log": "log", "deploy": "change", "flag": "change", "change": "change"}
_DIRECTIONS = {"up": 1, "down": -1}


class BadCase(ValueError):
    """A line that is no case."""


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled incident. `root_cause` is empty where nobody says; `blast_radius` None where nobody does."""

    case_id: str
    dataset: str
    situation: Situation
    root_cause: tuple[str, ...]
    blast_radius: tuple[str, ...] | None


def read(path: Path) -> Iterator[Case]:
    """The cases of a file, in order. Raises BadCase naming the line, OSError where the file cannot be read."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield case(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise BadCase(f"{path}:{number}: not a case: {type(error).__name__}: {error}") from None


def case(given: Mapping[str, Any]) -> Case:
    """One case from its JSON object. Raises ValueError, TypeError or KeyError where it is none."""
    graph, alert = given.get("graph") or {}, given["alert"]
    callees: dict[str, list[str]] = {}
    services = dict.fromkeys(map(str, graph.get("nodes") or ()))
    for caller, callee in graph.get("edges") or ():
        callees.setdefault(str(caller), []).append(str(callee))
        services |= {str(caller): None, str(callee): None}
    services.setdefault(str(alert["service"]))
    measured = _measured(given, "series", "baseline")
    services |= dict.fromkeys(measured)
    edges = {_ends(key): found for key, found in _measured(given, "edge_series", "edge_baseline").items()}
    events = tuple(filter(None, map(_event, given.get("events") or ())))
    services |= {event.service: None for event in events}
    radius = given.get("blast_radius")
    return Case(
        str(given["case_id"]),
        str(given.get("dataset", "")),
        Situation(
            str(alert["service"]), str(alert.get("metric") or ""), float(alert.get("ts") or 0.0),
            tuple(sorted(services)), callees, measured, edges, events,
        ),
        tuple(map(str, given.get("root_cause") or ())),
        tuple(map(str, radius)) if radius is not None else None,
    )  # fmt: skip


def _measured(given: Mapping[str, Any], now: str, usual: str) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {}
    baselines = given.get(usual) or {}
    for place, metrics in (given.get(now) or {}).items():
        known = baselines.get(place) or {}
        found[str(place)] = [
            Measured(str(name), _points(points), _points(known.get(name))) for name, points in sorted(metrics.items())
        ]
    for place, metrics in baselines.items():  # what is there no more is a sign, too
        gone = sorted(metrics.keys() - {one.name for one in found.get(str(place), ())})
        found.setdefault(str(place), []).extend(Measured(str(name), (), _points(metrics[name])) for name in gone)
    return found


def _points(given: Any) -> tuple[tuple[float, float], ...]:
    return tuple((float(at), float("nan") if value is None else float(value)) for at, value in given or ())


def _ends(key: str) -> tuple[str, str]:
    caller, arrow, callee = key.partition("->")
    if not arrow:
        raise ValueError(f"edge {key[:80]!r}: want caller->callee")
    return caller, callee


def _event(given: Mapping[str, Any]) -> Event | None:
    source, service = str(given.get("src", "")), given.get("service")
    if source not in _KINDS or not service:
        return None
    name = given.get("metric") or given.get("template") or given.get("kind") or given.get("sha") or ""
    at = given.get("ts")
    return Event(
        _KINDS[source], str(service), str(name), float(at) if at is not None else None,
        _DIRECTIONS.get(str(given.get("dir")), 0), str(given.get("caller") or ""), str(given.get("op") or ""),
    )  # fmt: skip
