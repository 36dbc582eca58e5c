"""What a bot would answer from: the empty map with its catalogue, and for the command line, what the database has of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from bot import config
from bot.alias_book import settled
from bot.catalog.backstage_api import BackstageApi
from bot.catalog.pagerduty_api import PagerDutyApi
from bot.catalog.sources import Remote, Sources
from bot.change_intake import ChangeIntake
from bot.config import Settings
from bot.enrich.causes.metric_kinds import MetricTable
from bot.enrich.view import MapView
from bot.graph.live import LiveGraph
from bot.ingest import load
from bot.layers.windows import Windows
from bot.model import Layer
from bot.names import Background, NameIndex
from bot.slack.console import ConsoleSink
from bot.storage.alert_store import AlertStore
from bot.storage.alias_store import AliasStore
from bot.storage.change_store import ChangeStore
from bot.storage.database import Database
from bot.storage.map_store import MapStore
from bot.storage.outbox_store import OutboxStore
from bot.web.status import Parts


def catalog_sources(settings: Settings) -> Sources:
    """Everything that `settings` have the catalogue made of; nothing is read yet."""
    remotes: list[Remote] = []
    if settings.backstage_url is not None:
        token = settings.backstage_token.get_secret_value() if settings.backstage_token else ""
        remotes.append(BackstageApi(settings.backstage_url.get_secret_value(), token))
    if settings.pagerduty_api_token is not None:
        url = settings.pagerduty_api_url.get_secret_value()
        remotes.append(PagerDutyApi(settings.pagerduty_api_token.get_secret_value(), url))
    return Sources(settings.catalog, remotes)


def build_view(settings: Settings, sources: Sources, confirmed: Mapping[str, str]) -> MapView:
    """An empty map as `settings` size it, with what the catalogue's files say: hosts are asked once it is needed. `confirmed` are
    other names of services, as people said."""
    catalog = sources.read(time.time(), remote=False)
    names = NameIndex({**confirmed, **catalog.aliases})
    graph = LiveGraph(names, settings.max_services, settings.max_edges, Background(settings.hidden_services))
    windows = {layer: Windows(layer) for layer in Layer}
    metrics = MetricTable(settings.metric_kinds)
    return MapView(graph, windows, catalog, templates=settings.links, metrics=metrics, confirmed=confirmed)


@asynccontextmanager
async def reading(settings: Settings, *, ask_hosts: bool = False) -> AsyncIterator[Parts]:
    """What a bot would answer from, read from its database without writing to it. `ask_hosts`: also what Backstage and
    PagerDuty say, which takes its time."""
    database = Database(settings.database_url.get_secret_value(), read_only=True)
    try:
        await database.version()
        sources = catalog_sources(settings)
        view = build_view(settings, sources, settled(await AliasStore(database).words()).aliases)
        if ask_hosts:
            view.learn(await asyncio.to_thread(sources.read, time.time()))
        alerts, outbox, maps = AlertStore(database), OutboxStore(database), MapStore(database)
        await load(view, maps, time.time(), time.time() - settings.edge_retention_seconds)
        view.firing = await alerts.firing()
        changes = ChangeIntake(ChangeStore(database), view, settings.change_retention_seconds)
        await changes.load(time.time())
        closed = tuple(name for name in config.ALERT_SOURCES if not settings.alert_secrets(name))
        yield Parts(
            database,
            alerts,
            outbox,
            changes.store,
            view,
            ConsoleSink(lambda text: None),
            {},
            {},
            dict,
            closed,
            config.strays(),
            time.time(),
            change_sources=config.change_sources(settings),
            feeds={"catalog": sources.state} if sources.configured else {},
        )
    finally:
        await database.close()
