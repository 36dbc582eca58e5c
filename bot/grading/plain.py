"""The plain methods that a ranking has to beat. Each: a situation in, services out, likeliest first.

self: the alerting service. deepest: down the edges as long as the next is anomalous on the alert's own kind of metric.
PPR: personalised PageRank from the alerting service, edges weighted by how anomalous their callee is. N-sigma: no graph,
the largest deviation of any metric in standard deviations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import networkx as nx
import numpy as np

from bot.enrich.causes.metric_kinds import TABLE, Family
from bot.enrich.causes.situation import Measured, Situation

_ANOMALOUS = 3.0
_CEILING = 1e6
_DAMPING = 0.85
_BEFORE_SECONDS = 300.0
_ROUNDS = 100

Method = Callable[[Situation], tuple[str, ...]]


def itself(situation: Situation) -> tuple[str, ...]:
    """The alerting service and nobody else."""
    return (situation.service,)


def deepest(situation: Situation) -> tuple[str, ...]:
    """The deepest service that anomalies lead to, then those on the way."""
    about = TABLE.kind(situation.metric).family
    scores = _scores(
        situation, {about} if about in (Family.LATENCY, Family.ERRORS) else {Family.LATENCY, Family.ERRORS}
    )
    depth, frontier = {situation.service: 0}, [situation.service]
    while frontier:
        here = frontier.pop(0)
        for there in sorted(situation.callees.get(here, ())):
            if there not in depth and scores.get(there, 0.0) >= _ANOMALOUS:
                depth[there] = depth[here] + 1
                frontier.append(there)
    return tuple(sorted(depth, key=lambda one: (-depth[one], -scores.get(one, 0.0), one)))


def pagerank(situation: Situation) -> tuple[str, ...]:
    """Personalised PageRank over the edges, weighted by the callee's largest deviation."""
    scores = _scores(situation, set(Family))
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(situation.services)
    for caller, callees in situation.callees.items():
        graph.add_weighted_edges_from((caller, one, 0.01 + scores.get(one, 0.0)) for one in callees if one != caller)
    for service in situation.services:
        graph.add_edge(service, service, weight=0.01 + scores.get(service, 0.0))
    # By numpy's hand: networkx's own ranking wants scipy, which nothing else here does.
    step = np.asarray(nx.google_matrix(graph, alpha=_DAMPING, personalization={situation.service: 1.0}))
    mass = np.full(len(step), 1.0 / len(step))
    for _ in range(_ROUNDS):
        mass = mass @ step
    found = dict(zip(graph, mass.tolist(), strict=True))
    return tuple(sorted(found, key=lambda one: (-found[one], one)))


def n_sigma(situation: Situation) -> tuple[str, ...]:
    """The largest deviation first."""
    scores = _scores(situation, set(Family))
    return tuple(sorted(scores, key=lambda one: (-scores[one], one)))


METHODS: Mapping[str, Method] = {"self": itself, "deepest": deepest, "PPR": pagerank, "N-sigma": n_sigma}


def _scores(situation: Situation, families: set[Family]) -> dict[str, float]:
    scores = {
        service: max(
            (_sigmas(one, situation.at) for one in measured if TABLE.kind(one.name).family in families), default=0.0
        )
        for service, measured in situation.measured.items()
    }
    for event in situation.events:
        if event.kind in ("metric", "call", "log"):
            family = {"call": Family.ERRORS, "log": Family.LOGS}.get(event.kind) or TABLE.kind(event.name).family
            if family in families:
                scores[event.service] = scores.get(event.service, 0.0) + 1.0
    return scores


def _sigmas(measured: Measured, at: float) -> float:
    usual = [value for _, value in measured.baseline if math.isfinite(value)]
    now = [value for moment, value in measured.points if math.isfinite(value) and moment >= at - _BEFORE_SECONDS]
    if len(usual) < 2:
        usual = [value for moment, value in measured.points if math.isfinite(value) and moment < at - _BEFORE_SECONDS]
    if len(usual) < 2 or not now:
        return 0.0
    mean = sum(usual) / len(usual)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in usual) / len(usual))
    return min(_CEILING, max(abs(value - mean) for value in now) / max(deviation, 1e-9))
