"""What the bot does at the alerts' sources, put together: PagerDuty's notes and states, Alertmanager's silences.

Without an API token PagerDuty's part is absent; with one, incidents are read more closely; with a user to write as, too, notes
are written by a sender of their own, so that a PagerDuty that is down holds up nothing but its own notes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from bot.actions import Acknowledger, Silencer
from bot.alertmanager_api import AlertmanagerApi
from bot.change_intake import ChangeIntake
from bot.enrich.facts import IncidentFacts
from bot.errors import DeliveryError
from bot.incidents.steps import LookCloser
from bot.loops import Loops
from bot.model import PAGERDUTY_SCHEME, Alert, Change, Message
from bot.pagerduty.client import PagerDuty, verdict
from bot.pagerduty.closer import Closer
from bot.pagerduty.hand import SOURCE, PagerDutyHand
from bot.pagerduty.note import notes
from bot.pagerduty.notes import NoteSink
from bot.pagerduty.setting_types import PagerSettings
from bot.slack.pace import Pace
from bot.slack.send import OutboxWorker, Policy
from bot.storage.database import Database
from bot.storage.outbox_store import OutboxStore

_CHECK_SECONDS = 300.0
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
        self, account: Account | None = None, acknowledger: Acknowledger | None = None, silencer: Silencer | None = None
    ) -> None:
        self._account = account
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

    async def drain(self, seconds: float) -> None:
        """For the shutdown: send the notes that may go now."""
        if self._account is not None and self._account.sender is not None:
            await self._account.sender.drain(seconds)

    @property
    def states(self) -> Mapping[str, Callable[[], Mapping[str, Any]]]:
        """See `Parts.feeds`."""
        return {} if self._account is None else {SOURCE: self._account.state}


async def pager(stack: AsyncExitStack, settings: PagerSettings, database: Database, changes: ChangeIntake) -> Pager:
    """What `settings` ask for; nobody is asked anything yet. What is opened is closed with `stack`."""
    account, acknowledger, silencer = None, None, None
    if settings.pagerduty_api_token is not None:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        token, url = settings.pagerduty_api_token.get_secret_value(), settings.pagerduty_api_url.get_secret_value()
        api = PagerDuty(session, token, settings.pagerduty_from, url)
        outbox = OutboxStore(database, PAGERDUTY_SCHEME) if settings.pagerduty_from else None
        account = Account(api, changes, outbox, settings.pagerduty_fields)
        acknowledger = PagerDutyHand(api) if settings.pagerduty_from else None
    if settings.alertmanager_url is not None:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        key = settings.alertmanager_api_token
        silencer = AlertmanagerApi(
            session, settings.alertmanager_url.get_secret_value(), key.get_secret_value() if key else ""
        )
    return Pager(account, acknowledger, silencer)
