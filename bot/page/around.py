"""The map around one service as a page shows it: marks for the figure, a table of its services and one of its calls, and the legend.

Comes in: a `Focus`, the answers about each of its services and calls, and what the reader chose. Goes out: values for `map.html.j2`, and
the focus as it is to be drawn: an overlay also writes what it shows beside each service, since nothing is told by colour alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.model import EdgeKey, Kind
from bot.page import address, say
from bot.page.address import Look
from bot.page.figure import Mark
from bot.picture import words
from bot.picture.dot import node_ids
from bot.picture.focus import Arrow, Focus, Spot, State

Json = Mapping[str, Any]

TONES = 7
"""Different values an overlay tells apart; the rest share the last."""

_SURE = ((0.9, "sure"), (0.5, "likely"), (0.0, "unsure"))
_NONE = "none known"


class Around:
    """One focus graph with what is known of its services (`spots`: summary and rates) and calls (`calls`: the API's edges)."""

    def __init__(
        self, focus: Focus, spots: Mapping[str, Json], calls: Mapping[EdgeKey, Json], look: Look, now: float
    ) -> None:
        self._spots, self._calls, self._look, self._now = spots, calls, look, now
        self._tones = self._toned(focus)
        self.focus = self._noted(focus)
        self._ids = node_ids(self.focus)

    # -- for the figure ------------------------------------------------------------------------------------------------------

    def marks(self) -> dict[str, Mark]:
        """What the figure says of each node and call, by their ids in the DOT."""
        focus, ids = self.focus, self._ids
        found = {ids[spot.id]: self._spot_mark(spot) for spot in focus.spots}
        for arrow in focus.arrows:
            ends = f"{ids[arrow.caller]}->{ids[arrow.callee]}"
            key = self._call_key(arrow)
            found[ends] = Mark(f"#{key}", self._call_label(arrow), tuple(self._call_classes(arrow)), key)
        for stub in focus.stubs:
            href = self._look.but(service=stub.beside, depth=None)
            label = f"{', '.join(words.stub_lines(stub))}, not drawn one by one"
            found[ids[stub.id]] = Mark(href, label, ("folded", *(("state-hit",) if stub.hit else ())))
        return found

    def _spot_mark(self, spot: Spot) -> Mark:
        facts = ", ".join(filter(None, (_state(spot), *spot.notes, "users enter here" if spot.entry_point else "")))
        label = f"{say.name(spot.id)}: {facts}" if facts else say.name(spot.id)
        classes = [
            f"state-{spot.state.name.lower().replace('_', '-')}",
            *(["asked"] if spot.id == self.focus.service else []),
        ]
        if self._look.overlay != "health":
            classes.append(f"tone-{self._tones.get(self._value(spot.id), TONES - 1)}")
        return Mark(self._look.but(service=spot.id), label, tuple(classes), self._ids[spot.id])

    def _call_classes(self, arrow: Arrow) -> list[str]:
        call = self._calls.get((arrow.caller, arrow.callee))
        found = [f"call-{arrow.change}"] if arrow.change else []
        found += ["suspect"] if arrow.suspect else []
        if call is not None:
            found.append(f"is-{call['freshness']}")
            found.append(f"is-{_sure(call['confidence'])}")
        return found

    def _call_label(self, arrow: Arrow) -> str:
        call = self._calls.get((arrow.caller, arrow.callee))
        said = [f"{say.name(arrow.caller)} calls {say.name(arrow.callee)}", arrow.change]
        if call is not None:
            best = _best(call)
            said += [f"{best['layer']}: {best['calls']} calls, {best['failed']} fail" if best else ""]
        return ", ".join(filter(None, said))

    def _call_key(self, arrow: Arrow) -> str:
        return f"{self._ids[arrow.caller]}-{self._ids[arrow.callee]}"

    # -- overlays --------------------------------------------------------------------------------------------------------------

    def _value(self, service: str) -> str:
        """What the overlay tells of a service."""
        facts, overlay = self._spots[service], self._look.overlay
        if overlay == "owner":
            return (facts["owner"] or {}).get("team") or _NONE
        if overlay == "freshness":
            return _fresh(self._now - say.moment(facts["last_seen"]))
        if overlay == "confidence":
            sure = [call["confidence"] for ends, call in self._calls.items() if service in ends]
            return _sure(max(sure)) if sure else _NONE
        return str(facts.get(overlay) or _NONE)

    def _toned(self, focus: Focus) -> dict[str, int]:
        if self._look.overlay == "health":
            return {}
        met = Counter(self._value(spot.id) for spot in focus.spots)
        ordered = sorted((one for one in met if one != _NONE), key=lambda one: (-met[one], one))
        if self._look.overlay == "tier":
            ordered.sort()
        elif self._look.overlay in ("freshness", "confidence"):
            ordered = [one for one in (*_FRESH, *(word for _, word in _SURE)) if one in met]
        return {one: min(place, TONES - 1) for place, one in enumerate(ordered)}

    def _noted(self, focus: Focus) -> Focus:
        """The focus with what the overlay tells written beside each service and call."""
        overlay = self._look.overlay
        if overlay == "health":
            return focus
        spots = tuple(replace(spot, notes=(self._said(spot.id),)) for spot in focus.spots)
        arrows = focus.arrows
        if overlay in ("freshness", "confidence"):
            arrows = tuple(replace(arrow, note=self._call_note(arrow)) for arrow in arrows)
        return replace(focus, spots=spots, arrows=arrows)

    def _said(self, service: str) -> str:
        value, overlay = self._value(service), self._look.overlay
        if value == _NONE:
            return f"no {overlay} known"
        return f"tier {value}" if overlay == "tier" else value

    def _call_note(self, arrow: Arrow) -> str:
        call = self._calls.get((arrow.caller, arrow.callee))
        if call is None:
            return ""
        if self._look.overlay == "confidence":
            return say.share(call["confidence"])
        return "" if call["freshness"] == "fresh" else say.ago(call["last_seen"], self._now)

    # -- beside the figure -------------------------------------------------------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """What the page says besides the picture."""
        return {
            "spots": [self._spot_row(spot) for spot in self.focus.spots],
            "calls": [self._call_row(arrow) for arrow in self.focus.arrows],
            "legend": self._legend(),
            "lines": [(seen.name.lower(), seen.value) for seen in words.legend(self.focus)],
            "stubs": [words.stub_lines(stub) for stub in self.focus.stubs],
            "left_out": self.focus.arrows_left_out,
        }

    def _spot_row(self, spot: Spot) -> dict[str, Any]:
        facts = self._spots[spot.id]
        owner = facts["owner"] or {}
        return {
            "key": self._ids[spot.id], "name": say.name(spot.id), "href": self._look.but(service=spot.id),
            "state": _state(spot), "tone": spot.state.name.lower().replace("_", "-"), "notes": spot.notes,
            "kind": "" if spot.kind is Kind.SERVICE else spot.kind.value, "tier": facts["tier"], "domain": facts["domain"],
            "owner": owner.get("label", ""), "seen": say.ago(facts["last_seen"], self._now), "entry": spot.entry_point,
            **say.rates(facts["rates"]),
        }  # fmt: skip

    def _call_row(self, arrow: Arrow) -> dict[str, Any]:
        call = self._calls.get((arrow.caller, arrow.callee))
        row: dict[str, Any] = {
            "key": self._call_key(arrow), "caller": say.name(arrow.caller), "callee": say.name(arrow.callee), "change": arrow.change,
            "via": words.via(arrow), "suspect": arrow.suspect, "layers": [], "confidence": say.NOBODY_KNOWS, "freshness": "", "reasons": [],
        }  # fmt: skip
        if call is not None:
            row |= {
                "layers": layers(call, self._now), "confidence": say.share(call["confidence"]), "freshness": call["freshness"],
                "reasons": call["confidence_reasons"],
            }  # fmt: skip
        return row

    def _legend(self) -> list[tuple[str, str]]:
        """(class, what it means) of what is there."""
        if self._look.overlay == "health":
            there = {spot.state for spot in self.focus.spots}
            return [
                (f"state-{one.name.lower().replace('_', '-')}", _MEANS[one])
                for one in State
                if one in there and one in _MEANS
            ]
        said = {one: f"tier {one}" if self._look.overlay == "tier" else one for one in self._tones}
        none = any(self._value(spot.id) == _NONE for spot in self.focus.spots)
        return [
            *((f"tone-{tone}", said[one]) for one, tone in self._tones.items()),
            *([(f"tone-{TONES - 1}", _NONE)] if none else []),
        ]


def layers(call: Json, now: float) -> list[dict[str, str]]:
    """Each layer's own numbers of one call, the most telling layer first."""
    found = []
    for layer, label in say.LAYERS.items():
        part = call["layers"].get(layer)
        if part is not None:
            sampled = part.get("sampled")
            scaled = sampled is not None and part.get("calls", 0) > 1.5 * sampled > 0
            found.append({
                "layer": label, **say.rates(part), "seen": say.ago(part["last_seen"], now), "freshness": part["freshness"],
                "sampled": f"{say.count(sampled)} seen, scaled up" if scaled else "",
                "unit": "connections" if layer == "network" else "calls", "how": part.get("how", ""),
            })  # fmt: skip
    return found


def _best(call: Json) -> dict[str, str] | None:
    for layer, label in say.LAYERS.items():
        if layer in call["layers"]:
            return {"layer": label, **say.rates(call["layers"][layer])}
    return None


def _state(spot: Spot) -> str:
    return "" if spot.state in (State.OTHER, State.FOCUS) else spot.state.value


_MEANS = {
    State.FAILING: "failing", State.CAUSE: "likely cause", State.SUSPECTED: "also suspected", State.HIT: "hit now",
    State.AT_RISK: "at risk", State.FOCUS: "the service asked about", State.OTHER: "others",
}  # fmt: skip

_FRESH = ("seen now", "minutes ago", "hours ago", "days ago")


def _fresh(seconds: float) -> str:
    return _FRESH[0 if seconds < 180 else 1 if seconds < 3_600 else 2 if seconds < 86_400 else 3]


def _sure(confidence: float) -> str:
    return next(word for least, word in _SURE if confidence >= least)


def switches(look: Look, layers_heard: Sequence[str]) -> dict[str, Any]:
    """What can be chosen otherwise, each with its address: (label, address, whether it is chosen)."""
    chosen = look.layers
    return {
        "directions": [
            (label, look.but(direction=one), look.direction == one)
            for one, label in (("callers", "Callers"), ("both", "Both"), ("callees", "Callees"))
        ],
        "depths": [(str(one), look.but(depth=one), look.depth == one) for one in address.DEPTHS]
        + [("All", look.but(depth=None), look.depth is None)],
        "layers": [("All", look.but(layers=frozenset()), not chosen)]
        + [(say.LAYERS[one].capitalize(), look.but(layers=frozenset((one,))), chosen == {one}) for one in layers_heard],
        "overlays": [(one.capitalize(), look.but(overlay=one), look.overlay == one) for one in address.OVERLAYS],
    }
