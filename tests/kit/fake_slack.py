"""A Slack to test against: a real HTTP server with the Web API, its limits and its failures, and the way back to the bot.

    async with FakeSlack(channels=("incidents",)) as slack:
        client = AsyncWebClient("xoxb-fake", base_url=slack.url)
        slack.fail_next("chat.postMessage", "drop", accepted=True)
        ...
        assert [post.text for post in slack.messages("incidents")] == [...]

Also a process of its own, for tests that kill the bot: `python -m tests.kit.fake_slack --port 9999 --log posts.jsonl`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.kit import slack_requests
from tests.kit.slack_channel import Channel, Post
from tests.kit.slack_limits import Limits
from tests.kit.slack_requests import Answer, Sign
from tests.kit.slack_socket import APP_TOKEN, Sockets
from tests.kit.slack_workspace import ApiError, Workspace

TOKEN, SIGNING_SECRET = "xoxb-fake", "fake-signing-secret"
RESPONSE_URL_USES, RESPONSE_URL_SECONDS = 5, 1_800.0

_READS = ("conversations.", "users.")
_REMEMBERED_CALLS = 100_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call to the Web API. `outcome` is `ok`, an error word, or the kind of failure that was asked for."""

    method: str
    args: Mapping[str, Any]
    headers: Mapping[str, str]
    at: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What to do to one call instead of answering it; see `FakeSlack.fail_next`."""

    kind: str
    accepted: bool = False
    delay: float = 0.0
    retry_after: float = 1.0


class FakeSlack:
    """The server. `rate_limits` may be switched at any time; `token_error` (`token_revoked`) refuses every call."""

    def __init__(
        self,
        *,
        channels: Iterable[str] = ("incidents",),
        limits: Limits | None = None,
        rate_limits: bool = False,
        port: int = 0,
        log: Path | None = None,
    ) -> None:
        self.token, self.signing_secret = TOKEN, SIGNING_SECRET
        self.token_error = ""
        self.rate_limits = rate_limits
        self.workspace = Workspace(time.time, self._accepted)
        for name in channels:
            self.workspace.add_channel(name)
        self.calls: deque[Call] = deque(maxlen=_REMEMBERED_CALLS)
        self.responses: list[dict[str, Any]] = []
        self.url = ""
        self.sockets = Sockets()
        self._limits = limits or Limits()
        self._port = port
        self._log = log
        self._failures: dict[str, deque[Failure]] = {}
        self._response_urls: dict[str, tuple[float, int]] = {}
        self._count = 0
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/api/{method}", self._api)
        application.router.add_post("/response/{id}", self._response)
        application.router.add_get("/_messages", self._shown)
        application.router.add_get("/link/", self.sockets.serve)
        application.router.add_post("/_fail", self._fail)
        application.router.add_post("/upload/{file}", self._upload)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/api/"
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self.sockets.close()
        await self._session.close()
        await self._runner.cleanup()

    # -- for tests -----------------------------------------------------------------------------------------------------

    def messages(self, channel: str) -> list[Post]:
        """The messages of a channel (id or name), oldest first, each with its thread's `replies`."""
        return self.workspace.channel(channel).posts

    def fail_next(
        self,
        method: str,
        kind: str,
        *,
        accepted: bool = False,
        delay: float = 0.0,
        retry_after: float = 1.0,
        times: int = 1,
    ) -> None:
        """Make the next `times` calls of `method` fail.

        `kind`: `http_500`, `http_503` (any status), `ratelimited` (with `retry_after` seconds), `drop` (the connection
        breaks), `timeout` (no answer ever comes), `ok` (this one passes), or any error word, such as `fatal_error`. With
        `accepted`, the call is carried out all the same, `delay` seconds after it came, and then fails.
        """
        queue = self._failures.setdefault(method, deque())
        queue.extend([Failure(kind, accepted, delay, retry_after)] * times)

    def recover(self) -> None:
        """Forget all failures still to come."""
        self._failures.clear()

    def called(self, method: str) -> list[Call]:
        """All calls of one method, oldest first."""
        return [call for call in self.calls if call.method == method]

    def response_url(self) -> str:
        """A fresh response_url: takes five posts within thirty minutes."""
        self._count += 1
        self._response_urls[str(self._count)] = time.time(), 0
        return self.url.replace("/api/", f"/response/{self._count}")

    # -- towards the bot -----------------------------------------------------------------------------------------------

    async def slash_command(
        self,
        bot_url: str,
        text: str,
        *,
        command: str = "/topology",
        channel: str = "incidents",
        user: str = "U000000001",
        sign: Sign = Sign.RIGHT,
    ) -> Answer:
        """What a person types, as Slack sends it to `{bot_url}/slack/events`."""
        where = self.workspace.channel(channel)
        url = self.response_url()
        body = slack_requests.command_body(command, text, user, where, url, self._trigger())
        return await self._send(bot_url, body, slack_requests.FORM, sign)

    async def interaction(
        self,
        bot_url: str,
        payload: Mapping[str, Any],
        *,
        channel: str = "incidents",
        user: str = "U000000001",
        sign: Sign = Sign.RIGHT,
    ) -> Answer:
        """A click: `payload` holds at least `actions`; the rest is filled in."""
        where = self.workspace.channel(channel)
        body = slack_requests.interaction_body(payload, user, where, self.response_url(), self._trigger())
        return await self._send(bot_url, body, slack_requests.FORM, sign)

    async def home_click(self, bot_url: str, payload: Mapping[str, Any], *, user: str = "U000000001") -> Answer:
        """A click on the App Home tab: it is in no channel and has no response_url."""
        body = slack_requests.home_click_body(payload, user, self._trigger())
        return await self._send(bot_url, body, slack_requests.FORM, Sign.RIGHT)

    async def hand_in(
        self,
        bot_url: str,
        view_id: str,
        values: Mapping[str, Any],
        *,
        user: str = "U000000001",
        sign: Sign = Sign.RIGHT,
    ) -> Answer:
        """The person fills a modal in and hands it in; what the bot answers is done to the modal."""
        modals = self.workspace.modals
        view = modals.handed_in(view_id, values)
        urls = [one | {"response_url": self.response_url()} for one in modals.answerable(view)]
        body = slack_requests.submission_body(view, user, self._trigger(), urls)
        answer = await self._send(bot_url, body, slack_requests.FORM, sign)
        if answer.status == 200:
            modals.answered(view_id, answer.json() if answer.text else {})
        return answer

    async def event(
        self, bot_url: str, event: Mapping[str, Any], *, retry: int = 0, sign: Sign = Sign.RIGHT, event_id: str = ""
    ) -> Answer:
        """An event of the Events API; `retry` 1 to 3 says that it is sent again (give its `event_id` then)."""
        self._count += 1
        body = slack_requests.event_body(event, event_id or f"Ev{self._count:09d}", time.time())
        again = {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": "http_timeout"} if retry else {}
        return await self._send(bot_url, body, slack_requests.JSON, sign, again)

    async def paste(
        self, bot_url: str, *urls: str, writing: bool = False, event_id: str = "", retry: int = 0
    ) -> Answer:
        """Somebody pastes links, in a message or in one that he is still `writing`."""
        self._count += 1
        where, ts = self.workspace.channel("incidents").id, f"17000000{self._count:02d}.000100"
        place = (f"Uxxx-{self._count}", "composer") if writing else (f"C{self._count}.{ts}", "conversations_history")
        self.workspace.links[place] = self.workspace.links[where, ts] = set(urls)
        event = {
            "type": "link_shared", "user": "U000000001", "channel": "COMPOSER" if writing else where,
            "message_ts": place[0] if writing else ts, "unfurl_id": place[0], "source": place[1], "is_bot_user_member": True,
            "links": [{"url": url, "domain": "topology.example"} for url in urls], "event_ts": ts,
        }  # fmt: skip
        return await self.event(bot_url, event, event_id=event_id, retry=retry)

    async def _send(
        self, bot_url: str, body: bytes, kind: str, sign: Sign, more: Mapping[str, str] | None = None
    ) -> Answer:
        headers = {
            "Content-Type": kind,
            **(more or {}),
            **slack_requests.signed(body, self.signing_secret, time.time(), sign),
        }
        url = f"{bot_url.rstrip('/')}/slack/events"
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            return Answer(response.status, dict(response.headers), await response.text())

    def _trigger(self) -> str:
        self._count += 1
        trigger = f"{self._count}.{self._count}.fake"
        self.workspace.modals.issue(trigger)
        return trigger

    # -- the server ----------------------------------------------------------------------------------------------------

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        args = await _arguments(request, method)
        queue = self._failures.get(method)
        failure = queue.popleft() if queue else None
        if failure is not None and failure.kind != "ok":
            return await self._failing(request, method, args, failure)
        wait = self._limits.refuse(method, str(args.get("channel")), time.monotonic()) if self.rate_limits else None
        if wait is not None:
            self._record(request, method, args, "ratelimited")
            return _too_fast(wait)
        answer = self._answer(request, method, args)
        self._record(request, method, args, "ok" if answer["ok"] else str(answer["error"]))
        return self._json(answer)

    async def _failing(
        self, request: web.Request, method: str, args: Mapping[str, Any], failure: Failure
    ) -> web.StreamResponse:
        self._record(request, method, args, failure.kind)
        if failure.accepted:
            await asyncio.sleep(failure.delay)
            self._answer(request, method, args)
        if failure.kind == "ratelimited":
            return _too_fast(failure.retry_after)
        if failure.kind.startswith("http_"):
            status = int(failure.kind.removeprefix("http_"))
            return web.Response(status=status, text="<html>Sorry!</html>", content_type="text/html")
        if failure.kind == "timeout":
            await self._closing.wait()
        if failure.kind in ("drop", "timeout"):
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return self._json({"ok": False, "error": failure.kind})

    def _answer(self, request: web.Request, method: str, args: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._authorise(request, method)
            if method == "apps.connections.open":
                return {"ok": True, "url": self.sockets.address(self.url)}
            answer = self.workspace.call(method, args)
        except ApiError as error:
            return {"ok": False, "error": error.code, **error.more}
        if method == "files.getUploadURLExternal":
            answer["upload_url"] = self.url.replace("/api/", f"/upload/{answer['upload_url']}")
        return answer

    def _authorise(self, request: web.Request, method: str) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if method == "api.test":
            return
        if kind != "Bearer" or not token:
            raise ApiError("not_authed")
        if token != (APP_TOKEN if method == "apps.connections.open" else self.token):
            raise ApiError("invalid_auth")
        if self.token_error:
            raise ApiError(self.token_error)

    def _json(self, answer: dict[str, Any]) -> web.Response:
        return web.json_response(answer, headers={"X-OAuth-Scopes": ",".join(sorted(self.workspace.scopes))})

    def _record(self, request: web.Request, method: str, args: Mapping[str, Any], outcome: str) -> None:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
        self.calls.append(Call(method, args, headers, time.time(), outcome))

    async def _response(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        opened_at, uses = self._response_urls.get(name, (0.0, 0))
        if time.time() > opened_at + RESPONSE_URL_SECONDS:
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        if uses >= RESPONSE_URL_USES:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        self._response_urls[name] = opened_at, uses + 1
        self.responses.append({**await request.json(), "response_url": str(request.url)})
        return web.Response(text="ok")

    async def _upload(self, request: web.Request) -> web.Response:
        if queue := self._failures.get("upload"):
            return web.Response(status=int(queue.popleft().kind.removeprefix("http_")))
        return web.Response(status=self.workspace.files.upload(request.match_info["file"], await request.read()))

    async def _shown(self, _request: web.Request) -> web.Response:
        channels = self.workspace.channels.values()
        return web.json_response({channel.name: [asdict(post) for post in channel.posts] for channel in channels})

    async def _fail(self, request: web.Request) -> web.Response:
        self.fail_next(**await request.json())
        return web.Response(status=204)

    def _accepted(self, what: str, channel: Channel, post: Post) -> None:
        if self._log is None:
            return
        line = {"at": time.time(), "what": what, "channel": channel.name, "channel_id": channel.id, "key": post.key}
        line |= {"ts": post.ts, "thread_ts": post.thread_ts, "text": post.text, "blocks": post.blocks}
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")


async def _arguments(request: web.Request, method: str) -> dict[str, Any]:
    """The arguments of a call, from wherever Slack reads them: JSON bodies only for methods that write."""
    args: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json" and not method.startswith(_READS):
        args.update(await request.json())
    elif request.can_read_body:
        args.update({name: value for name, value in (await request.post()).items() if isinstance(value, str)})
    return args


def _too_fast(wait: float) -> web.Response:
    # The real header is in whole seconds; a test whose second is shorter needs the fraction.
    shown = str(math.ceil(wait)) if wait >= 1 else f"{wait:.3f}"
    return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": shown})


async def _serve(port: int, log: Path | None, channels: list[str], rate_limits: bool) -> None:
    async with FakeSlack(channels=channels, rate_limits=rate_limits, port=port, log=log) as slack:
        print(slack.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted; the first line on stdout is the API's address."""
    parser = argparse.ArgumentParser(description="A fake Slack.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, help="append each accepted post and edit as a JSON line")
    parser.add_argument("--channel", action="append", help="a channel the bot is in (default: incidents)")
    parser.add_argument("--rate-limits", action="store_true")
    chosen = parser.parse_args()
    try:
        asyncio.run(_serve(chosen.port, chosen.log, chosen.channel or ["incidents"], chosen.rate_limits))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
