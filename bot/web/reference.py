"""GET `/api/v1/docs`: the OpenAPI document for people, as one page without scripts.

Comes in: the document (`bot.web.openapi`). Goes out: HTML made by `reference.html.j2`: every endpoint with who may ask, what it takes, a
command that asks it and what it answers; then every shape of an answer, field by field. Nothing is fetched from elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

from aiohttp import web
from markupsafe import Markup, escape

from bot import __version__, words
from bot.web import openapi
from bot.web.auth import Gate
from bot.web.map.reply import HEADERS
from bot.web.openapi import ADMIN, ANYBODY, INGEST, READ, ROUTES, SIGNED, Route
from bot.web.schemas import SCHEMAS

Schema = Mapping[str, Any]
_WHO = {
    READ: "a token with scope read", INGEST: "a token with scope ingest", ADMIN: "a token with scope admin",
    SIGNED: "whoever signs with the source's secret",
    ANYBODY: "anybody",
}  # fmt: skip
_GROUPS = ("Questions", "Agents", "Telemetry and changes", "Webhooks", "The bot itself", "Pages")
_ITSELF = frozenset(("openapi", "docs", "doctor", "accuracy", "health", "ready", "metrics"))
_PAGES = frozenset(("preview", "static", *(route.name for route in ROUTES if route.page)))
_FULL_NAMES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "object",
}
_PLACES = {"source": "alertmanager"}
_INCIDENTS = "/api/v1/incidents/"
EXAMPLES: Mapping[str, str] = {
    "services": "q=pay", "service": "at=-1h", "dependents": "depth=3", "causes": "at=02:50", "dependencies": "layers=trace,ipc",
    "picture": "format=svg&depth=2", "backstage": "min_confidence=0.9", "path": "from=web&to=payments",
    "graph": "service=payments&depth=1", "coverage": "service=payments", "diff": "from=-1d&kind=new", "digest": "from=-1d",
    "changes": "service=payments&from=-1d", "incidents": "state=open", "accuracy": "weeks=4", "flows": "format=flows",
}  # fmt: skip
"""Queries that show what a route is for, by its name."""
BODIES: Mapping[str, str] = {
    "mcp": '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}',
    "confirm": '{"service": "payments-db", "by": "ada"}',
    "change events": '{"at": 1795400000, "service": "payments", "kind": "deploy", "title": "payments 1.3"}',
}
"""Bodies that fit on a line; any other is a file."""


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter, or one field of an answer. `kind` is its type in words, `of` the name of the shape it refers to."""

    name: str
    kind: str
    of: str = ""
    what: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route as the page shows it."""

    anchor: str
    method: str
    path: str
    what: Markup
    who: str
    parameters: Sequence[Field]
    body: Sequence[str]
    command: str
    statuses: Sequence[tuple[str, str]]
    gives: Sequence[str]
    answer: str
    fields: Sequence[Field]


class Reference:
    """The route."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.get(openapi.path_of("docs"), self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """The page; 304 where the asker has it already."""
        self._gate.check(request, "read")
        text, tag = _page()
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=HEADERS | {"ETag": tag})
        return web.Response(text=text, content_type="text/html", headers=HEADERS | {"ETag": tag})


@cache
def _page() -> tuple[str, str]:
    """(the page, its tag): the same for everybody."""
    document = openapi.document()
    groups: dict[str, list[Endpoint]] = {name: [] for name in _GROUPS}
    for route in ROUTES:
        groups[_group(route)].append(_endpoint(route, document["paths"][route.path][route.method.lower()]))
    schemas = document["components"]["schemas"]
    shapes = {name: tuple(fields(schema, schemas)) for name, schema in sorted(schemas.items())}
    text = words.render("reference.html.j2", version=__version__, groups=groups, shapes=shapes)
    return text, f'"{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"'


def _group(route: Route) -> str:
    if route.name == "mcp":
        return "Agents"
    if route.name in _PAGES:
        return "Pages"
    if route.name in _ITSELF:
        return "The bot itself"
    if route.scope == SIGNED:
        return "Webhooks"
    return "Telemetry and changes" if route.scope == INGEST and route.name != "confirm" else "Questions"


def _endpoint(route: Route, operation: Schema) -> Endpoint:
    schemas = SCHEMAS
    return Endpoint(
        anchor=operation["operationId"],
        method=route.method,
        path=route.path,
        what=ticked(route.what),
        who=_WHO[route.scope],
        parameters=tuple(_parameter(one) for one in operation["parameters"]),
        body=route.body,
        command=command(route),
        statuses=tuple((status, HTTPStatus(int(status)).phrase) for status in (route.status, *route.problems)),
        gives=route.gives,
        answer=route.answer,
        fields=tuple(fields(schemas[route.answer], schemas)) if route.answer else (),
    )


def _parameter(one: Schema) -> Field:
    where = "in the path" if one["in"] == "path" else one.get("description", "")
    what = "" if "default" not in one["schema"] else f"; {one['schema']['default']} unless said"
    return Field(
        one["name"], kind_of(one["schema"])[0], what=ticked(f"{where}{what}"), required=one.get("required", False)
    )


def command(route: Route) -> str:
    """A command that asks a route, with `$BOT` for its address and `$TOKEN` for a token."""
    path = route.path.replace("{id}", "12" if route.path.startswith(_INCIDENTS) else "payments")
    for name, value in _PLACES.items():
        path = path.replace(f"{{{name}}}", value)
    query = EXAMPLES.get(route.name, "")
    parts = [f'curl -s "$BOT{path}{"?" if query else ""}{query}"']
    if route.scope in (READ, INGEST):
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if route.body:
        parts.append(f'-H "Content-Type: {route.body[0]}"')
        inline = BODIES.get(route.name)
        parts.append(f"-d '{inline}'" if inline else "--data-binary @FILE")
    return " \\\n  ".join(parts)


# -- schemas in words --------------------------------------------------------------------------------------------------------------------


def fields(schema: Schema, schemas: Mapping[str, Schema], within: str = "") -> Iterator[Field]:
    """The fields of an object, those of all its parts together, and of what is inside them as far as that has no name of its own:
    `items[].id`."""
    if isinstance(target := schema.get("$ref"), str):
        schema = schemas[_named(target)]
    for part in schema.get("allOf", ()):
        yield from fields(part, schemas, within)
    required = frozenset(schema.get("required", ()))
    for name, one in schema.get("properties", {}).items():
        kind, of = kind_of(one)
        yield Field(within + name, kind, of, required=name in required)
        yield from _inside(one, schemas, within + name)


def _inside(schema: Schema, schemas: Mapping[str, Schema], name: str) -> Iterator[Field]:
    if "properties" in schema:
        yield from fields(schema, schemas, f"{name}.")
    if isinstance(items := schema.get("items"), dict):
        yield from _inside(items, schemas, f"{name}[]")
    if isinstance(values := schema.get("additionalProperties"), dict):
        yield from _inside(values, schemas, f"{name}.*")
    for part in schema.get("allOf", ()):
        if "$ref" not in part:
            yield from _inside(part, schemas, name)


def kind_of(schema: Schema) -> tuple[str, str]:
    """(a type in words, the name of the shape it refers to or "")"""
    if isinstance(target := schema.get("$ref"), str):
        return "", _named(target)
    if "enum" in schema:
        return "one of " + ", ".join("null" if one is None else str(one) for one in schema["enum"]), ""
    for joined in ("anyOf", "allOf"):
        if joined in schema:
            return kind_of(schema[joined][0])
    kind = schema.get("type", "object")
    if kind == "array" and "enum" in schema.get("items", {}):
        return f"list of {', '.join(schema['items']['enum'])}", ""
    if kind == "array":
        inner, of = kind_of(schema.get("items", {}))
        return f"list of {inner}".rstrip(), of
    if kind == "object" and isinstance(values := schema.get("additionalProperties"), dict):
        inner, of = kind_of(values)
        return f"object, each value {inner}".rstrip(), of
    names = [kind] if isinstance(kind, str) else kind
    return " or ".join(_plain(name, schema) for name in names), ""


def _plain(name: str, schema: Schema) -> str:
    if name == "string" and schema.get("format") == "date-time":
        return "moment (ISO 8601)"
    if name in ("integer", "number") and "minimum" in schema:
        return f"{_FULL_NAMES[name]} from {schema['minimum']} to {schema['maximum']}"
    return _FULL_NAMES[name]


def ticked(text: str) -> Markup:
    """A text as HTML, what stands in `ticks` as code."""
    parts = text.split("`")
    return Markup().join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def _named(reference: str) -> str:
    return reference.rpartition("/")[2]
