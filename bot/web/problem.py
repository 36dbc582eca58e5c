"""Errors as RFC 9457 problem documents, and the middleware that counts every answer and keeps failures tidy."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from aiohttp import web

from bot import metrics
from bot.errors import BadRequest, NotFound, Overloaded, RateLimited
from bot.web.body import READING, Reading

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer as JSON."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json", headers=headers
    )


def problem(status: int, slug: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> web.Response:
    """A problem document (RFC 9457 §3). `detail` says what was wrong and what to do; it never holds a secret."""
    document = {
        "type": f"about:blank#{slug}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more,
    }  # fmt: skip
    body = msgspec.json.encode(document)
    return web.Response(body=body, status=status, content_type="application/problem+json", headers=headers)


def of_error(error: BadRequest | NotFound | Overloaded) -> web.Response:
    """The problem document of one of our own errors."""
    if isinstance(error, RateLimited):
        return problem(429, "rate-limited", str(error), {"Retry-After": str(error.retry_after)})
    if isinstance(error, Overloaded):
        return problem(503, "overloaded", str(error), {"Retry-After": str(error.retry_after)})
    headers = {"WWW-Authenticate": 'Bearer, Basic realm="topology-bot"'} if error.status == 401 else None
    more = {"suggestions": list(error.suggestions)} if isinstance(error, NotFound) else {}
    return problem(error.status, error.slug, str(error), headers, **more)


def empty_application(ending: Callable[[], None]) -> web.Application:
    """An application without routes, with what all of them rely on. `ending` is called before requests are waited for."""

    async def end(_: web.Application) -> None:
        ending()

    application = web.Application(middlewares=[errors])
    application.on_shutdown.append(end)
    application[READING] = Reading()
    return application


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn our errors, and aiohttp's own, into problem documents; count and time every answer by route."""
    started = time.perf_counter()
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "(none)"
    status = 500
    try:
        response = await handler(request)
    except (BadRequest, NotFound, Overloaded) as error:
        response = of_error(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = problem(error.status, error.reason.lower().replace(" ", "-"), error.reason)
        response.headers.extend({k: v for k, v in error.headers.items() if k == "Allow"})
    finally:
        metrics.HTTP_SECONDS.labels(route).observe(time.perf_counter() - started)
    status = response.status
    metrics.HTTP_REQUESTS.labels(route, str(status)).inc()
    return response
