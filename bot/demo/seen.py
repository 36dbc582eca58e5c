"""What each layer counted of one service's calls, side by side: the answer of `/api/v1/services/{id}` as a table."""

from __future__ import annotations

from typing import Any

import aiohttp

_COLUMNS = {"network": "network", "ipc": "ipc", "trace": "traces"}
_LEGEND = (
    "network counts connections, which carry several requests each; a sampled trace stands for all that were not kept"
)

Json = dict[str, Any]


async def ask(session: aiohttp.ClientSession, service: str) -> Json:
    """The bot's answer about a service, or {} while it is not on the map."""
    async with session.get(f"/api/v1/services/{service}", raise_for_status=False) as answer:
        found: Json = await answer.json(content_type=None)
    return found if answer.status == 200 else {}


def _edges(answer: Json) -> list[Json]:
    return [*answer.get("callers", ()), *answer.get("callees", ())]


def counts(answer: Json) -> dict[tuple[str, str], float]:
    """(edge, layer) -> calls."""
    return {
        (f"{edge['caller']} → {edge['callee']}", layer): part["calls"]
        for edge in _edges(answer)
        for layer, part in edge["layers"].items()
    }


def table(answer: Json) -> str:
    """One line an edge; `–` where a layer does not see it."""
    lines = [_line("calls, by layer", list(_COLUMNS.values()), "confidence", "via")]
    for edge in _edges(answer):
        layers = edge["layers"]
        counted = [f"{layers[layer]['calls']:.0f}" if layer in layers else "–" for layer in _COLUMNS]
        chains = ", ".join(" → ".join(chain) for chain in edge["via"])
        sure = f"{edge['confidence']:.3f}"
        lines.append(_line(f"{edge['caller']} → {edge['callee']}", counted, sure, chains))
    return "\n".join([*lines, f"({_LEGEND})"])


def _line(edge: str, counted: list[str], sure: str, via: str) -> str:
    return f"{edge:24}{''.join(f'{one:>10}' for one in counted)}{sure:>13}   {via}".rstrip()
