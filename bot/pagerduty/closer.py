"""Asks PagerDuty what a new incident's webhook leaves out: its alerts' labels, and the changes PagerDuty relates to it.

An alert comes in; the same alert with more labels and more names goes out, after `PATIENCE` seconds at most, and at once where
its service is known surely. What cannot be had in that time the alert goes on without. After a failure nobody is asked for
`REST` seconds, so that a PagerDuty that is down costs a storm of alerts one short wait and not thousands. Changes are asked
for later, by `tend`, since no message waits for them. What is lost, and counted: incidents beyond `MAX_WAITING` whose changes
nobody has asked for yet, the oldest first.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog

from bot import metrics
from bot.changes import pagerduty as change_events
from bot.errors import BadRequest, DeliveryError, Overloaded, PermanentDeliveryError
from bot.model import Alert, AlertStatus, Change
from bot.pagerduty.alert_body import MAX_ALERTS, hints_of, labels_of
from bot.pagerduty.client import PagerDuty, identifier, verdict
from bot.sinks import Verdict

PATIENCE = 1.0
REST = 60.0
MAX_WAITING = 500

log = structlog.get_logger(__name__)


class Closer:
    """`keep` takes the changes found. `clock` is steady, in seconds."""

    def __init__(
        self,
        api: PagerDuty,
        keep: Callable[[Sequence[Change]], Awaitable[object]],
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._keep = keep
        self._patience = patience
        self._clock = clock
        self._resting_until = 0.0
        self._unasked: deque[str] = deque(maxlen=MAX_WAITING)
        self.problem = ""
        """Why the last question found no answer; '' where it did."""

    async def look(self, alert: Alert, surely_known: bool) -> Alert:
        """The alert with what its own alerts say, or as it was."""
        if alert.status is AlertStatus.RESOLVED:
            return alert
        self._ask_later(alert.fingerprint)
        if surely_known or self._clock() < self._resting_until:
            return alert
        try:
            async with asyncio.timeout(self._patience):
                path = f"/incidents/{identifier(alert.fingerprint)}/alerts"
                alerts = await self._api.pages(path, "alerts", MAX_ALERTS)
        except (DeliveryError, TimeoutError) as error:
            if not _of_one_incident(error):
                self._rest(alert.fingerprint, str(error) or f"no answer within {self._patience:g} s")
            return alert
        self.problem = ""
        names, labels = hints_of(alerts), labels_of(alerts)
        if not names and not labels:
            return alert
        # PagerDuty's service id, where the catalogue has it, is surer than a label; its display name is not.
        sure = tuple(hint for hint in alert.service_hints if hint.opaque)
        rest = tuple(hint for hint in alert.service_hints if not hint.opaque)
        return replace(alert, service_hints=(*sure, *names, *rest), labels={**labels, **alert.labels})

    async def tend(self) -> None:
        """Ask for the changes that PagerDuty relates to the incidents seen since the last call."""
        while self._unasked and self._clock() >= self._resting_until:
            incident = self._unasked.popleft()
            try:
                answer = await self._api.get(f"/incidents/{identifier(incident)}/related_change_events")
                self.problem = ""
                await self._keep(change_events.listed(answer, time.time()))
            except (PermanentDeliveryError, BadRequest, Overloaded) as error:
                # An extra: plans may lack it, and the alert is out.
                log.info("no related changes", incident=incident, why=str(error))
            except DeliveryError as error:
                self._ask_later(incident)
                self._rest(incident, str(error))

    def _ask_later(self, incident: str) -> None:
        if len(self._unasked) == MAX_WAITING:
            metrics.CHANGES_DROPPED.labels("too many incidents to ask for").inc()
        self._unasked.append(incident)

    def _rest(self, incident: str, why: str) -> None:
        self._resting_until = self._clock() + REST
        self.problem = why
        log.warning("PagerDuty could not be asked about an incident", incident=incident, why=why)


def _of_one_incident(error: Exception) -> bool:
    """Whether another incident may be told of all the same: this one is another account's, or gone."""
    return isinstance(error, PermanentDeliveryError) and verdict(error.code) is Verdict.GONE
