"""What the bot does at the alerts' sources, put together: PagerDuty's notes, states and service graph, Alertmanager's silences.

Without an API token PagerDuty's part is absent; with one, incidents are read more closely; with a user to write as, too, notes
are written by a sender of their own, so that a PagerDuty that is down holds up nothing but its own notes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.actions import Acknowledger, Silencer
from bot.alertmanager_api import AlertmanagerApi
from bot.change_intake import ChangeIntake
from bot.enrich.facts import IncidentFacts
from bot.enrich.view import MapView
from bot.errors import ConfigError, DeliveryError
from bot.incidents.steps import LookCloser
from bot.loops import Loops
from bot.model import PAGERDUTY_SCHEME, Alert, Change, Message
from bot.pagerduty.client import PagerDuty, verdict
from bot.pagerduty.closer import Closer
from bot.pagerduty.dependencies import Dependencies
from bot.pagerduty.hand import SOURCE, PagerDutyHand
from bot.pagerduty.note import notes
from bot.pagerduty.notes import NoteSink
from bot.pagerduty.service_graph import ServiceGraph
from bot.pagerduty.setting_types import PagerSettings
from bot.sinks import Sink
from bot.slack.modals import Modals
from bot.slack.order_clicks import OrderClicks
from bot.slack.orders import Orders
from bot.slack.pace import Pace
from bot.slack.people import People
from bot.slack.policy import Policy
from bot.slack.send import OutboxWorker
from bot.slack.sharing import Sharing
from bot.slack.views import ACKNOWLEDGE, SILENCE
from bot.storage.alert_store import AlertStore
from bot.storage.database import Database
from bot.storage.dependency_store import DependencyStore
from bot.storage.incident_reader import IncidentReader
from bot.storage.outbox_store import OutboxStore

DEPENDENCIES = "pagerduty dependencies"
"""What `doctor` calls them."""

_CHECK_SECONDS = 300.0
_FIRST_LOOK_SECONDS = 60.0
"""By then the catalogue's hosts have been asked, and telemetry comes in again."""
_MAX_NAMED = 5


class Account:
    """What one PagerDuty account does for the bot. `sender` writes notes; None where there is no user to write as."""

    def __init__(
        self, api: PagerDuty, changes: ChangeIntake, outbox: OutboxStore | None, fields: Sequence[tuple[str, str]]
    ) -> None:
        self._fields = fields
        self._changes = changes
        self._sink = NoteSink(api)
        self.closer = Closer(api, self._keep)
        self._said, self._problem = "not asked yet", ""
        self.sender = (
            OutboxWorker(outbox, self._sink, Pace(), Policy(sole_worker=True, judge=verdict)) if outbox else None
        )

    def notes(self, facts: IncidentFacts, alerts: Sequence[Alert]) -> list[tuple[str, str, Message]]:
        """See `AlertPath.notes`."""
        return [] if self.sender is None else notes(facts, alerts, self._fields)

    async def check(self) -> None:
        """Ask PagerDuty whether it takes the token."""
        try:
            self._said, self._problem = await self._sink.check(), ""
        except DeliveryError as error:
            self._said, self._problem = "refused", f"PagerDuty cannot be used: {error}"

    def state(self) -> dict[str, Any]:
        """How it goes, for `doctor`."""
        trouble = [f"{where}: {what}" for where, what in (self.sender.problems if self.sender else {}).items()]
        reading = f"reading incidents: {self.closer.problem}" if self.closer.problem else ""
        more = [f"and {len(trouble) - _MAX_NAMED} more"] if len(trouble) > _MAX_NAMED else []
        return {
            "says": self._said,
            "writes_notes": self.sender is not None,
            "problem": "; ".join(one for one in (self._problem, reading, *trouble[:_MAX_NAMED], *more) if one),
        }

    async def _keep(self, changes: Sequence[Change]) -> None:
        await self._changes.take(SOURCE, changes, time.time())


class Pager:
    """What the alert path, the loops and the buttons need, whether or not there is an account and an Alertmanager."""

    def __init__(
        self,
        account: Account | None = None,
        acknowledger: Acknowledger | None = None,
        silencer: Silencer | None = None,
        dependencies: Dependencies | None = None,
    ) -> None:
        self._account = account
        self._dependencies = dependencies
        self.acknowledger = acknowledger
        self.silencer = silencer

    @property
    def look_closer(self) -> Mapping[str, LookCloser]:
        """See `AlertPath.look_closer`."""
        return {} if self._account is None else {SOURCE: self._account.closer.look}

    def notes(self, facts: IncidentFacts, alerts: Sequence[Alert]) -> list[tuple[str, str, Message]]:
        """See `AlertPath.notes`."""
        return [] if self._account is None else self._account.notes(facts, alerts)

    def waking(self, other: Callable[[], None]) -> Callable[[], None]:
        """What wakes `other`, and the sender of notes."""
        sender = self._account.sender if self._account is not None else None
        if sender is None:
            return other

        def wake() -> None:
            other()
            sender.wake()

        return wake

    def start(self, loops: Loops) -> None:
        """Begin to write notes, to ask for related changes, and to look every few minutes whether the token is still taken."""
        if self._account is None:
            return
        loops.every("pagerduty check", _CHECK_SECONDS, self._account.check)
        loops.every("pagerduty changes", 1.0, self._account.closer.tend)
        if self._account.sender is not None:
            loops.keep("pagerduty notes", self._account.sender.run)
        if self._dependencies is not None:
            loops.every(DEPENDENCIES, 1.0, self._dependencies.tick)

    async def drain(self, seconds: float) -> None:
        """For the shutdown: send the notes that may go now."""
        if self._account is not None and self._account.sender is not None:
            await self._account.sender.drain(seconds)

    @property
    def offered(self) -> frozenset[str]:
        """The orders that an incident's message has buttons for."""
        wired = ((ACKNOWLEDGE, self.acknowledger), (SILENCE, self.silencer))
        return frozenset(order for order, hand in wired if hand is not None)

    def clicks(
        self, client: AsyncWebClient, reader: IncidentReader, alerts: AlertStore, outbox: OutboxStore, sink: Sink
    ) -> OrderClicks:
        """Who carries out what is clicked."""
        orders = Orders(reader, alerts, People(client), sink, Modals(client), self.acknowledger, self.silencer)
        return OrderClicks(orders, Sharing(client, outbox, orders))

    @property
    def states(self) -> Mapping[str, Callable[[], Mapping[str, Any]]]:
        """See `Parts.feeds`."""
        account = {} if self._account is None else {SOURCE: self._account.state}
        return account if self._dependencies is None else account | {DEPENDENCIES: self._dependencies.state}


def dependencies(
    session: aiohttp.ClientSession, settings: PagerSettings, database: Database, view: MapView
) -> Dependencies:
    """What pushes the map's edges to PagerDuty's service graph; it has a client of its own, since it goes at its own pace."""
    token = settings.pagerduty_api_token.get_secret_value() if settings.pagerduty_api_token else ""
    api = PagerDuty(session, token, settings.pagerduty_from, settings.pagerduty_api_url.get_secret_value())
    least, remove = settings.pagerduty_dependencies_confidence, settings.pagerduty_dependencies_remove
    return Dependencies(ServiceGraph(api), DependencyStore(database), view, least, remove, _FIRST_LOOK_SECONDS)


async def pager(
    stack: AsyncExitStack, settings: PagerSettings, database: Database, changes: ChangeIntake, view: MapView
) -> Pager:
    """What `settings` ask for; nobody is asked anything yet. What is opened is closed with `stack`. Raises ConfigError."""
    account, acknowledger, silencer, pushing = None, None, None, None
    if settings.pagerduty_dependencies and settings.pagerduty_api_token is None:
        raise ConfigError("TOPOLOGY_BOT_PAGERDUTY_DEPENDENCIES is set, and PAGERDUTY_API_TOKEN is not")
    if settings.pagerduty_api_token is not None:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        token, url = settings.pagerduty_api_token.get_secret_value(), settings.pagerduty_api_url.get_secret_value()
        api = PagerDuty(session, token, settings.pagerduty_from, url)
        outbox = OutboxStore(database, PAGERDUTY_SCHEME) if settings.pagerduty_from else None
        account = Account(api, changes, outbox, settings.pagerduty_fields)
        acknowledger = PagerDutyHand(api) if settings.pagerduty_from else None
        pushing = dependencies(session, settings, database, view) if settings.pagerduty_dependencies else None
    if settings.alertmanager_url is not None:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        key = settings.alertmanager_api_token
        silencer = AlertmanagerApi(
            session, settings.alertmanager_url.get_secret_value(), key.get_secret_value() if key else ""
        )
    return Pager(account, acknowledger, silencer, pushing)
