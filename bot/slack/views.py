"""Answers -> Block Kit. Pure: facts in, `Message` out. Words that are sentences live in `templates/`, structure is built here.

Every message's `text` carries the same facts as its blocks: it is all that a lock screen or a screen reader gets. All
vendor text is escaped on its way in, so no alert can mention anybody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot import words
from bot.enrich.facts import CauseFacts, FailingCall, FailingService, IncidentFacts, MapFacts
from bot.graph.places import spoken
from bot.model import Alert, Message
from bot.moments import age
from bot.slack.budget import fit
from bot.slack.commands import BY_WORD, written
from bot.slack.measures import milliseconds, percent, was
from bot.slack.mrkdwn import date, escape, mention, truncate

Block = dict[str, Any]

SHOW_SERVICE = "topology_show"
RUN, SHARE = "topology_run", "topology_share"
"""Buttons: their value is a question as one would type it, answered to whoever clicks; or to the whole channel."""

ACKNOWLEDGE, SILENCE, END_SILENCE = "topology_acknowledge", "topology_silence", "topology_end_silence"
"""Buttons that order something: their value is an alert's fingerprint, or an incident's number and a silence's id."""

SHARE_INCIDENT = "topology_share_incident"
"""The button that shares the message it stands on; it needs no value."""

SILENCE_FORM, SHARE_FORM = "topology_silence_form", "topology_share_form"
"""The modals in which a silence is made, and an incident shared."""

MAX_VALUE = 2_000  # Slack's limit of a button's value
OPEN_LINK = "open_link"

_ORDERS = {
    ACKNOWLEDGE: ("pagerduty", "Acknowledge", ("open",)),
    SILENCE: ("alertmanager", "Silence …", ("open", "acknowledged")),
}
_SOURCES = {"alertmanager": "Alertmanager", "pagerduty": "PagerDuty"}
_STATE_SIGNS = {"open": "🔴", "acknowledged": "🟠", "resolved": "✅"}
_REASON_LENGTH = 160
_NAMES_SHOWN = 3
_SAME_DAY_SECONDS = 12 * 3_600.0


def section(text: str) -> Block:
    """A mrkdwn section."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": truncate(text, 3_000)}}


def context(text: str) -> Block:
    """One grey line."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": truncate(text, 3_000)}]}


def button(label: str, action: str, value: str) -> Block:
    """A button that the bot answers. `value` comes back with the click."""
    return {
        "type": "button", "text": {"type": "plain_text", "text": truncate(label, 75), "emoji": True},
        "action_id": action, "value": value[:2_000],
    }  # fmt: skip


def run_button(label: str, question: str, number: int = 0) -> list[Block]:
    """A button that asks something, unless the question is too long for one."""
    return [button(label, f"{RUN}_{number}", question)] if len(question) <= MAX_VALUE else []


def link_button(label: str, url: str, number: int) -> Block:
    """A button that opens a page. Slack reports the click all the same, under `open_link_N`."""
    return {
        "type": "button", "text": {"type": "plain_text", "text": truncate(label, 75), "emoji": True},
        "action_id": f"{OPEN_LINK}_{number}", "url": url,
    }  # fmt: skip


# -- the incident's root message -------------------------------------------------------------------------------------


def incident(facts: IncidentFacts, offered: Collection[str] = ()) -> Message:
    """The root message: what is failing, how badly, who is hit and who will be, who owns it, how complete the map is. `offered`
    are the orders that can be carried out (`ACKNOWLEDGE`, `SILENCE`, `SHARE_INCIDENT`)."""
    lines = [_headline(facts), _scope(facts)]
    if facts.state == "resolved":
        return _message(lines[0], [section(f"{lines[0]}\n{lines[1]}")], [lines[1]])
    body = _reading(facts)
    call = _call_owner(facts)
    blocks = [
        section("\n".join([lines[0], *call])),
        context(lines[1]),
        *(section("\n".join(body)) for _ in (1,) if body),
    ]
    buttons = [*_orders(facts, ACKNOWLEDGE, offered), *_buttons(facts), *_orders(facts, SILENCE, offered)]
    if SHARE_INCIDENT in offered:
        buttons.append(button("Share …", SHARE_INCIDENT, "share"))
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    footer = _footer(facts)
    blocks.append(context(footer))
    return _message(lines[0], blocks, [*call, lines[1], *body, footer])


def _call_owner(facts: IncidentFacts) -> list[str]:
    """Whom the first post calls; an edit has the name there (see `bot.slack.hush`)."""
    called = facts.manners
    return [f"For {mention(called.mention, truncate(called.mentioned, 80))}"] if called.mention else []


def _message(headline: str, blocks: Sequence[Block], lines: Sequence[str]) -> Message:
    return fit(Message("\n".join([headline, *lines]), tuple(blocks)))


def _headline(facts: IncidentFacts) -> str:
    sign = _STATE_SIGNS[facts.state]
    if not facts.services:
        return f"{sign} *{escape(facts.title)}* (the alert names no service)"
    first, more = facts.services[0], len(facts.services) - 1
    who = f"*{escape(first)}*{f' and {more} more' if more else ''}"
    if facts.state == "resolved":
        return f"{sign} {who} recovered"
    verb = "are" if more else "is"
    tail = " · acknowledged" if facts.state == "acknowledged" else ""
    return f"{sign} {who} {verb} failing{tail}{_cause(facts)}"


def _cause(facts: IncidentFacts) -> str:
    cause = facts.map.cause if facts.map else None
    if cause is None or not cause.service:
        return ""
    who = "itself" if cause.service == facts.services[0] else f"*{escape(spoken(cause.service))}*"
    return f" · likely cause: {who} ({100 * cause.p:.0f}%)"


def _scope(facts: IncidentFacts) -> str:
    """Magnitude, since when, who says so, where: one line."""
    parts = [part for service in (facts.map.services if facts.map else ())[:1] if (part := _magnitude(service))]
    if facts.state == "resolved" and facts.resolved_at is not None:
        minutes = max(0, round((facts.resolved_at - facts.opened_at) / 60))
        parts = [f"{clock(facts.opened_at, facts)} to {clock(facts.resolved_at, facts)} ({minutes} min)"]
        if facts.outcome is not None and facts.outcome.named:
            parts.append(f"likely cause: {escape(spoken(facts.outcome.named))}")
    else:
        parts.append(f"since {clock(facts.opened_at, facts)}")
    named = []
    for one in facts.sources:
        count = one.number or f"×{one.firing or one.total}"
        holder = f" with {escape(truncate(one.holder, 100))}" if one.holder else ""
        named.append(f"{_SOURCES.get(one.source, one.source)} {escape(count)}{holder}")
    parts.append(", ".join(named))
    parts += [escape(part) for part in (facts.environment, facts.severity) if part]
    return " · ".join(parts)


def _magnitude(service: FailingService) -> str:
    if not service.known or service.calls <= 0 or service.error_rate is None:
        return ""
    if service.failing == "latency" and service.p95_ms is not None:
        return f"p95 {was(milliseconds(service.p95_ms), milliseconds(service.usual_p95_ms))}"
    return f"errors {was(percent(service.error_rate), percent(service.usual_error_rate))}"


def _reading(facts: IncidentFacts) -> list[str]:
    """The lines that need the map, or why it could not be read."""
    # Where no service is known the headline has the title already.
    said = [f"_{escape(facts.title)}_"] if facts.services else []
    said += [escape(truncate(facts.summary, 300))] if facts.summary else []
    lines = [": ".join(said)] if said else []
    if facts.map is None:
        return [*lines, words.render("incident_plain.txt.j2", why=escape(facts.degraded)).strip()]
    found = facts.map
    lines += [_unknown(service) for service in found.services if not service.known]
    if any(service.known for service in found.services):
        lines.append(_radius(found))
    lines += _why(found.cause)
    if facts.degraded:
        lines.append(f"_{escape(facts.degraded)}: what it would have said is missing_")
    if found.failing_calls:
        lines.append("*Failing calls*: " + " · ".join(_call(call) for call in found.failing_calls[:_NAMES_SHOWN]))
    if owners := _owners(found):
        lines.append("*Owners*: " + " · ".join(owners))
    return lines


def _why(cause: CauseFacts | None) -> list[str]:
    """What speaks for the likely cause, or why none is named; who needs no looking at."""
    if cause is None:
        return []
    lines = []
    if cause.service and cause.evidence:
        reasons = " · ".join(escape(truncate(sentence, _REASON_LENGTH)) for sentence in cause.evidence)
        lines.append(f"*Why {escape(spoken(cause.service))}*: {reasons}")
    elif cause.why_none:
        lines.append(f"*Likely cause*: not named: {escape(truncate(cause.why_none, _REASON_LENGTH))}")
    judged = (("Ruled out", cause.ruled_out), ("Unknown", cause.unknown))
    named = [f"*{what}*{_listed(names, len(names))}" for what, names in judged if names]
    return [*lines, "    ".join(named)] if named else lines


def _radius(found: MapFacts) -> str:
    total = found.hit_count + found.at_risk_count
    beyond = "+" if found.truncated else ""
    if not total and len(found.services) > 1:
        return "*Hit now*: nobody beyond these is known to depend on them"
    if not total:
        return "*Hit now*: nobody is known to depend on it"
    hit = f"*Hit now* {found.hit_count} of {total}{beyond}" + _listed(found.hit, found.hit_count)
    risk = (
        f"*At risk* {found.at_risk_count}{beyond}" + _listed(found.at_risk, found.at_risk_count)
        if found.at_risk_count
        else ""
    )
    users = _listed(found.entry_points, len(found.entry_points))
    return "    ".join(part for part in (hit, risk, f"*Users come in at*{users}" if users else "") if part)


def _listed(names: Sequence[str], count: int) -> str:
    if not names:
        return ""
    shown = [escape(name) for name in names[:_NAMES_SHOWN]]
    more = count - len(shown)
    return ": " + ", ".join(shown) + (f", +{more}" if more > 0 else "")


def _call(call: FailingCall) -> str:
    arrow = f"{escape(call.caller)} → {escape(call.callee)}"
    if call.failing == "latency" and call.p95_ms is not None:
        return f"{arrow} p95 {was(milliseconds(call.p95_ms), milliseconds(call.usual_p95_ms))}"
    return f"{arrow} errors {was(percent(call.error_rate), percent(call.usual_error_rate))}"


def _owners(found: MapFacts) -> list[str]:
    """Who owns what; services of one owner together. Of a name that is on no map another line says that nobody knows."""
    nowhere = {service.name for service in found.services if not service.known}
    together: dict[tuple[str, str], list[str]] = {}
    for service, who, note in found.owners:
        if who or service not in nowhere:
            together.setdefault((who, "" if who else note), []).append(escape(service))
    return [_owner(", ".join(services), who, note) for (who, note), services in together.items()]


def _owner(services: str, who: str, note: str) -> str:
    if who:
        return f"{services} → {escape(who)}"
    return f"{services}: no owner known" + (f"; {escape(note)}" if note else "")


def _unknown(service: FailingService) -> str:
    closest = ", ".join(escape(name) for name in service.closest)
    first = escape(service.closest[0]) if service.closest else ""
    return words.render("incident_unknown.txt.j2", name=escape(service.name), closest=closest, first=first).strip()


def _orders(facts: IncidentFacts, order: str, offered: Collection[str]) -> list[Block]:
    source, label, state = _ORDERS[order]
    found = [one.reference for one in facts.sources if one.source == source and one.firing and one.reference]
    if order not in offered or facts.state not in state:
        return []
    return [button(label, order, reference) for reference in found[:1] if len(reference) <= MAX_VALUE]


def _buttons(facts: IncidentFacts) -> list[Block]:
    buttons: list[Block] = []
    known = [service.name for service in (facts.map.services if facts.map else ()) if service.known]
    if known:
        buttons.append(button(f"Show {known[0]}", SHOW_SERVICE, known[0]))
        buttons += run_button("Show map", written(BY_WORD["map"], [known[0]]), 3)
    cause = facts.map.cause.service if facts.map is not None and facts.map.cause is not None else ""
    if cause and facts.services:
        buttons += run_button("Not this cause", written(BY_WORD["reject"], [facts.services[0], cause]), 2)
    doubtful = [service for service in (facts.map.services if facts.map else ()) if service.closest]
    for service in doubtful[:1]:
        pair = service.name, service.closest[0]
        buttons += run_button(f"Yes, it is {pair[1]}", written(BY_WORD["alias"], pair))
        buttons += run_button("No", written(BY_WORD["unlike"], pair), 1)
    for number, (label, url) in enumerate((("Runbook ↗", facts.runbook), ("Alert ↗", facts.link))):
        if url.startswith(("http://", "https://")) and len(url) <= 3_000:
            buttons.append(link_button(label, url, number))
    return buttons


def _footer(facts: IncidentFacts) -> str:
    parts = []
    if facts.map is not None:
        parts.append(freshness(facts.map.layers))
        if facts.map.reporters:
            parts.append(coverage_words(facts.map.reporting, facts.map.reporters, facts.map.silent))
    return " · ".join([*parts, f"updated {clock(facts.updated_at, facts)}"])


def freshness(layers: Mapping[str, float]) -> str:
    """`traces 40 s` for each layer that reports; says so where none ever did."""
    if not layers:
        return "no telemetry has arrived yet"
    return " · ".join(f"{'traces' if layer == 'trace' else layer} {age(seconds)}" for layer, seconds in layers.items())


def coverage_words(reporting: int, services: int, silent: Sequence[tuple[str, float]]) -> str:
    """`7 of 9 services reported in the last 2 min; silent: ledger (20 min)`."""
    text = f"{reporting} of {services} services reported in the last 2 min"
    if not silent:
        return text
    shown = ", ".join(f"{escape(name)} ({age(seconds)})" for name, seconds in silent[:_NAMES_SHOWN])
    more = services - reporting - min(len(silent), _NAMES_SHOWN)
    return f"{text}; silent: {shown}" + (f", +{more}" if more > 0 else "")


def forwarded(alerts: Sequence[Alert], why: str) -> Message:
    """Alerts that could not be worked, plain: an alert is never lost."""
    titles = [f"*{escape(alert.title)}* {escape(truncate(alert.summary, 200))}".strip() for alert in alerts[:10]]
    more = len(alerts) - len(titles)
    lines = titles + ([f"and {more} more"] if more > 0 else []) or ["a delivery that could not be read"]
    plain = words.render("incident_plain.txt.j2", why=escape(why)).strip()
    return _message("🔴 Alert", [section("🔴 " + "\n".join([*lines, plain]))], [*lines, plain])


def clock(at: float, facts: IncidentFacts) -> str:
    """A time as the reader's own clock shows it; with the day only where that is not the day the message speaks of."""
    if facts.updated_at - at >= _SAME_DAY_SECONDS:
        return date(at)
    return date(at, datetime.fromtimestamp(at, UTC).strftime("%H:%M UTC"), "{time}")
