"""The words of a picture: its title, what its stubs and arrows say, and the alt text that says all of it without looking.

Comes in: a `Focus`. Goes out: plain text. What is lost: names beyond the first dozen of a list; they are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from bot.model import Kind
from bot.picture.focus import Arrow, Focus, Seen, Spot, State, Stub
from bot.picture.labels import cut, plain

MAX_ALT = 1_900
"""Slack takes 2,000 characters of alt text."""

_LISTED = 12
_NAME = 60


def title(focus: Focus) -> str:
    """`payments is failing · likely cause payments-db 82%`."""
    return " · ".join(title_lines(focus))


def title_lines(focus: Focus) -> list[str]:
    """What the title says, thing by thing."""
    name = plain(focus.root.name, _NAME)
    if focus.cause is None or not focus.failing:
        return [f"{name} is failing" if focus.failing else name]
    own = focus.cause[0] == focus.service
    return [
        f"{name} is failing",
        f"likely its own fault {focus.cause[1]:.0%}" if own else f"likely cause {_cause(focus)}",
    ]


def _cause(focus: Focus) -> str:
    found, p = focus.cause or (focus.service, 0.0)
    who = "itself" if found == focus.service else plain(focus.by_id[found].name, _NAME)
    return f"{who} {p:.0%}"


def subtitle(focus: Focus) -> str:
    """Who is hit, and of when the map is."""
    hurts = focus.failing and focus.hit + focus.at_risk
    counted = [f"{focus.hit:,} hit now", f"{focus.at_risk:,} at risk"] if hurts else [_needed(focus)]
    return " · ".join([*counted, f"map of {datetime.fromtimestamp(focus.as_of, UTC):%Y-%m-%d %H:%M} UTC"])


def _needed(focus: Focus) -> str:
    count = focus.hit + focus.at_risk
    if count < 2:
        return "1 dependent" if count else "no dependents"
    return f"{count:,}{' dependents or more' if focus.more else ' dependents'}"


def legend(focus: Focus) -> tuple[Seen, ...]:
    """The ways calls are seen in this picture, the best first."""
    here = {Seen.by(arrow.layers) for arrow in focus.arrows}
    return tuple(one for one in Seen if one in here)


def facts(spot: Spot) -> list[str]:
    """What stands under a service's name."""
    kind = spot.kind.value if spot.kind is not Kind.SERVICE else ""
    return [plain(one, 40) for one in (*spot.notes, "users enter here" if spot.entry_point else "", kind) if one]


def stub_lines(stub: Stub) -> tuple[str, ...]:
    """`+12 more in checkout`, and how many of them are hit."""
    count = f"+{stub.count:,}{' or more' if stub.more else ''}"
    where = f"in {plain(stub.group, 24)}" if stub.group else "callers" if stub.callers else "callees"
    first = f"{count} more {where}" if not stub.more else f"{count} {where}"
    return (first, *((f"{stub.hit:,} hit now",) if stub.hit else ()))


def mark(arrow: Arrow) -> str:
    """What stands at an arrow: `new`, `gone`, a note, what the calls go through."""
    return " · ".join(filter(None, (arrow.change, arrow.note, via(arrow))))


def via(arrow: Arrow) -> str:
    """`via gateway › proxy`, and how many other ways there are; '' where calls are direct."""
    if not arrow.via:
        return ""
    others = f" +{len(arrow.via) - 1}" if len(arrow.via) > 1 else ""
    return f"via {cut(' › '.join(plain(one, 40) for one in arrow.via[0]), 22)}{others}"


def alt(focus: Focus) -> str:
    """The picture in words."""
    text = " ".join(f"{sentence}." for sentence in _sentences(focus) if sentence)
    return text if len(text) <= MAX_ALT else text[: MAX_ALT - 1] + "…"


def _sentences(focus: Focus) -> Iterator[str]:
    by_id, root = focus.by_id, focus.root
    name = plain(root.name, _NAME)
    facts = f": {', '.join(plain(one) for one in root.notes)}" if root.notes else ""
    yield f"Map around {name}" if not focus.failing else f"{name} is failing{facts}"
    if focus.cause is not None:
        yield f"Likely cause: {_cause(focus)}"
    if way := _way(focus):
        yield f"On the way to it: {' calls '.join(plain(by_id[one].name, _NAME) for one in way)}"
    for state in (State.SUSPECTED, State.HIT, State.AT_RISK, State.FAILING):
        those = [spot for spot in focus.spots if spot.state is state and spot is not root]
        if those:
            yield f"{_STATES[state]}: {_listed(spot.name for spot in those)}"
    others = [spot for spot in focus.spots if spot.state is State.OTHER]
    yield _named("Called by", (spot for spot in others if spot.column < 0))
    yield _named("Calls", (spot for spot in others if spot.column > 0))
    yield _named("Users enter at", (spot for spot in focus.spots if spot.entry_point))
    yield from (
        f"{'Not drawn, callers' if stub.callers else 'Not drawn, callees'}: {', '.join(stub_lines(stub))}"
        for stub in focus.stubs
    )
    for change, says in (("new", "New calls"), ("gone", "Calls that are gone")):
        those_calls = [f"{plain(by_id[one.caller].name, _NAME)} to {plain(by_id[one.callee].name, _NAME)}"
                       for one in focus.arrows if one.change == change]  # fmt: skip
        if those_calls:
            yield f"{says}: {_listed(those_calls)}"
    if focus.arrows_left_out:
        yield f"{focus.arrows_left_out} calls between those drawn are left out"
    yield subtitle(focus)


_STATES = {
    State.SUSPECTED: "Also suspected",
    State.HIT: "Hit now",
    State.AT_RISK: "At risk",
    State.FAILING: "Also failing",
}


def _named(what: str, spots: Iterable[Spot]) -> str:
    names = [spot.name for spot in spots]
    return f"{what}: {_listed(names)}" if names else ""


def _listed(names: Iterable[str]) -> str:
    found: Sequence[str] = [plain(name, _NAME) for name in names]
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return ", ".join(found[:_LISTED]) + more


def _way(focus: Focus) -> list[str]:
    """The services on the suspected way, from caller to callee."""
    onward = {arrow.caller: arrow.callee for arrow in focus.arrows if arrow.suspect}
    starts = onward.keys() - set(onward.values())
    way = sorted(starts)[:1]
    while way and way[-1] in onward and len(way) <= len(onward):
        way.append(onward[way[-1]])
    return way if all(pair in {(one.caller, one.callee) for one in focus.arrows} for pair in pairwise(way)) else []
