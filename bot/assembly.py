"""Parts that follow from settings alone, made for the composition root (`bot.app`), which puts them together."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import structlog
from aiohttp import web
from pydantic import SecretStr

from bot.alerts import alertmanager, pagerduty
from bot.change_intake import ChangeIntake
from bot.config import Settings
from bot.courtesy_book import CourtesyBook
from bot.enrich.view import MapView
from bot.errors import ConfigError
from bot.feeds import Feed, KubernetesFeed, PrometheusFeed, RolloutFeed, cluster
from bot.incidents.courtesy import Courtesies, CourtesyRules
from bot.incidents.open_incidents import OpenIncidents
from bot.intake import Intake
from bot.layers.ipc import IpcLayer
from bot.layers.network import NetworkLayer
from bot.slack.courtesy_view import courtesy
from bot.slack.policy import Policy
from bot.storage.courtesy_store import CourtesyStore
from bot.storage.database import Database
from bot.storage.tenure import Tenure
from bot.upkeep import Retention
from bot.web.webhooks import AlertDoor

log = structlog.get_logger(__name__)

SHUTDOWN_SECONDS = 10.0

# How long a sender may repeat a delivery under the same key: PagerDuty one id for up to 48 hours. Alertmanager has no
# delivery ids; its key is made of what the delivery says, so only the one just before can be a repeat.
_REPEAT_SECONDS = {"alertmanager": None, "pagerduty": 7 * 86_400.0}


def alert_doors(settings: Settings) -> dict[str, AlertDoor]:
    """The doors for alerts, by source."""
    return {
        module.SOURCE: AlertDoor(
            module.SOURCE, module.verify, module.parse, settings.alert_secrets(module.SOURCE),
            module.SOURCE in settings.allow_unsigned, _REPEAT_SECONDS[module.SOURCE],
        )
        for module in (alertmanager, pagerduty)
    }  # fmt: skip


def feeds_of(
    settings: Settings, intake: Intake, ipc: IpcLayer, network: NetworkLayer, changes: ChangeIntake
) -> dict[str, Feed]:
    """What the bot goes and gets by itself, as far as settings ask for it."""
    feeds: dict[str, Feed] = {}
    if settings.prometheus_url is not None:
        headers = {"X-Scope-OrgID": settings.prometheus_tenant} if settings.prometheus_tenant else {}
        if settings.prometheus_token is not None:
            headers["Authorization"] = f"Bearer {settings.prometheus_token.get_secret_value()}"
        feeds["prometheus"] = PrometheusFeed(settings.prometheus_url.get_secret_value(), headers, intake, ipc)
    if settings.kubernetes:
        found = cluster(settings.kubernetes, settings.kubernetes_context)
        feeds["kubernetes"] = KubernetesFeed(found, settings.kubernetes_environment, intake, network)
        feeds["kubernetes rollouts"] = RolloutFeed(found, settings.kubernetes_environment, changes)
    return feeds


async def database_of(stack: AsyncExitStack, settings: Settings) -> tuple[Database, Tenure]:
    """The database, held for this bot alone, with its tables. Raises ConfigError."""
    database = Database(settings.database_url.get_secret_value())
    stack.push_async_callback(database.close)
    tenure = Tenure(database.url)
    stack.push_async_callback(tenure.release)
    await tenure.take()
    log.info("database ready", version=await database.upgrade())
    return database, tenure


async def hold(tenure: Tenure) -> None:
    """End the process at once where another bot has taken the database over: in order, it would still write and send, and two would
    send every message twice."""
    if not await tenure.keep():
        log.critical("another bot works this database now: this one ends")
        signal.raise_signal(signal.SIGKILL)


def policy(channel: str) -> Policy:
    """How messages are sent: what concerns an incident goes to `channel` where its own channel is dead. One bot works the database
    (see `bot.storage.tenure`), so what is under way at the start was left by a dead one."""
    return Policy(sole_worker=True, fallback_channel=channel, urgent=("incident:", "delivery:"))


async def listen(stack: AsyncExitStack, application: web.Application, settings: Settings) -> str:
    """Open the HTTP door; gives its URL. Raises ConfigError where the address cannot be had."""
    # Bodies are unpacked by `bot.telemetry.packing`, which knows when to stop; signatures are over what was sent.
    runner = web.AppRunner(
        application, access_log=None, auto_decompress=False, lingering_time=2.0, shutdown_timeout=SHUTDOWN_SECONDS
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, *settings.host_port)
    try:
        await site.start()
    except OSError as error:
        raise ConfigError(f"TOPOLOGY_BOT_LISTEN: cannot listen on {settings.listen}: {error.strerror}") from None
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def sparing_the_collector(stack: AsyncExitStack) -> Iterator[None]:
    """Load without Python's cycle collector, and keep it off what was loaded: each of its walks over a map of 100,000 edges
    would hold the event loop for a quarter of a second. `stack` puts it back."""
    stack.callback(gc.unfreeze)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)


def retention(settings: Settings) -> Retention:
    """How long what is kept."""
    return Retention(
        settings.window_retention_seconds,
        settings.hour_retention_seconds,
        settings.day_retention_seconds,
        settings.edge_retention_seconds,
    )


def courtesies(
    settings: Settings, view: MapView, book: CourtesyBook, opens: OpenIncidents, store: CourtesyStore
) -> Courtesies | None:
    """Who tells other teams what concerns them, where settings ask for it."""
    if not settings.courtesy:
        return None
    rules = CourtesyRules(settings.courtesy_channels, settings.courtesy_tier, settings.courtesy_share)
    return Courtesies(view, rules, settings.quiet_hours, book, opens, courtesy, store.place)


def revealed(value: SecretStr | None) -> str:
    """A secret's text; "" for none."""
    return value.get_secret_value() if value is not None else ""
