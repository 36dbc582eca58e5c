"""A stage for situations: a made-up map, a clock that only the play moves, and the real path from stored deliveries to messages.

What is left out: the doors' HTTP, the loops, and Slack itself. `at` is what every part of the bot takes for now.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bot.alerts import alertmanager as alertmanager_door
from bot.alerts import pagerduty as pagerduty_door
from bot.catalog.entries import Catalog
from bot.catalog.facts import Format, Notes
from bot.catalog.merge import merge
from bot.catalog.plain_yaml import documents
from bot.catalog.services_file import read
from bot.incidents.folding import fold
from bot.incidents.path import AlertWorker
from bot.incidents.rethinking import Rethinking
from bot.incidents.steps import AlertPath
from bot.model import OutboxRow
from bot.slack import views
from bot.slack.thread_views import IncidentWords
from bot.slack.views import ACKNOWLEDGE, SHARE_INCIDENT, SILENCE
from bot.storage.alert_store import AlertStore
from bot.storage.database import Database
from bot.storage.incident_reader import IncidentReader
from bot.storage.outbox_store import OutboxStore
from tests.kit.alerts import alertmanager, pagerduty
from tests.kit.maps import NOW, MapMaker

_HEADERS = {"Content-Type": "application/json"}


def catalog(text: str) -> Catalog:
    """A catalogue from what a `services.yaml` says."""
    notes = Notes(Format.SERVICES, "services.yaml", "services.yaml")
    read(list(documents(text.encode())), notes)
    return merge([notes.reading()])


@dataclass(slots=True)
class Stage:
    """One play. `hurried`: as if other deliveries waited behind each."""

    map: MapMaker
    store: AlertStore
    reader: IncidentReader
    outbox: OutboxStore
    at: float = NOW
    hurried: bool = False
    worker: AlertWorker = field(init=False)
    again: Rethinking = field(init=False)
    path: AlertPath = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        parsers = {door.SOURCE: door.parse for door in (alertmanager_door, pagerduty_door)}
        words = IncidentWords(frozenset((ACKNOWLEDGE, SILENCE, SHARE_INCIDENT)))
        self.path = AlertPath(self.store, self.map.view, parsers, words, "#incidents", hurried=lambda: self.hurried)
        self.again = Rethinking(self.store, self.reader, self.path, 30.0, lambda: None)
        self.worker = AlertWorker(
            self.store, self.path, self.again, views.forwarded, lambda: None, partial(fold, self.path)
        )

    def now(self) -> float:
        """What the clock says."""
        return self.at

    async def fires(self, service: str, ago: float = 120.0, **changes: Any) -> None:
        """Alertmanager tells of an alert that began `ago` seconds before now."""
        body = alertmanager(service, started=self.at - ago, **changes)
        await self.take("alertmanager", json.dumps(body).encode())

    async def recovers(self, service: str, ago: float, **changes: Any) -> None:
        """The same alert is over."""
        body = alertmanager(service, status="resolved", started=self.at - ago, **changes)
        await self.take("alertmanager", json.dumps(body).encode())

    async def pages(self, event_type: str = "incident.triggered", **changes: Any) -> None:
        """PagerDuty tells of its incident."""
        await self.take("pagerduty", pagerduty(event_type, **changes))

    async def take(self, source: str, body: bytes) -> None:
        """Store a delivery, and work it."""
        self._count += 1
        number = await self.store.store_delivery(source, f"delivery {self._count}", _HEADERS, body, self.at, None)
        assert number is not None
        for delivery in await self.store.waiting(10):
            await self.worker.work(delivery)

    async def thinks(self, incident: int = 1) -> None:
        """The incident is thought about again."""
        self.again.due(incident)
        while await self.again.next(self.at):
            self.again.thought(incident, self.at)

    async def rejects(self, service: str, incident: int = 1) -> None:
        """A person says that it is not the cause."""
        assert await self.store.reject(incident, service, "Ada", self.at)
        await self.thinks(incident)

    async def channel(self) -> list[dict[str, Any]]:
        """The messages as they read in the end, oldest first, each with its thread."""
        rows = (await self.outbox.latest(500))[::-1]
        replies: dict[str, list[OutboxRow]] = {}
        for row in rows:
            if row.parent_key is not None:
                replies.setdefault(row.parent_key, []).append(row)
        return [
            {"channel": row.channel, **_shown(row), "thread": [_shown(one) for one in replies.get(row.key, ())]}
            for row in rows
            if row.parent_key is None
        ]


def _shown(row: OutboxRow) -> dict[str, Any]:
    blocks: Sequence[Mapping[str, object]] = row.message.blocks
    return {"text": row.message.text, "blocks": list(blocks)}


@asynccontextmanager
async def stage(made: MapMaker) -> AsyncIterator[Stage]:
    """The play's stage; the clock stands still at `NOW` until `at` is moved."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder)}/bot.db")
        await database.upgrade()
        play = Stage(made, AlertStore(database), IncidentReader(database), OutboxStore(database))
        try:
            with patch("time.time", play.now):
                yield play
        finally:
            await database.close()
