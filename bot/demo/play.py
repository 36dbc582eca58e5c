"""Plays the demo: starts the bot in this process, sends it the shop's telemetry, then one alert, and shows what comes of it.

Comes in: nothing but the clock, which is read once for all layers. Goes out: the message, what each layer counted, and URLs
to try. The database and the catalogue live in a folder that goes when the demo does, however it ends.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bot import app, logs
from bot.config import Settings
from bot.demo import seen
from bot.demo.alert import CATALOG, alertmanager_webhook
from bot.demo.send import Sender
from bot.demo.shop import BROKEN
from bot.layers.windows import minute_of
from bot.model import WINDOW_SECONDS
from bot.slack.console import plain

HISTORY_MINUTES = 18
"""As far back as the metrics door takes samples: it closes minutes after twenty."""
BROKEN_MINUTES = 4
NOTICED_SECONDS = 60.0
"""How long the alert's condition held before it fired."""

_TICK_SECONDS = 5.0
_WAIT_SECONDS = 30.0
_SETTLE_SECONDS = 0.5

Echo = Callable[[str], None]


async def run(*, once: bool, echo: Echo) -> dict[str, Any]:
    """Play the whole story. Gives `posted` (whether the message went out), its `text` and the bot's `url`.

    Ends after the message (`once`), or when told to stop (SIGINT, SIGTERM): at any moment, and tidily.
    """
    result: dict[str, Any] = {"posted": False, "text": "", "url": ""}
    stop = asyncio.Event()
    with _stopping(stop.set), tempfile.TemporaryDirectory(prefix="topology-bot-demo-") as folder:
        token = secrets.token_urlsafe(16)
        settings = _settings(Path(folder), token)
        logs.configure(settings.log_format, settings.log_level)
        echo("Starting the bot on an empty SQLite database: no tokens, no other service.")
        # The start itself is never broken off: a database in the midst of it would go on writing where its folder was.
        async with (
            app.running(settings, lambda text: echo(f"\n{text}\n")) as bot,
            aiohttp.ClientSession(bot.url, raise_for_status=True) as session,
        ):
            result["url"] = bot.url
            try:
                await _unless(stop, _story(bot, session, token, result, once=once, echo=echo))
            except TimeoutError as error:
                echo(f"Something takes too long: {error}.")
    if not result["posted"]:
        echo("The message was not posted.")
    return result


@contextmanager
def _stopping(stop: Callable[[], object]) -> Iterator[None]:
    """Have SIGINT and SIGTERM call `stop`."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _unless(stop: asyncio.Event, story: Coroutine[Any, Any, None]) -> None:
    """Await the story, or break it off when told to stop. Raises what it raises."""
    playing, stopped = asyncio.create_task(story), asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait((playing, stopped), return_when=asyncio.FIRST_COMPLETED)
        if playing in done:
            playing.result()
    finally:
        for task in (playing, stopped):
            task.cancel()
        await asyncio.gather(playing, stopped, return_exceptions=True)


async def _story(
    bot: app.Running, session: aiohttp.ClientSession, token: str, result: dict[str, Any], *, once: bool, echo: Echo
) -> None:
    now = time.time()
    broke_at = minute_of(now) - BROKEN_MINUTES * WINDOW_SECONDS
    sender = Sender(session, broke_at, minute_of(now) - HISTORY_MINUTES * WINDOW_SECONDS)
    await sender.history(now)
    echo(
        f"Played {HISTORY_MINUTES} minutes of a small shop to all three layers: {sender.sent}. "
        f"{BROKEN} broke {BROKEN_MINUTES} minutes ago."
    )
    await _until(lambda: _at_rest(session), "the map did not learn the shop")
    webhook, headers = alertmanager_webhook(broke_at + NOTICED_SECONDS), {"Authorization": f"Bearer {token}"}
    async with session.post("/webhooks/alertmanager", json=webhook, headers=headers) as answer:
        echo(f"Alertmanager says payments fails: POST /webhooks/alertmanager answered {answer.status}.")
    text = await _until(lambda: _posted(bot), "the message was not posted")
    result |= {"posted": True, "text": plain(text)}
    echo(seen.table(await seen.ask(session, "payments")))
    if not once:
        echo(_urls(bot.url))
        await _stay(sender, now)


def _settings(folder: Path, token: str) -> Settings:
    catalog = folder / "services.yaml"
    catalog.write_text(CATALOG)
    return Settings.model_validate(
        {
            "listen": f"127.0.0.1:{_port()}", "database_url": f"sqlite:///{folder}/demo.db", "catalog": catalog,
            "alertmanager_tokens": token, "pagerduty_secrets": token, "trace_settle_seconds": _SETTLE_SECONDS,
            "log_level": "error",
        }
    )  # fmt: skip


async def _stay(sender: Sender, since: float) -> None:
    """Keep the shop going, still broken, until the story is told to stop."""
    while True:
        await asyncio.sleep(max(0.0, since + _TICK_SECONDS - time.time()))
        until = time.time()
        # A machine that slept for an hour does not catch up.
        await sender.play(max(since, until - WINDOW_SECONDS), until)
        since = until


async def _posted(bot: app.Running) -> str:
    rows = await bot.outbox.latest(5)
    return next((row.message.text for row in rows if row.parent_key is None and row.state == "sent"), "")


async def _at_rest(session: aiohttp.ClientSession) -> bool:
    """Whether everything that was played is on the map: all layers know of payments, and no number moves any more."""
    before = seen.counts(await seen.ask(session, "payments"))
    await asyncio.sleep(_SETTLE_SECONDS + 0.4)
    known = {layer for _, layer in before}
    return known == {"network", "ipc", "trace"} and before == seen.counts(await seen.ask(session, "payments"))


async def _until(check: Callable[[], Awaitable[Any]], otherwise: str) -> Any:
    """Poll until `check` gives something true; that is the result. Raises TimeoutError with `otherwise`."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not (found := await check()):
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        await asyncio.sleep(0.05)
    return found


def _port(wanted: int = 8080) -> int:
    """The usual port, or 0 (any) where somebody has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
        return wanted


def _urls(url: str) -> str:
    return "\n".join(
        [
            "Still running, and the shop still broken. Try:",
            f"  {url}/                                        what matters now; the map from there\n"
            f"  {url}/messages                                the message as Slack draws it",
            f"  {url}/api/v1/services/payments                who calls it, whom it calls, layer by layer",
            f"  {url}/api/v1/services/{BROKEN}/dependents  the blast radius",
            f"  {url}/api/v1/services/payments/causes         where its trouble likely comes from, and why",
            f"  {url}/api/v1/path?from=web&to={BROKEN}     how the one reaches the other",
            f"  {url}/api/v1/graph?layers=network             the map as the network alone sees it",
            f"  {url}/api/v1/doctor                           what the bot says of itself",
            f"  TOPOLOGY_BOT_URL={url} .venv/bin/topology-bot show payments",
            "Ctrl-C ends it.",
        ]
    )
