"""Carries out what the incident message's buttons order: acknowledge in PagerDuty, silence in Alertmanager.

Comes in: an alert of the incident, as the button names it, and who clicked. Goes out: the order, to the alert's source; an answer
to whoever gave it; and a decision in the incident's log, so that it can be said later who did what. Only members of the workspace
give orders. A button of a message that is out of date finds nothing to do, and says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from bot import metrics
from bot.actions import Acknowledger, Silencer, covering
from bot.errors import AmbiguousDeliveryError, DeliveryError
from bot.model import Alert, AlertStatus, Message
from bot.sinks import Sink
from bot.slack import order_views as views
from bot.slack.modal_views import View, told, waiting
from bot.slack.mrkdwn import escape
from bot.slack.people import People, Person
from bot.storage.alert_records import Outcome, Verdict
from bot.storage.alert_store import AlertStore
from bot.storage.incident_reader import IncidentReader

MAX_INCIDENTS = 20
"""Incidents of PagerDuty that one click acknowledges."""

_SILENCES = "No Alertmanager is set to keep silences in (`TOPOLOGY_BOT_ALERTMANAGER_URL`)."
_UNSET = {
    "acknowledge": "No PagerDuty user is set to write as (`PAGERDUTY_FROM`), so nobody can be told.",
    "silence": _SILENCES,
    "end silence": _SILENCES,
}

log = structlog.get_logger(__name__)


class Modals(Protocol):
    """See `bot.slack.modals`. Raises DeliveryError."""

    async def open(self, trigger: str, view: Mapping[str, Any]) -> str:
        """Show a modal; gives its id."""
        ...

    async def update(self, view_id: str, view: Mapping[str, Any]) -> None:
        """Show something else in it."""
        ...


@dataclass(frozen=True, slots=True)
class Orders:
    """Needs one of `acknowledger` and `silencer` at least; what is not there is refused."""

    reader: IncidentReader
    alerts: AlertStore
    people: People
    sink: Sink
    modals: Modals
    acknowledger: Acknowledger | None
    silencer: Silencer | None

    async def acknowledge(self, reference: str, user: str) -> Message:
        """[Acknowledge]: `take` the incident that an alert of PagerDuty's belongs to."""
        return await self.take(await self.reader.of_alert(reference), user)

    async def take(self, incident: int | None, user: str) -> Message:
        """Acknowledge every incident of PagerDuty's that still fires in one of ours; says what became of each."""
        person = await self.people.of(user)
        if person.barred or self.acknowledger is None:
            return self._refused("acknowledge", person)
        firing = await self._firing("pagerduty", incident)
        if incident is None or not firing:
            return views.said("Nothing of this fires in PagerDuty any more.")
        lines = await asyncio.gather(*(self._acknowledge(one, person) for one in firing[:MAX_INCIDENTS]))
        for line in lines:
            await self.note(incident, "acknowledge", person, line)
        return views.said("\n".join(lines))

    async def _acknowledge(self, alert: Alert, person: Person) -> str:
        number = escape(alert.number or alert.fingerprint)
        if self.acknowledger is None or alert.status is AlertStatus.ACKNOWLEDGED:
            return f"PagerDuty {number} is acknowledged already."
        try:
            name = await self.acknowledger.acknowledge(alert.source, alert.fingerprint, person.email)
        except DeliveryError as error:
            return f"PagerDuty {number} was not acknowledged: {views.why(str(error))}."
        return views.acknowledged(number, name, own=name == person.email)

    async def ask(self, trigger: str, reference: str, place: tuple[str, str], user: str) -> Message | None:
        """[Silence]: a form that shows what a silence would cover; nothing is silenced yet. A message where no form can be shown.

        `place` is the clicked message's channel and ts. The form opens empty, since Slack waits for three seconds only.
        """
        try:
            view_id = await self.modals.open(
                trigger, waiting(views.SILENCE_TITLE, "Looking up what a silence would cover")
            )
        except DeliveryError as error:
            log.warning("a form could not be opened", why=str(error))
            metrics.COMMANDS.labels("not delivered").inc()
            return views.said("The form could not be opened. Please click again.")
        await self.show(view_id, await self._form(reference, place, user))
        return None

    async def _form(self, reference: str, place: tuple[str, str], user: str) -> View:
        person = await self.people.of(user)
        if person.barred or self.silencer is None:
            return told(views.SILENCE_TITLE, self._refused("silence", person).text)
        incident = await self.reader.of_alert(reference)
        firing = await self._firing("alertmanager", incident)
        if incident is None or not firing:
            return told(views.SILENCE_TITLE, "Nothing of this fires in Alertmanager any more.")
        try:
            scope = await self.silencer.scope(covering([one.labels for one in firing]))
        except DeliveryError as error:
            return told(
                views.SILENCE_TITLE,
                f"Alertmanager cannot be asked what a silence would cover: {views.why(str(error))}.",
            )
        kept = views.kept(incident, scope.matchers, *place)
        if not kept:
            return told(
                views.SILENCE_TITLE,
                "These alerts have more labels than a silence from here can hold: make it in Alertmanager.",
            )
        return views.form(scope, kept)

    async def silence(self, view: Mapping[str, Any], user: str) -> View:
        """The form came back: make the silence, and say so in the incident's thread; gives what the form is to show now."""
        person = await self.people.of(user)
        if person.barred or self.silencer is None:
            return told(views.SILENCE_TITLE, self._refused("silence", person).text)
        try:
            incident, matchers, channel, ts = views.unkept(str(view.get("private_metadata") or ""))
            seconds, comment = views.chosen(view)
        except ValueError as error:
            log.warning("a form came back that cannot be read", why=str(error))
            return told(views.SILENCE_TITLE, "The form could not be read. Nothing was silenced.")
        now = time.time()
        end = now + seconds
        try:
            made = await self.silencer.silence(matchers, now, end, str(person), comment)
        except AmbiguousDeliveryError as error:
            doubt = f"Whether the silence was made is not known ({views.why(str(error))}): look in Alertmanager."
            await self.note(incident, "silence", person, doubt)
            return told(views.SILENCE_TITLE, doubt)
        except DeliveryError as error:
            failed = f"Nothing was silenced: Alertmanager does not take it ({views.why(str(error))})."
            await self.note(incident, "silence", person, failed)
            return told(views.SILENCE_TITLE, failed)
        words = ", ".join(f"{one.name}={one.value}" for one in matchers)
        await self.note(incident, "silence", person, f"{made} for {seconds:.0f} s: {words}")
        message = views.silenced(matchers, end, str(person), comment, f"{incident} {made}")
        return told(views.SILENCE_TITLE, await self._tell(made, channel, ts, message))

    async def _tell(self, silence_id: str, channel: str, ts: str, message: Message) -> str:
        try:
            await self.sink.post(key=f"silence:{silence_id}", channel=channel, message=message, thread_ts=ts)
        except DeliveryError as error:
            log.warning("a silence could not be told of", silence=silence_id, why=str(error))
            metrics.COMMANDS.labels("not delivered").inc()
            return f"{message.text}\nIt could not be told in the incident's thread: please say so there."
        return f"{message.text}\nThe incident's thread says so, too."

    async def end(self, reference: str, user: str) -> tuple[Message, bool]:
        """[End the silence]: the answer, and whether it is ended. `reference`: the incident, and the silence's id."""
        incident, _, silence_id = reference.partition(" ")
        person = await self.people.of(user)
        if person.barred or self.silencer is None:
            return self._refused("end silence", person), False
        try:
            await self.silencer.expire(silence_id)
        except DeliveryError as error:
            failed = f"The silence was not ended: {views.why(str(error))}."
            await self.note(int(incident), "end silence", person, f"{silence_id}: {failed}")
            return views.said(failed), False
        await self.note(int(incident), "end silence", person, silence_id)
        return views.ended(str(person), time.time()), True

    async def _firing(self, source: str, incident: int | None) -> list[Alert]:
        """What still fires of a source in an incident."""
        if incident is None:
            return []
        members = [one.alert for one in await self.alerts.alerts_of(incident)]
        return [one for one in members if one.source == source and one.status is not AlertStatus.RESOLVED]

    async def show(self, view_id: str, view: View) -> None:
        """Change what a form shows."""
        try:
            await self.modals.update(view_id, view)
        except DeliveryError as error:  # closed meanwhile, mostly
            log.info("a form could not be changed", why=str(error))

    def _refused(self, what: str, person: Person) -> Message:
        metrics.COMMANDS.labels("refused").inc()
        log.warning("order refused", what=what, user=person.id, why=person.barred or "not set")
        return views.said(person.barred or _UNSET[what])

    async def note(self, incident: int, what: str, person: Person, outcome: str) -> None:
        """Write into an incident's log who ordered what, and what came of it."""
        metrics.COMMANDS.labels(what).inc()
        log.info("order from Slack", what=what, user=person.id, incident=incident, outcome=outcome)
        done = Outcome(None, time.time(), "", incident_id=incident)
        done.verdicts.append(Verdict(what, "ordered", f"by {person}: {outcome}"))
        await self.alerts.commit(done, [])
