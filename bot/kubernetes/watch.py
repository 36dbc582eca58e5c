"""Follows one kind of object: a list, and then every change to it, for as long as the program runs.

Comes in: the API's JSON. Goes out: objects to a `Mirror`. What is lost, and counted: objects that do not fit their type.

A watch is one answer without an end, a JSON object a line. It starts from a resource version; the server forgets old ones
(410 Gone), and then everything is listed again. Bookmarks keep the version fresh where nothing changes. Any failure leads to
another try, after a pause that grows to a minute.

Source: kubernetes.io/docs/reference/using-api/api-concepts (efficient detection of changes)
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import msgspec

from bot.errors import BotError
from bot.kubernetes.config import Cluster
from bot.kubernetes.identities import MAX_OBJECTS
from bot.kubernetes.objects import (
    Bookmark,
    DaemonSet,
    Deployment,
    EndpointSlice,
    Node,
    Object,
    Pod,
    Service,
    StatefulSet,
)

PAGE = 500
MAX_LINE = 4 * 2**20
"""Bytes of one change. etcd takes objects of up to 1.5 MB."""
MAX_PAGE = 128 * 2**20
WATCH_SECONDS = 300
_SILENCE_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
_STEADY_SECONDS = 10.0
_GONE, _UNAUTHORIZED, _FORBIDDEN = 410, 401, 403
_MAX_PAGES = 10_000
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading JSON may raise: that which nests too deep is skipped with the interpreter's own stack."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object, all namespaces."""

    name: str
    path: str
    kind: type[Object]


RESOURCES = (
    Resource("nodes", "/api/v1/nodes", Node),
    Resource("services", "/api/v1/services", Service),
    Resource("endpointslices", "/apis/discovery.k8s.io/v1/endpointslices", EndpointSlice),
    Resource("pods", "/api/v1/pods", Pod),
)
"""Who has which address."""

WORKLOADS = (
    Resource("deployments", "/apis/apps/v1/deployments", Deployment),
    Resource("statefulsets", "/apis/apps/v1/statefulsets", StatefulSet),
    Resource("daemonsets", "/apis/apps/v1/daemonsets", DaemonSet),
)
"""What is rolled out."""


class Mirror(Protocol):
    """Who wants to know."""

    def listed(self, kind: type[Object], objects: list[Object]) -> None:
        """This is all there is."""

    def changed(self, one: Object) -> None:
        """It is new or different."""

    def deleted(self, one: Object) -> None:
        """It is gone; this was its last state."""


class ApiError(BotError):
    """The API said no, or something else than its protocol. `status` is HTTP's, 0 where the fault lies elsewhere."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _OutOfStep(ApiError):
    """What came on a watch cannot be followed, and would come again: only a new list helps."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(0, text)
        self.reason = reason


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    next_page: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct):
    code: int = 0
    reason: str = ""


class Api:
    """Requests to one cluster. `session` stays the caller's."""

    def __init__(self, session: aiohttp.ClientSession, cluster: Cluster) -> None:
        self._session = session
        self._cluster = cluster

    @asynccontextmanager
    async def get(
        self, path: str, params: Mapping[str, str], silence: float = _SILENCE_SECONDS
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that is fine. Raises ApiError where it is not, `silence` (s) being the longest wait for more of it."""
        token = self._cluster.token.value()
        async with self._session.get(
            self._cluster.server + path,
            params=params,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            ssl=self._cluster.tls or True,
            server_hostname=self._cluster.tls_name,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=silence),
        ) as response:
            if response.status == _UNAUTHORIZED:
                self._cluster.token.expire()
            if response.status != 200:
                raise ApiError(response.status, f"HTTP {response.status} for {path}")
            yield response


class Follower:
    """Follows one resource. `listed` is set once its list, or the news that we may not have it, is there."""

    def __init__(self, api: Api, resource: Resource, mirror: Mirror, clock: Callable[[], float] = time.time) -> None:
        self.listed = asyncio.Event()
        self.dropped: Counter[str] = Counter()
        self.resource = resource
        self._api = api
        self._mirror = mirror
        self._clock = clock
        self._version = ""
        self._lists = 0
        self._heard_at: float | None = None
        self._error = ""

    def state(self) -> dict[str, object]:
        """For `doctor`: how often all was listed, when the API last said anything, what is wrong now."""
        return {"lists": self._lists, "last_heard": self._heard_at, "error": self._error, "dropped": dict(self.dropped)}

    async def run(self) -> None:
        """List, watch, and never give up."""
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                if not self._version:
                    await self._list()
                self._error = ""
                await self._watch()
            except ApiError as error:
                self._refused(error)
            except BotError as error:
                self._error = str(error)
            except _UNREADABLE:
                self._error = "what came is not an answer of the Kubernetes API"
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                self._error = f"unreachable ({type(error).__name__})"
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads replicas, keeps no secret
            lived = time.monotonic() - began > _STEADY_SECONDS + pause
            pause = _FIRST_PAUSE if lived else min(pause * 2, _LONGEST_PAUSE)

    def _refused(self, error: ApiError) -> None:
        if error.status == _GONE:  # in the course of things
            self._version = ""
            return
        self._error = str(error)
        if isinstance(error, _OutOfStep):
            self.dropped[error.reason] += 1
            self._version = ""
        elif error.status == _FORBIDDEN:
            self._error += f": the service account has to be allowed to list and watch {self.resource.name}"
            self.listed.set()  # the other resources are worth having without it

    async def _list(self) -> None:
        objects: list[Object] = []
        params = {"limit": str(PAGE)}
        for _ in range(_MAX_PAGES):
            async with self._api.get(self.resource.path, params) as response:
                page = msgspec.json.decode(await _body(response), type=_List)
            for item in page.items or ():
                one = self._read(item)
                if one is not None and len(objects) < MAX_OBJECTS:
                    objects.append(one)
                elif one is not None:
                    self.dropped["object: too many"] += 1
            self._heard_at = self._clock()
            if not page.metadata.next_page:
                break
            params["continue"] = page.metadata.next_page
        else:
            raise ApiError(0, f"a list of {self.resource.name} that goes on after {_MAX_PAGES} pages")
        self._version = page.metadata.resource_version
        self._lists += 1
        self._mirror.listed(self.resource.kind, objects)
        self.listed.set()

    async def _watch(self) -> None:
        params = {
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with self._api.get(self.resource.path, params, WATCH_SECONDS + _SILENCE_SECONDS) as response:
            async for line in _lines(response.content):
                self._take(_event(line))
                self._heard_at = self._clock()

    def _take(self, event: _Event) -> None:
        if event.type == "ERROR":
            status = msgspec.json.decode(event.object, type=_Status)
            raise ApiError(status.code, f"the watch failed ({status.code} {status.reason[:60]})")
        if event.type == "BOOKMARK":
            self._version = msgspec.json.decode(event.object, type=Bookmark).metadata.resource_version
            return
        one = self._read(event.object)
        if one is None:
            return
        if event.type == "DELETED":
            self._mirror.deleted(one)
        else:
            self._mirror.changed(one)
        self._version = one.metadata.resource_version or self._version

    def _read(self, raw: msgspec.Raw) -> Object | None:
        try:
            return msgspec.json.decode(raw, type=self.resource.kind)
        except _UNREADABLE:
            self.dropped["object: malformed"] += 1
            return None


def _event(line: bytes) -> _Event:
    try:
        return msgspec.json.decode(line, type=_Event)
    except _UNREADABLE:
        raise _OutOfStep("change: malformed", "a change that is not JSON") from None


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_PAGE:
            raise ApiError(0, f"a list page of more than {MAX_PAGE >> 20} MiB")
    return bytes(body)


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length up to `MAX_LINE`; a last one without an end is a connection that broke, and is left out."""
    rest = bytearray()
    async for part in stream.iter_any():
        *lines, tail = part.split(b"\n")
        for line in lines:
            if whole := _whole(rest + line):
                yield whole
            rest.clear()
        _whole(rest)
        rest += tail


def _whole(line: bytearray) -> bytes:
    if len(line) > MAX_LINE:
        raise _OutOfStep("change: too long", f"a change of more than {MAX_LINE >> 20} MiB")
    return bytes(line)
