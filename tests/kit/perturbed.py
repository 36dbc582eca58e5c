"""A situation made harder, the way telemetry is hard: short baselines, chatter everywhere, other names, missing layers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace

from bot.enrich.causes.situation import Event, Measured, Situation


def shortened(points: int) -> Callable[[Situation], Situation]:
    """Only the last few points of every baseline."""

    def change(one: Situation) -> Situation:
        return _each(
            one, lambda measured: replace(measured, baseline=tuple(measured.baseline)[-points:] if points else ())
        )

    return change


def chatter(one: Situation) -> Situation:
    """Two log templates that every service writes all the time."""
    said = [Event("log", service, template) for service in one.services for template in ("heartbeat", "tick")]
    return replace(one, events=(*one.events, *said))


def other_names_of_metrics(one: Situation) -> Situation:
    """The same metrics in dotted camel case."""
    changed = _each(one, lambda measured: replace(measured, name=_camel(measured.name)))
    events = tuple(replace(event, name=_camel(event.name)) if event.kind == "metric" else event for event in one.events)
    return replace(changed, metric=_camel(one.metric), events=events)


def without_edges(one: Situation) -> Situation:
    """Nothing counted on single edges."""
    return replace(one, edges={})


def shuffled(one: Situation, seed: int = 7) -> tuple[Situation, dict[str, str]]:
    """Other names for all services, in operations' names too; and which is which."""
    rng = random.Random(seed)
    names = [f"unit-{number:04d}" for number in range(len(one.services))]
    rng.shuffle(names)
    new = dict(zip(one.services, names, strict=True))

    def call(text: str) -> str:
        return re.sub(r"[A-Za-z-]+", lambda found: new.get(found.group(0), found.group(0)), text)

    return Situation(
        new[one.service], one.metric, one.at, sorted(names),
        {new[caller]: sorted(new[callee] for callee in those) for caller, those in one.callees.items()},
        {new[service]: measured for service, measured in one.measured.items()},
        {(new[caller], new[callee]): measured for (caller, callee), measured in one.edges.items()},
        tuple(replace(event, service=new[event.service], caller=new.get(event.caller, event.caller), call=call(event.call))
              for event in one.events),
    ), new  # fmt: skip


def _each(one: Situation, change: Callable[[Measured], Measured]) -> Situation:
    return replace(
        one,
        measured={place: tuple(map(change, those)) for place, those in one.measured.items()},
        edges={place: tuple(map(change, those)) for place, those in one.edges.items()},
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return "app." + first + "".join(part.capitalize() for part in rest)
