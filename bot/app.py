"""The composition root: builds everything once, in one straight function, teardown registered as it builds.

`running` is the whole bot in this process: tests, the demo and `serve` all start it the same way.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import aiohttp
import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot import config, metrics
from bot.alerts import alertmanager, pagerduty
from bot.alias_book import AliasBook, settled
from bot.assembly import (
    SHUTDOWN_SECONDS,
    alert_doors,
    courtesies,
    database_of,
    feeds_of,
    hold,
    listen,
    policy,
    retention,
    revealed,
    sparing_the_collector,
)
from bot.change_intake import ChangeIntake
from bot.config import Settings
from bot.courtesy_book import CourtesyBook
from bot.digest.due import minute_of
from bot.digests import Digests
from bot.enrich.view import MapView
from bot.feeds import CatalogFeed, KubernetesFeed, PrometheusFeed
from bot.history import History
from bot.incidents.folding import fold
from bot.incidents.illustrating import Illustrating
from bot.incidents.open_incidents import MAX_OPEN, OpenIncidents
from bot.incidents.path import AlertWorker
from bot.incidents.rethinking import Rethinking
from bot.incidents.steps import AlertPath
from bot.incidents.telling import Etiquette
from bot.ingest import Ingest, load
from bot.layers.ipc import IpcLayer
from bot.layers.network import Limits, NetworkLayer
from bot.layers.trace import TraceLayer
from bot.loops import Loops
from bot.morning import Morning
from bot.names import Background
from bot.offline import build_view, catalog_sources
from bot.pager import pager
from bot.picture.painter import Painter
from bot.sinks import Sink
from bot.slack import views
from bot.slack.bolt import SlackDoor, closed_door
from bot.slack.client import SlackSink, publish_home, socket_address, web_client
from bot.slack.console import ConsoleSink
from bot.slack.desk import Desk
from bot.slack.digest_talk import Defaults, DigestTalk
from bot.slack.files import Files
from bot.slack.home import Home
from bot.slack.pace import Pace
from bot.slack.send import OutboxWorker
from bot.slack.socket import SocketMode
from bot.slack.thread_views import IncidentWords
from bot.slack.unfurls import Unfurls
from bot.storage.alert_store import AlertStore
from bot.storage.alias_store import AliasStore
from bot.storage.change_store import ChangeStore
from bot.storage.courtesy_store import CourtesyStore
from bot.storage.digest_store import DigestStore
from bot.storage.grade_store import GradeStore
from bot.storage.history_store import HistoryStore
from bot.storage.hold_store import HoldStore
from bot.storage.incident_reader import IncidentReader
from bot.storage.map_store import MapStore
from bot.storage.memory_store import MemoryStore
from bot.storage.outbox_store import OutboxStore
from bot.telemetry.flow_records import FlowOptions
from bot.telemetry.otlp_schema import require_upb
from bot.upkeep import AddressMemory, Upkeep
from bot.web.api import Api
from bot.web.auth import Gate, Token
from bot.web.change_doors import ChangeDoors, change_doors
from bot.web.flow_doors import FlowDoors
from bot.web.grades import Grades
from bot.web.limits import RateLimit
from bot.web.map.rooms import Room, pages
from bot.web.map.sources import Sources
from bot.web.mcp.door import McpDoor
from bot.web.mcp.protocol import Protocol
from bot.web.mcp.tools import Tools
from bot.web.messages import Messages, first_steps
from bot.web.metric_doors import MetricDoors
from bot.web.overlay import Overlay
from bot.web.pictures import Pictures
from bot.web.problem import empty_application
from bot.web.questions import Questions
from bot.web.reference import Reference
from bot.web.status import Parts, Status
from bot.web.stored import StoredAnswers
from bot.web.stream import Stream
from bot.web.telemetry import TelemetryDoors
from bot.web.webhooks import Webhooks

_THREAD_SECONDS = 0.001
"""How long a thread may keep the interpreter from the event loop: with Python's own 5 ms, every answer takes that much longer
while a layer, a roll-up or the past is at work."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A bot that answers at `url`."""

    url: str
    view: MapView
    ingest: Ingest
    outbox: OutboxStore
    alerts: AlertStore
    routes: tuple[tuple[str, str], ...]


@asynccontextmanager
async def running(settings: Settings, echo: Callable[[str], None] = lambda text: None) -> AsyncIterator[Running]:  # noqa: PLR0915
    """Start the bot and stop it in order. `echo` gets the messages where no Slack token is set.

    One long function on purpose: each step needs what the steps before it made, and registers at once how it is undone.
    """
    require_upb()
    async with AsyncExitStack() as stack:
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(_THREAD_SECONDS)
        database, tenure = await database_of(stack, settings)

        sources = catalog_sources(settings)
        aliases = AliasStore(database)
        view = build_view(settings, sources, settled(await aliases.words()).aliases)
        book = AliasBook(view, aliases)
        await book.load()
        past = HistoryStore(database, settings.edge_retention_seconds)
        alerts, outbox, maps = AlertStore(database), OutboxStore(database), MapStore(database, rolling=past.rolling)
        trace = TraceLayer(
            settle=settings.trace_settle_seconds,
            lifetime=settings.trace_lifetime_seconds,
            max_spans=settings.trace_max_spans,
        )
        with sparing_the_collector(stack):
            stored = await load(view, maps, time.time(), time.time() - settings.edge_retention_seconds)
        network = NetworkLayer(
            Limits(max_age=settings.flow_max_age_seconds), Background(settings.visible_intermediaries)
        )
        stack.callback(network.close)
        addresses = AddressMemory(network, MemoryStore(database))
        await addresses.restore()
        for gauge, read in (
            (metrics.OPEN_SPANS, lambda: trace.open_spans), (metrics.OPEN_TRACES, lambda: trace.open_traces),
            (metrics.OPEN_GROUPS, lambda: network.open_groups),
        ):  # fmt: skip
            gauge.set_function(read)
            stack.callback(gauge.set_function, float)  # or the registry would keep the layer alive
        ipc = IpcLayer(time.time())
        ingest = Ingest((network, ipc, trace), view, maps, stored)
        view.firing = await alerts.firing()
        changes = ChangeIntake(ChangeStore(database), view, settings.change_retention_seconds)
        await changes.load(time.time())
        log.info("map loaded", services=view.graph.service_count, edges=view.graph.edge_count)

        client: AsyncWebClient | None = None
        files: Files | None = None
        painter = await stack.enter_async_context(Painter(settings.picture_layouts, settings.picture_seconds))
        sink: Sink = ConsoleSink(echo)
        token, app_token = revealed(settings.slack_bot_token), revealed(settings.slack_app_token)
        if token or app_token or settings.slack_signing_secret:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            client = web_client(token, settings.slack_api_url, session)
            files = Files(client, painter.png)
            sink = SlackSink(client, attach=files.attach) if token else sink

        pace = Pace(burst=settings.slack_burst)
        sender = OutboxWorker(outbox, sink, pace, policy(settings.channel))
        parsers = {module.SOURCE: module.parse for module in (alertmanager, pagerduty)}
        incidents = IncidentReader(database)
        history = History(
            view, HistoryStore(database), settings.edge_retention_seconds, Background(settings.hidden_services),
            changes.store, incidents.fired,
        )  # fmt: skip
        hands = await pager(stack, settings, database, changes, view)
        said = IncidentWords(hands.offered | ({views.SHARE_INCIDENT} if client is not None else set()))
        courtesy_book, opens = CourtesyBook(CourtesyStore(database)), OpenIncidents(settings.correlate_seconds)
        await courtesy_book.refresh()
        path = AlertPath(
            alerts,
            view,
            parsers,
            said,
            settings.channel,
            ingest.feed.incident,
            lambda: worker.hurried,
            history.at,
            settings.routes,
            hands.notes,
            hands.look_closer,
            opens,
            Etiquette(settings.mentions, settings.quiet_hours),
            courtesies(settings, view, courtesy_book, opens, CourtesyStore(database)),
        )
        await path.opens.load(alerts, view.graph, await incidents.unresolved(MAX_OPEN))
        wake = hands.waking(sender.wake)
        again = Rethinking(alerts, incidents, path, settings.rethink_seconds, wake)
        worker = AlertWorker(alerts, path, again, views.forwarded, wake, partial(fold, path))

        illustrating = Illustrating(path, incidents, outbox, said, lambda: worker.busy, sender.wake)
        await history.note_properties(time.time())
        kept = DigestStore(database)
        morning = Morning(view, HoldStore(database), kept, sender.wake)
        digests = Digests(history, kept, sender.wake, waited=morning.waited, grades=GradeStore(database))
        feeds = feeds_of(settings, ingest.intake, ipc, network, changes)
        clusters = [feed for feed in feeds.values() if isinstance(feed, KubernetesFeed)]
        catalog = CatalogFeed(sources, view, history.note_properties, settings.catalog_refresh_seconds, clusters)
        catalogued = sources.configured or bool(clusters)
        loops = Loops()
        gate = Gate(
            [Token(one.name, one.scopes, one.secret.get_secret_value().encode()) for one in settings.api_tokens],
            RateLimit(settings.api_rate, settings.api_burst),
        )
        doors = alert_doors(settings)
        closed = tuple(name for name, door in doors.items() if not door.secrets and not door.allow_unsigned)
        parts = Parts(
            database,
            alerts,
            outbox,
            changes.store,
            view,
            sink,
            ingest.intake.sources,
            sender.problems,
            loops.failing,
            closed,
            config.strays(),
            time.time(),
            ingest.drops,
            {
                **hands.states,
                **({"slack files": files.state} if files is not None else {}),
                **{name: feed.state for name, feed in feeds.items()},
                **({"catalog": catalog.state} if catalogued else {}),
            },
            config.change_sources(settings),
        )
        application = empty_application(ingest.feed.close)
        intake = ingest.intake
        questions = Questions(view, history, incidents, changes.store)
        steps = first_steps(*settings.host_port)
        flow_options = FlowOptions(settings.vpc_fields, settings.flow_environment)
        rooms: tuple[Room, ...] = (
            TelemetryDoors(intake, trace, gate, settings.span_max_age_seconds), FlowDoors(intake, network, gate, flow_options),
            MetricDoors(intake, ipc, gate), ChangeDoors(changes, gate, change_doors(settings.change_secrets, settings.allow_unsigned)),
            Webhooks(doors, alerts, worker), Api(questions, gate), McpDoor(Protocol(Tools(questions)), gate),
            Stream(ingest.feed, view, gate), Overlay(view, gate), Grades(GradeStore(database), view, gate),
            Status(parts, gate), Pictures(view, gate, history, painter), Reference(gate), Messages(outbox, gate, steps, painter.png),
            *pages(Sources(view, history, incidents, changes.store, painter, outbox, sender.wake, steps, settings.channel), gate, parts,
                   lambda: ingest.feed.incidents),
        )  # fmt: skip
        for room in rooms:
            application.add_routes(room.routes())
        slack: SlackDoor | None = None
        if client is not None and files is not None:
            asked = StoredAnswers(parts, history, incidents, again.due)
            defaults = Defaults(minute_of(settings.digest_time), settings.digest_quiet)
            talk = DigestTalk(view, kept, digests, sender.wake, defaults)
            home = Home(view, asked, partial(publish_home, client), (talk.home,))
            clicks = hands.clicks(client, incidents, alerts, outbox, sink)
            desk = Desk(view, asked, book, talk, clicks.orders, courtesy_book)
            slack = SlackDoor(client, revealed(settings.slack_signing_secret), desk, sink, home, clicks, files.attach)
            unfurls = Unfurls(settings.public_url, desk, asked, outbox, SlackSink(client, attach=files.attach))
            slack.hears("link_shared", unfurls.heard)
        application.add_routes(slack.routes() if slack is not None else closed_door())

        upkeep = Upkeep(retention(settings), ingest, view, alerts, changes)
        stack.push_async_callback(lambda: ingest.close(time.time()))
        stack.push_async_callback(lambda: addresses.keep(ingest, time.time()))
        stack.push_async_callback(lambda: changes.follow(ingest.releases, time.time()))
        stack.push_async_callback(loops.stop)
        stack.callback(sources.close)  # before the loops are waited for: one of them may be waiting for a host
        stack.push_async_callback(hands.drain, SHUTDOWN_SECONDS / 2)
        stack.push_async_callback(sender.drain, SHUTDOWN_SECONDS)
        loops.every("hold on the database", 5.0, partial(hold, tenure))
        loops.every("collect", 0.25, lambda: ingest.collect(time.time()))
        loops.every("write", 1.0, lambda: ingest.write(time.time()))
        loops.every("releases", 5.0, lambda: changes.follow(ingest.releases, time.time()))
        loops.every("stream", 1.0, ingest.tell)
        loops.every("expire", 60.0, lambda: upkeep.expire(time.time()))
        loops.every("history", 600.0, history.refresh)
        if settings.thread_pictures:
            loops.every("illustrate", 1.0, lambda: illustrating.tick(time.time()))
        loops.every("digests", 20.0, digests.tick)
        loops.every("held", 20.0, morning.tick)
        loops.every("channels", 60.0, courtesy_book.refresh)
        loops.every("roll up", 60.0, lambda: upkeep.roll_up(past, time.time()))
        loops.every("addresses", 60.0, lambda: addresses.keep(ingest, time.time()))
        if catalogued:
            loops.every("catalog", min(5.0, settings.catalog_refresh_seconds), catalog.tick)
        if client is not None and slack is not None and app_token:
            loops.keep("slack socket", SocketMode(partial(socket_address, client, app_token), slack.hear, session).run)
        for name, feed in feeds.items():
            if isinstance(feed, PrometheusFeed):
                loops.every(name, 5.0, feed.tick)
            else:
                loops.keep(name, feed.run)
        loops.keep("alerts", worker.run)
        loops.keep("outbox", sender.run)
        hands.start(loops)

        url = await listen(stack, application, settings)
        log.info("listening", url=url)
        routes = tuple(
            (route.method, route.resource.canonical)
            for route in application.router.routes()
            if route.resource and route.method != "HEAD"
        )
        yield Running(url, view, ingest, outbox, alerts, routes)
