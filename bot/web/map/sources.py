"""What the pages answer from: the same parts as the JSON API, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.enrich.view import MapView
from bot.history import History
from bot.picture.painter import Painter
from bot.storage.change_store import ChangeStore
from bot.storage.incident_reader import IncidentReader
from bot.storage.outbox_store import OutboxStore


@dataclass(frozen=True, slots=True)
class Sources:
    """`wake` has what is in the outbox sent. `first_steps` is what to do while the map is empty,
    `channel` where messages usually go."""

    view: MapView
    history: History
    incidents: IncidentReader
    changes: ChangeStore
    painter: Painter
    outbox: OutboxStore
    wake: Callable[[], None]
    first_steps: str = ""
    channel: str = ""
