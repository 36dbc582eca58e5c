"""Folds open incidents together that turn out to be one: a deeper cause alerts, and what was two headlines is one.

Comes in: an incident that has just changed. Goes out: the older of the two with the alerts of both, its thread told why; the
younger is over, and its message points to the other. One transaction each, so that a kill leaves both as they were or as they should be.
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from bot import metrics
from bot.enrich.facts import stored_cause
from bot.enrich.manners import Manners
from bot.enrich.thread_evidence import Evidence
from bot.enrich.thread_lines import Joining
from bot.incidents.case import Case
from bot.incidents.correlate import Same
from bot.incidents.gathering import in_order
from bot.incidents.path import run
from bot.incidents.steps import AlertPath, Step
from bot.storage.alert_records import Folded, Outcome, Queued
from bot.storage.outbox_store import ROOT_KEY

MOST = 50
"""Incidents folded in one go."""

log = structlog.get_logger(__name__)


async def fold(path: AlertPath, incident_id: int, now: float) -> bool:
    """Fold whatever turns out to be one with an incident; says whether anything was."""
    folded = False
    for _ in range(MOST):
        found = path.opens.same_as(incident_id)
        if found is None or not await _fold(path, found, now):
            break
        folded, incident_id = True, found.older
    return folded


async def _fold(path: AlertPath, found: Same, now: float) -> bool:
    store, opens = path.store, path.opens
    older, younger = await store.incident(found.older), await store.incident(found.younger)
    case = Case(None, now, Outcome(None, now, "folded"), incident=older)
    moved = [replace(one, incident_id=older.id) for one in await opens.members(store, younger.id)]
    case.members = in_order([*await opens.members(store, older.id), *moved])
    case.cause, case.evidence = stored_cause(older.facts), Evidence.stored(older.facts)
    case.folds = [Joining(moved[0].service or moved[0].named, younger.title, found.reason, folded=True)]
    case.decided("correlate", "folded", f"incident {younger.id}: {found.reason}")
    facts = dict(younger.facts) | {"state": "resolved", "folded_into": older.id}
    values = {"state": "resolved", "resolved_at": now, "updated_at": now, "facts": facts}
    case.outcome.folded.append(Folded(younger.id, values))
    manners = Manners.stored(younger.facts)
    case.taken = manners.courtesies
    if not manners.held:  # else there is no message that could point to the other
        case.shown = f"incident {younger.id}, which is part of it, is posted already"
        services = [str(one) for one in younger.facts.get("services", ())]
        words = path.words.folded(services, younger.title, older.id, older.title, found.reason)
        channel = younger.facts.get("channel") or path.channel
        case.messages.append(Queued(ROOT_KEY.format(incident=younger.id), channel, words))
    steps = (
        Step("enrich", path.enrich, essential=False),
        Step("decide", path.decide),
        Step("courtesy", path.tell_others, essential=False),
        Step("notify", path.notify),
    )
    _, error = await run(steps, case)
    if error is not None:
        return False
    opens.drop(younger.id)
    path.tell(younger.id, "resolved", younger.title)
    metrics.INCIDENTS_FOLDED.inc()
    log.info("incidents folded together", into=older.id, folded=younger.id, reason=found.reason)
    return True
