"""The facts of an incident -> the note that a responder reads in PagerDuty, in plain text. Pure.

The note says what the Slack message says, in the same order, in at most `MAX_TEXT` characters: PagerDuty states no limit,
and a phone shows little more. What is cut is cut from the end of the middle; the headline and the last line always stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from bot.enrich.facts import FailingService, IncidentFacts, MapFacts
from bot.model import PAGERDUTY_SCHEME, Alert, Message
from bot.moments import age
from bot.pagerduty.fields import cause_words, listed, short, values

MARK = "[topology-bot]"
"""The last word of every note of ours: by it a post whose answer was lost is found again."""

MAX_TEXT = 2_000
MAX_INCIDENTS = 20
"""Incidents of PagerDuty that one incident of ours keeps a note on; a storm must not fill an account with notes."""

_LINE = 300

OutboxNote = tuple[str, str, Message]
"""Key, channel and content of one row of the outbox."""


def notes(facts: IncidentFacts, alerts: Sequence[Alert], fields: Sequence[tuple[str, str]]) -> list[OutboxNote]:
    """What PagerDuty should say now on each of its incidents among `alerts`; `fields`: a custom field's name, and its fact."""
    found = dict.fromkeys(one.fingerprint for one in alerts if one.source == "pagerduty")
    if not found:
        return []
    message = Message(text(facts), ({"custom_fields": values(facts, fields)},) if fields else ())
    return [
        (f"{PAGERDUTY_SCHEME}{one}:note", f"{PAGERDUTY_SCHEME}{one}", message) for one in list(found)[-MAX_INCIDENTS:]
    ]


def text(facts: IncidentFacts) -> str:
    """The note."""
    first, last = _headline(facts), f"updated {_clock(facts.updated_at)} {MARK}"
    lines: list[str] = []
    room = MAX_TEXT - len(first) - len(last) - 2
    for line in _lines(facts):
        shown = short(line, _LINE)
        room -= len(shown) + 1
        if room < 0:
            break
        lines.append(shown)
    return "\n".join([first, *lines, last])


def _headline(facts: IncidentFacts) -> str:
    if not facts.services:
        return short(f"{facts.title} (the alert names no service)", _LINE)
    more = len(facts.services) - 1
    who = facts.services[0] + (f" and {more} more" if more else "")
    if facts.state == "resolved":
        return short(f"{who} recovered", _LINE)
    taken = " (acknowledged)" if facts.state == "acknowledged" else ""
    return short(f"{who} {'are' if more else 'is'} failing{taken}. Likely cause: {cause_words(facts)}", _LINE)


def _lines(facts: IncidentFacts) -> list[str]:
    if facts.state == "resolved" and facts.resolved_at is not None:
        minutes = max(0, round((facts.resolved_at - facts.opened_at) / 60))
        return [f"{_clock(facts.opened_at)} to {_clock(facts.resolved_at)} ({minutes} min)"]
    about = [_magnitude(one) for one in (facts.map.services if facts.map else ())[:1]]
    about += [
        f"since {_clock(facts.opened_at)}",
        *(f"{one.source} ×{one.firing or one.total}" for one in facts.sources),
    ]
    lines = [", ".join(part for part in (*about, facts.environment) if part)]
    if facts.map is None:
        return [*lines, f"The map could not be read: {facts.degraded or 'no reason given'}."]
    return [*lines, *_map_lines(facts.map), *([f"Runbook: {facts.runbook}"] if facts.runbook else [])]


def _map_lines(found: MapFacts) -> list[str]:
    lines = []
    cause = found.cause
    if cause is not None:
        lines += [f"Why {cause.service}: {'; '.join(cause.evidence)}"] if cause.service and cause.evidence else []
        lines += [f"Ruled out: {listed(cause.ruled_out)}"] if cause.ruled_out else []
        lines += [f"Unknown: {listed(cause.unknown)}"] if cause.unknown else []
    lines += [f"{one.name} is not on the map{_closest(one)}" for one in found.services if not one.known]
    lines.append(_radius(found))
    owners = [
        f"{service}: {who or 'no owner known' + (f' ({note})' if note else '')}" for service, who, note in found.owners
    ]
    lines += [f"Owners: {', '.join(owners)}"] if owners else []
    if found.reporters:
        lines.append(f"{found.reporting} of {found.reporters} services reported in the last 2 min{_ages(found)}")
    return lines


def _radius(found: MapFacts) -> str:
    total, beyond = found.hit_count + found.at_risk_count, "+" if found.truncated else ""
    if not total:
        return "Hit now: nobody is known to depend on it"
    hit = f"Hit now {found.hit_count} of {total}{beyond}" + (
        f": {listed(found.hit, found.hit_count)}" if found.hit else ""
    )
    if not found.at_risk:
        return hit
    return f"{hit}. At risk {found.at_risk_count}{beyond}: {listed(found.at_risk, found.at_risk_count)}"


def _magnitude(one: FailingService) -> str:
    if not one.known or one.error_rate is None:
        return ""
    usual = "" if one.usual_error_rate is None else f" (was {100 * one.usual_error_rate:.1f}%)"
    return f"errors {100 * one.error_rate:.1f}%{usual}"


def _closest(one: FailingService) -> str:
    return f"; did it mean {listed(one.closest)}?" if one.closest else ""


def _ages(found: MapFacts) -> str:
    return "".join(f", {layer} {age(seconds)} ago" for layer, seconds in found.layers.items())


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M UTC")
