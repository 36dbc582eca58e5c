"""What has to be done every minute, whether or not anything comes in: let go of what is old, roll up, remember.

What is lost: what a kill takes between two rounds is at most a minute of news about addresses, which their next heartbeats
bring again.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bot.change_intake import ChangeIntake
from bot.enrich.view import MapView
from bot.ingest import Ingest
from bot.layers.identity_memory import Unreadable
from bot.layers.network import NetworkLayer
from bot.model import Layer
from bot.storage.alert_store import AlertStore
from bot.storage.history_store import HistoryStore
from bot.storage.memory_store import MemoryStore

_DELIVERY_RETENTION = 30 * 86_400.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each is kept, in seconds."""

    minutes: float
    hours: float
    days: float
    edges: float


class Upkeep:
    """Keeps the bot's memory and its database in bounds."""

    def __init__(
        self, retention: Retention, ingest: Ingest, view: MapView, alerts: AlertStore, changes: ChangeIntake
    ) -> None:
        self._retention = retention
        self._ingest = ingest
        self._view = view
        self._alerts = alerts
        self._changes = changes

    async def expire(self, now: float) -> None:
        """Let go of windows, edges, deliveries and changes that are too old, and put changes under the ids that the map has by now."""
        await self._ingest.expire(now, now - self._retention.minutes, now - self._retention.edges)
        await self._alerts.expire(now - _DELIVERY_RETENTION)
        self._view.firing = await self._alerts.firing()
        await self._changes.tend(now)

    async def roll_up(self, past: HistoryStore, now: float) -> None:
        """Sum minutes to hours and hours to days, and let go of what is then too old."""
        kept = self._retention
        await past.roll_up(now, now - kept.minutes, now - kept.hours, now - kept.days)


class AddressMemory:
    """Carries who owns which address over a restart."""

    def __init__(self, network: NetworkLayer, store: MemoryStore) -> None:
        self._network = network
        self._store = store
        self._written = b""

    async def restore(self) -> None:
        """Take in what was kept. What cannot be read is named in the log and left: heartbeats bring it again."""
        kept = await self._store.read(Layer.NETWORK)
        if kept is None:
            return
        try:
            self._network.remember(kept)
        except Unreadable as error:
            log.warning("who owned which address before the restart cannot be read", why=str(error))
        else:
            log.info("addresses remembered", ranges=len(self._network.ownership))

    async def keep(self, ingest: Ingest, now: float) -> None:
        """Write down what is known, where it is other than the last time."""
        body = await ingest.intake.ask(Layer.NETWORK, self._network.memory)
        if body != self._written:
            await self._store.write(Layer.NETWORK, body, now)
            self._written = body
