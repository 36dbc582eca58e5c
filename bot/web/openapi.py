"""Every route of the program, once: the API takes its paths and parameters from here, and the OpenAPI document is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from bot import __version__
from bot.picture.painter import Format
from bot.web.parameters import FILTERS, PAGE, PARAMETERS, TIME
from bot.web.schemas import SCHEMAS

READ, INGEST, ADMIN, SIGNED, ANYBODY = "read", "ingest", "admin", "signature", ""
"""Who may: a token of that scope, whoever signs with the sender's own secret, anybody."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. `answer` names a schema, "" for what is not JSON; `body` the content types it takes,
    `gives` those it answers in that are not JSON; `scope` says who may."""

    name: str
    method: str
    path: str
    what: str
    parameters: tuple[str, ...] = ()
    answer: str = ""
    body: tuple[str, ...] = ()
    status: str = "200"
    problems: tuple[str, ...] = ("400", "401", "403", "429")
    required: frozenset[str] = field(default_factory=frozenset)
    gives: tuple[str, ...] = ()
    scope: str = READ
    page: bool = False
    """For people: HTML, its problems too; it may lead elsewhere."""


_ONE = ("400", "401", "403", "404", "409", "429")
_IN = ("400", "401", "403", "413", "415", "503")
_PAGE = ("400", "401", "403", "404", "409", "429")
_NDJSON = ("application/x-ndjson",)
_OTLP = ("application/x-protobuf", "application/json")

ROUTES: tuple[Route, ...] = (
    Route("services", "GET", "/api/v1/services", "All services", ("q", *PAGE, *FILTERS, *TIME), "ServiceList"),
    Route("service", "GET", "/api/v1/services/{id}", "One service with its edges",
          ("level", "limit", *FILTERS, *TIME), "ServiceDetail", problems=_ONE),
    Route("owner", "GET", "/api/v1/services/{id}/owner", "Who owns it and is on call; also what only the catalogue knows",
          ("at",), "Ownership", problems=_ONE),
    Route("dependents", "GET", "/api/v1/services/{id}/dependents", "Who needs it: the blast radius, ranked",
          ("level", "service", "depth", *PAGE, *FILTERS, *TIME), "DependentList", problems=_ONE),
    Route("causes", "GET", "/api/v1/services/{id}/causes", "Likely causes of its trouble, ranked, with evidence",
          ("at", "alert", "about", "limit"), "CauseList", problems=_ONE),
    Route("dependencies", "GET", "/api/v1/services/{id}/dependencies", "What it needs",
          ("level", "depth", *PAGE, *FILTERS, *TIME), "DependencyList", problems=_ONE),
    Route("picture", "GET", "/api/v1/services/{id}/picture", "It and what is around it as a picture", ("format", "depth", "at", "layers"),
          problems=(*_ONE, "503"), gives=tuple(form.content_type for form in Format)),
    Route("backstage", "GET", "/api/v1/services/{id}/backstage", "Its dependencies as a Backstage entity, and how sure each is",
          ("limit", "layers", "min_confidence", "hidden", "at"), "BackstageEntity", problems=_ONE),
    Route("path", "GET", "/api/v1/path", "Call paths `from` one service `to` another (both are services here)",
          ("from", "to", "caller", "callee", "depth", *PAGE, *FILTERS, "at"), "PathList", problems=_ONE),
    Route("graph", "GET", "/api/v1/graph", "The map, or what is around some services",
          ("level", "service", "depth", "direction", *PAGE, *FILTERS, *TIME), "Graph", problems=_ONE),
    Route("groups", "GET", "/api/v1/groups", "The map by domain or team: groups and the calls between them", ("by",), "Document"),
    Route("coverage", "GET", "/api/v1/coverage", "How complete the map is", ("service", *TIME), "CoverageAnswer", problems=_ONE),
    Route("diff", "GET", "/api/v1/diff", "What changed between two moments",
          ("from", "to", "kind", "service", *PAGE, *FILTERS), "ChangeList", problems=_ONE),
    Route("digest", "GET", "/api/v1/digest", "Dependencies that became new, gone or changed, confirmed by persistence",
          ("from", "to", "kind", "service", "team", "owner", "domain", "tier", "layers", *PAGE), "DigestList", problems=_ONE),
    Route("changes", "GET", "/api/v1/changes", "Change events, the newest first", ("service", "from", "to", *PAGE), "ChangeEventList",
          problems=_ONE),
    Route("incidents", "GET", "/api/v1/incidents", "Incidents, the newest first", ("state", *PAGE), "IncidentList"),
    Route("incident", "GET", "/api/v1/incidents/{id}", "One incident with its alerts and decisions", (), "Incident", problems=_ONE),
    Route("confirm", "POST", "/api/v1/incidents/{id}/cause", "Say who was at fault, once an incident is over", (), "Document",
          ("application/json",), problems=(*_IN, "404", "429"), scope=INGEST),
    Route("accuracy", "GET", "/api/v1/accuracy", "How right blast radius and likely causes were", ("weeks",), "Accuracy"),
    Route("stream", "GET", "/api/v1/stream", "Server-sent events: what changes on the map and in incidents", ("brief",), ""),
    Route("openapi", "GET", "/api/v1/openapi.json", "This document", (), "Document"),
    Route("docs", "GET", "/api/v1/docs", "The same for people to read", gives=("text/html",)),
    Route("doctor", "GET", "/api/v1/doctor", "What works and what to mend", (), "Document"),
    Route("overlay", "POST", "/api/v1/overlay", "One trace (OTLP, Zipkin or Jaeger JSON) laid over the map", (), "Document",
          ("application/json",), problems=(*_IN, "429")),
    Route("mcp", "POST", "/mcp", "MCP over Streamable HTTP: the questions as tools of an agent", (), "Document", ("application/json",),
          problems=(*_IN, "406", "429")),
    Route("otlp traces", "POST", "/v1/traces", "OTLP traces", (), "", _OTLP, problems=_IN, scope=INGEST),
    Route("otlp metrics", "POST", "/v1/metrics", "OTLP metrics", (), "", _OTLP, problems=_IN, scope=INGEST),
    Route("zipkin", "POST", "/api/v2/spans", "Zipkin v2 spans", (), "", ("application/json",), "202", _IN, scope=INGEST),
    Route("remote write", "POST", "/api/v1/write", "Prometheus remote write 1.0 and 2.0", (), "", ("application/x-protobuf",), "204", _IN,
          scope=INGEST),
    Route("flows", "POST", "/ingest/flows", "Flow records; `format` says whose", ("format",), "Receipt", _NDJSON, "202", _IN, scope=INGEST),
    Route("identities", "POST", "/ingest/identities", "Who owned which address when; where listeners lead",
          (), "Receipt", _NDJSON, "202", _IN, scope=INGEST),
    Route("change events", "POST", "/ingest/changes", "What was deployed, configured, switched or scaled",
          (), "Receipt", _NDJSON, "202", _IN, scope=INGEST),
    Route("change webhooks", "POST", "/webhooks/changes/{source}", "Changes as deploy tools tell of them", (), "",
          ("application/json",), "202", (*_IN, "404"), scope=SIGNED),
    Route("webhooks", "POST", "/webhooks/{source}", "Alerts", (), "", ("application/json",), "202", (*_IN, "404"), scope=SIGNED),
    Route("slack", "POST", "/slack/events", "Slack's commands and clicks", (), "", ("application/json",), problems=("401", "404"),
          scope=SIGNED),
    Route("health", "GET", "/healthz", "The process answers", (), "Document", problems=(), scope=ANYBODY),
    Route("ready", "GET", "/readyz", "Whether alerts can be taken in and worked", (), "Document", problems=("503",), scope=ANYBODY),
    Route("metrics", "GET", "/metrics", "Prometheus metrics", (), "", problems=("401", "403")),
    Route("home", "GET", "/", "The page that opens first: what matters now", (), "", problems=_PAGE, page=True),
    Route("search", "GET", "/search", "To the service that is meant by `q`; with `list`, all that may be", ("q", "list"), "",
          problems=_PAGE, page=True),
    Route("groups page", "GET", "/groups", "The map by domain or team, and one group's services", ("by", "group"), "",
          problems=_PAGE, page=True),
    Route("map", "GET", "/map", "The map around a service", ("service", "depth", "direction", "layers", "at", "overlay", "supposed"), "",
          problems=_PAGE, page=True),
    Route("incidents page", "GET", "/incidents", "All incidents", ("state", "cursor"), "", problems=_PAGE, page=True),
    Route("incident page", "GET", "/incidents/{id}", "One incident, with the map as it was then", (), "", problems=_PAGE, page=True),
    Route("diff page", "GET", "/diff", "What changed between two moments, drawn", ("from", "to", "kind", "service", "layers", "cursor"), "",
          problems=_PAGE, page=True),
    Route("plan", "GET", "/plan", "Who would be hit if services went down together, and whom to tell", ("service", "add", "shared"), "",
          problems=_PAGE, page=True),
    Route("share", "POST", "/plan/share", "The plan as a message to Slack", (), "", ("application/x-www-form-urlencoded",), "303", _PAGE,
          page=True, scope=ADMIN),
    Route("trace page", "GET", "/trace", "Where to put a trace", (), "", problems=_PAGE, page=True),
    Route("trace shown", "POST", "/trace", "One trace over the map", (), "", ("multipart/form-data",), problems=(*_PAGE, "413"), page=True),
    Route("coverage page", "GET", "/coverage", "How much of the world the map sees", (), "", problems=_PAGE, page=True),
    Route("messages", "GET", "/messages", "The messages as Slack draws them", (), "", problems=_PAGE, page=True),
    Route("enclosed", "GET", "/messages/enclosed", "The picture or file that a message encloses", ("key",), "",
          problems=(*_PAGE, "404", "503"), gives=("image/png", "text/plain"), page=True),
    Route("preview", "GET", "/preview", "Where the messages used to be", (), "", status="302", problems=(), scope=ANYBODY),
    Route("static", "GET", "/static/{name}", "The pages' files", (), "", problems=("404",), scope=ANYBODY),
)  # fmt: skip
"""Every route there is."""


@cache
def path_of(name: str) -> str:
    """The path of a route."""
    return next(route.path for route in ROUTES if route.name == name)


@cache
def allowed(name: str) -> tuple[str, ...]:
    """The query parameters of a route."""
    return next(route.parameters for route in ROUTES if route.name == name)


@cache
def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "topology-bot",
            "version": __version__,
            "description": "A live map of which service calls which.",
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


_PROBLEM = {
    "description": "A problem document (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_PAGE_PROBLEM = {"description": "A page that says what was wrong", "content": {"text/html": {}}}


def _operation(route: Route) -> dict[str, Any]:
    answers: dict[str, Any] = {route.status: {"description": "The answer"}}
    if route.answer:
        schema = {"$ref": f"#/components/schemas/{route.answer}"}
        answers[route.status]["content"] = {"application/json": {"schema": schema}}
    if route.gives:
        answers[route.status]["content"] = {kind: {} for kind in route.gives}
    if route.page:
        answers[route.status]["content"] = {"text/html": {}}
        answers["302"] = {"description": "To another page"}
    for status in route.problems:
        answers[status] = _PAGE_PROBLEM if route.page else _PROBLEM
    operation: dict[str, Any] = {
        "operationId": route.name.replace(" ", "_"),
        "summary": route.what,
        "parameters": [*_in_path(route.path), *(_in_query(name, route) for name in route.parameters)],
        "responses": answers,
        "security": _security(route),
    }
    if route.body:
        operation["requestBody"] = {"required": True, "content": {kind: {} for kind in route.body}}
    return operation


def _security(route: Route) -> list[dict[str, list[str]]]:
    """Who may: where no token is set at all, this machine without one."""
    return [{}, {"bearer": [route.scope]}] if route.scope in (READ, INGEST, ADMIN) else []


def _in_path(path: str) -> list[Mapping[str, Any]]:
    names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(name: str, route: Route) -> Mapping[str, Any]:
    if name == "format" and route.body:
        return {"name": name, "in": "query", "schema": {"type": "string"}, "description": "whose records"}
    one = PARAMETERS[name]
    found: dict[str, Any] = {"name": name, "in": "query", "schema": one.schema, "description": one.what}
    if one.schema.get("type") == "array":
        found |= {"style": "form", "explode": False}
    return found
