"""Slash-command answers -> Block Kit. Pure: what `bot.enrich.answers` says in, `Message` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.enrich.recent_changes import change_line
from bot.model import Message
from bot.slack.budget import fit
from bot.slack.mrkdwn import escape, link
from bot.slack.views import context, coverage_words, freshness, section

_EDGES_SHOWN = 5
_CHANGES_SHOWN = 5

Json = dict[str, Any]


def service(answer: Json) -> Message:
    """One service: callers, callees, owner, state and freshness."""
    state = "🔴 failing" if answer["state"] == "failing" else "🟢 as usual"
    if answer["why"]:
        state += f" ({escape(answer['why'])})"
    kind = "" if answer["kind"] == "service" else f" · {escape(answer['kind'])}"
    facts = [state + kind, *(escape(f"{name} {answer[name]}") for name in ("tier", "domain") if answer[name])]
    if answer["entry_point"]:
        facts.append("users come in here")
    headline = f"*{escape(answer['id'])}*"
    lines = [
        " · ".join(facts),
        _rates(answer["rates"]),
        f"*Owner*: {owner_words(answer)}",
        _edges("Callers", answer["callers"], "caller", answer["callers_total"]),
        _edges("Calls", answer["callees"], "callee", answer["callees_total"]),
        _changes(answer["changes"]),
    ]
    found = answer["coverage"]
    silent = [(one["id"], one["age_seconds"]) for one in found["silent"]]
    footer = " · ".join(
        [
            freshness({layer: part["age_seconds"] for layer, part in found["layers"].items()}),
            coverage_words(found["reporting"], found["services"], silent)
            if found["services"]
            else "nobody here reports itself",
        ]
    )
    body = "\n".join(line for line in lines if line)
    blocks = [section(f"{headline}\n{body}"), context(footer)]
    if answer["runbook"]:
        blocks.insert(1, section(link(answer["runbook"], "Runbook")))
    return fit(Message(f"{headline}\n{body}\n{footer}", tuple(blocks)))


def _rates(rates: Json) -> str:
    if not rates["calls"]:
        return "no calls in the last minutes"
    parts = [f"{rates['calls'] / 4:.0f} calls/min", f"errors {rates['error_rate'] * 100:.1f}%"]
    if rates["p95_ms"] is not None:
        parts.append(f"p95 {rates['p95_ms']:.0f} ms")
    return " · ".join(parts)


def owner_words(answer: Json) -> str:
    """Who owns it, who says so, who is on call; the nearest owned dependent where nobody is known."""
    if answer["owner"]:
        on_call = f" · on call: {escape(answer['owner']['on_call'])}" if answer["owner"].get("on_call") else ""
        return f"{escape(answer['owner']['label'])} ({escape(answer['owner']['source'])}){on_call}"
    nearest = answer["nearest_owned_dependent"]
    if nearest:
        return (
            f"no owner known; nearest owned dependent is {escape(nearest['id'])} → {escape(nearest['owner']['label'])}"
        )
    return "no owner known"


def _edges(title: str, edges: Sequence[Json], side: str, total: int) -> str:
    if not edges:
        return f"*{title}*: none known"
    busiest = sorted(edges, key=lambda edge: (-_calls(edge), edge[side]))
    shown = [f"{escape(edge[side])} ({_edge_words(edge)})" for edge in busiest[:_EDGES_SHOWN]]
    more = total - len(shown)
    return f"*{title}* {total}: " + ", ".join(shown) + (f", +{more}" if more > 0 else "")


def _changes(changes: Sequence[Json]) -> str:
    if not changes:
        return ""
    lines = []
    for change in changes[:_CHANGES_SHOWN]:
        line = change_line(change)
        lines.append(f"• {link(change['link'], line) if change['link'] else escape(line)}")
    more = len(changes) - len(lines)
    return "*Changes*\n" + "\n".join(lines) + (f"\n+{more}" if more > 0 else "")


def _calls(edge: Json) -> float:
    return max((part.get("calls", 0.0) for part in edge["layers"].values()), default=0.0)


def _edge_words(edge: Json) -> str:
    layers = "+".join("traces" if layer == "trace" else layer for layer in edge["layers"])
    calls = _calls(edge)
    counted = f"{calls:.0f}/h, " if calls else ""
    fresh = "" if edge["freshness"] == "fresh" else f", {edge['freshness']}"
    return f"{counted}{layers}{fresh}"
