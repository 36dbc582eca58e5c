"""The families of evidence: each a small function from what is known to sentences with weights.

Every family saturates, so that none wins by repeating itself; the weights are few, set by hand, the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot import moments
from bot.enrich.causes import calls
from bot.enrich.causes.anomalies import Anomalies, Anomaly, together
from bot.enrich.causes.effects import Effect, Effects, effects
from bot.enrich.causes.metric_kinds import Family, MetricTable, spelled
from bot.enrich.causes.situation import Event, Situation, callers_of

WEIGHTS: Mapping[str, float] = {
    "effect": 4.0,
    "shared place": 4.0,
    "about itself": 1.8,
    "logs": 1.5,
    "resource": 1.4,
    "calls": 1.2,
    "gap": 1.0,
    "stopped calling": 1.0,
    "traffic": 0.8,
    "silence": 0.8,
    "network": 0.7,
    "alert": 0.7,
    "symptom": 0.6,
    "change": 0.6,
    "other": 0.5,
    "alerting": 0.2,
}
"""What a family's full strength adds to a candidate's score."""

_SYMPTOMS = (Family.LATENCY, Family.ERRORS)
_EACH = 0.7
_OUTBOUND = 0.35
_WORTH_SAYING = 0.15
_CHANGE_FADES = 3_600.0
_AFTER = 120.0
_LATE_CHANGE = 0.2
_UNITS = {"_ms": " ms", "_seconds": " s", "_s": " s", "_bytes": " bytes"}
_CHANGE_UNDATED = 0.7
_FORGOTTEN = 0.02


@dataclass(frozen=True, slots=True)
class Evidence:
    """One family's word on one service: `strength` 0..1, and a sentence with its numbers ('' where too weak to say)."""

    service: str
    family: str
    strength: float
    sentence: str = ""

    @property
    def weight(self) -> float:
        """What it adds to the score."""
        return WEIGHTS[self.family] * self.strength


def gather(situation: Situation, found: Anomalies, table: MetricTable) -> Iterator[Evidence]:
    """All evidence there is."""
    yield from _effects(situation, found, table)
    yield from _symptoms(situation, found)
    yield from _unusual(situation, found)
    yield from _calls(situation)
    yield from _traffic(situation, found)
    yield from _changes(situation)
    yield from _alerts(situation)
    yield from _alerting(situation, table)


def _effects(situation: Situation, found: Anomalies, table: MetricTable) -> Iterator[Evidence]:
    """Failures and time that a service makes itself, beyond what those it calls explain."""
    best: dict[str, Evidence] = {}
    for family in _SYMPTOMS:
        made = effects(situation, found, table, family)
        weight = _concern(situation, found, table, family)
        for service, effect in made.by_service.items():
            strength = math.sqrt(made.share(service)) * max(effect.strength, effect.gap_strength) * weight
            if service not in best or strength > best[service].strength:
                best[service] = Evidence(
                    service,
                    "effect",
                    strength,
                    _effect_sentence(made, service, effect, strength, service in found.silent),
                )
            if effect.gap_strength:
                sentence = (
                    f"calls with {service} take longer than the other end says" if effect.gap_strength > 0.5 else ""
                )
                yield Evidence(service, "gap", effect.gap_strength * weight, sentence)
    yield from best.values()


def _concern(situation: Situation, found: Anomalies, table: MetricTable, family: Family) -> float:
    """How much a family matters to this alert: what it is about, as far as that shows; else what shows instead."""
    named = table.kind(situation.metric).family
    here = max((one.strength for one in found.of(situation.service, family) if not one.outbound), default=0.0)
    if named is family:
        return 0.5 + 0.5 * here
    return 0.6 * here if named in _SYMPTOMS else max(0.7, 0.6 * here)


def _effect_sentence(made: Effects, service: str, effect: Effect, strength: float, silent: bool) -> str:
    if strength < _WORTH_SAYING:
        return ""
    share = f"{100 * made.share(service):.0f}% of the trouble in view"
    if silent and effect.laid_by:
        return f"{effect.laid_by}, which calls it, has {share} and nothing else that explains it"
    if effect.shown is None or effect.shown.found is None:
        if effect.laid_by:
            return f"nobody counts its failures; {effect.laid_by}, which calls it, fails and nothing else explains it"
        return f"makes {share} between itself and its peers"
    return f"{numbers(effect.shown)}; {share}, not explained by what it calls"


def _symptoms(situation: Situation, found: Anomalies) -> Iterator[Evidence]:
    """Slowness and failures that were noticed without numbers (those with numbers are in the effects)."""
    for service in situation.services:
        for family in _SYMPTOMS:
            noticed = [one for one in found.of(service, family) if one.found is None]
            strength = together([one.weight * (_OUTBOUND if one.outbound else _EACH) for one in noticed])
            if strength:
                yield Evidence(service, "symptom", strength, _listing(noticed, strength))


def _unusual(situation: Situation, found: Anomalies) -> Iterator[Evidence]:
    """Everything else that is unusual: resources, traffic, network, logs, and what no name explains."""
    for service in situation.services:
        for family in (Family.RESOURCE, Family.TRAFFIC, Family.NETWORK, Family.LOGS, Family.OTHER):
            noticed = [one for one in found.of(service, family) if not one.outbound]
            strength = together([one.weight * _EACH for one in noticed])
            if strength:
                yield Evidence(service, family.value, strength, _listing(noticed, strength))


def _calls(situation: Situation) -> Iterator[Evidence]:
    for service, strength in calls.blamed(situation).items():
        sentence = f"slow or failed calls point to {service}" if strength >= _WORTH_SAYING else ""
        yield Evidence(service, "calls", strength, sentence)


def _traffic(situation: Situation, found: Anomalies) -> Iterator[Evidence]:
    """Traffic that vanished: a service that fell silent while its callers are asked as ever, or that stopped calling."""
    lost = {service: _lost(found, service) for service in situation.services}
    callers = callers_of(situation.callees)
    for service, quiet in sorted(found.silent.items()):
        yield Evidence(service, "silence", 1.0, f"{service} has reported nothing for {quiet / 60:.0f} min")
    for service in situation.services:
        own = lost[service]
        if own is None or service in found.silent:
            continue
        asked = [
            each for one in situation.callees.get(service, ()) if one != service and (each := lost[one]) is not None
        ]
        stopped = sum(asked) / len(asked) - own if asked else 0.0
        if stopped > 0:
            yield Evidence(
                service,
                "stopped calling",
                stopped,
                f"{service} is asked as ever, but calls others less" if stopped > 0.3 else "",
            )
        asking = [each for one in callers.get(service, ()) if (each := lost[one]) is not None]
        silent = own - max(asking) if asking else 0.0
        if silent > 0:
            yield Evidence(
                service, "silence", silent, f"{service} is asked much less, its callers are not" if silent > 0.3 else ""
            )


def _lost(found: Anomalies, service: str) -> float | None:
    """How unusual a service's loss of requests is, 0..1; None where nobody counts them."""
    if service not in found.counted:
        return None
    lost = (one for one in found.of(service, Family.TRAFFIC) if one.direction < 0 and not one.outbound and one.found)
    return max((one.strength for one in lost), default=0.0)


def _changes(situation: Situation) -> Iterator[Evidence]:
    """What was changed shortly before. The more recent, the stronger; what came after explains nothing."""
    best: dict[str, tuple[float, Event]] = {}
    for event in situation.events:
        if event.kind != "change":
            continue
        strength = _CHANGE_UNDATED if event.at is None else _recent(situation.at - event.at)
        if strength > best.get(event.service, (_FORGOTTEN, event))[0]:
            best[event.service] = (strength, event)
    for service, (strength, event) in sorted(best.items()):
        when = "" if event.at is None else f" {age(situation.at - event.at)}"
        yield Evidence(service, "change", strength, f"changed{when}: {event.name}")


def _recent(seconds: float) -> float:
    return _LATE_CHANGE if seconds < -_AFTER else math.exp(-max(0.0, seconds) / _CHANGE_FADES)


def _alerts(situation: Situation) -> Iterator[Evidence]:
    firing: dict[str, list[Event]] = {}
    for event in situation.events:
        if event.kind == "alert":
            firing.setdefault(event.service, []).append(event)
    for service, events in sorted(firing.items()):
        named = ", ".join(sorted({event.name for event in events if event.name})[:3])
        since = min((event.at for event in events if event.at is not None), default=None)
        when = "" if since is None else f", {age(situation.at - since)}"
        yield Evidence(service, "alert", 1.0, f"alerts itself{when}{': ' + named if named else ''}")


def _alerting(situation: Situation, table: MetricTable) -> Iterator[Evidence]:
    """The alerting service itself: all the more where the alert is not about requests but about something of its own."""
    kind = table.kind(situation.metric)
    measured = any(one.name == situation.metric for one in situation.measured.get(situation.service, ()))
    if measured and (kind.family not in _SYMPTOMS or kind.outbound):
        yield Evidence(situation.service, "about itself", 1.0, f"the alert is about its own {situation.metric}")
    else:
        yield Evidence(situation.service, "alerting", 1.0)


def _listing(noticed: Sequence[Anomaly], strength: float) -> str:
    if strength < _WORTH_SAYING:
        return ""
    first = sorted(noticed, key=lambda one: (-one.weight, one.name))[:3]
    return ", ".join(numbers(one) for one in first if one.weight >= _WORTH_SAYING / 2)


def numbers(one: Anomaly) -> str:
    """An anomaly in words: `latency p95 320 ms (usually 25 ms)`, `20% of requests fail (usually 0.1%)`."""
    text = spelled(one.name)
    if one.found is None:
        return f"{text.replace('_', ' ')} {('falls' if one.direction < 0 else 'rises') if one.direction else 'noticed'}"
    now, usual = one.found.now, one.found.usual
    if one.family is Family.ERRORS and one.ratio:
        return f"{_percent(now)} of requests fail (usually {_percent(usual)})"
    unit = next((unit for ending, unit in _UNITS.items() if text.endswith(ending)), "")
    label = text.removesuffix(next((ending for ending in _UNITS if text.endswith(ending)), "")).replace("_", " ")
    return f"{label} {_short(now)}{unit} (usually {_short(usual)}{unit})"


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f}%" if percent >= 10 else f"{percent:.2g}%"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def age(seconds: float) -> str:
    """`12 min before`, `3 h before`, `1 min after`."""
    return f"{moments.age(abs(seconds))} {'before' if seconds >= 0 else 'after'}"
