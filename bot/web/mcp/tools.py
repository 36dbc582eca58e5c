"""The tools that an agent has: each is one question of `bot.web.questions`, so its answer is the API's.

Comes in: a tool's name and arguments as JSON. Goes out: the answer, as text and as structured content that keeps to the tool's
output schema; or what was wrong with the question and what to do about it, which is an answer too. Schemas are made of the ones the
OpenAPI document is made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import msgspec

from bot import metrics
from bot.errors import BadRequest, BotError, NotFound, Overloaded, RateLimited
from bot.web import openapi
from bot.web.parameters import PARAMETERS
from bot.web.schemas import SCHEMAS

Json = dict[str, Any]
_LIMIT, _MAX_LIMIT = 25, 200
_MAX_NAMES = 50
_SAFE_INTEGER = 2**53
_SCOPE = ("tier", "domain", "owner", "environment")
_SURE = ("layers", "min_confidence", "hidden")
_REFERENCE = re.compile(r"^#/components/schemas/(\w+)$")
_NAME: Json = {"type": "string", "maxLength": 300, "description": "a service by its id, an alias or its bare name"}
_NAMES: Json = {"type": "array", "items": {"type": "string", "maxLength": 300}, "minItems": 1, "maxItems": _MAX_NAMES}


class UnknownTool(BotError):
    """Nobody has a tool of that name."""


class Answers(Protocol):
    """Who knows: `bot.web.questions.Questions`, or a bot that is asked from elsewhere."""

    async def answer(self, name: str, given: Mapping[str, str], about: str = "") -> Json:
        """The answer to the question `name`. Raises BotError."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `about` is the argument that says whom the question is about; `takes` are parameters by their names in the API,
    `services` standing for its `service`; `needs` those that cannot be left out; `unless_said` what a parameter is then."""

    name: str
    title: str
    what: str
    question: str
    about: str = ""
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    unless_said: tuple[tuple[str, str], ...] = ()


_PAGE = ("limit", "cursor")
TOOLS: tuple[Tool, ...] = (
    Tool("search_services", "Search services", "Finds services by a part of their id (`q`; leave it out for all), tier, domain, owner or "
         "environment. Where no id has that part, `suggestions` are the closest names.", "services", takes=("q", *_SCOPE, *_PAGE)),
    Tool("service", "One service", "One service: its kind, health, owner and links, and each of its calls (`callers`, `callees`) with "
         "every layer's own numbers and the call's confidence.", "service", "service", ("at", "limit", *_SURE)),
    Tool("dependents", "Dependents", "Who calls a service: its direct callers, or as many hops as `depth` says.", "dependents",
         "service", ("depth", "at", *_SCOPE, *_SURE, *_PAGE), unless_said=(("depth", "1"),)),
    Tool("dependencies", "Dependencies", "What a service calls: its direct callees, or as many hops as `depth` says.", "dependencies",
         "service", ("depth", "at", *_SCOPE, *_SURE, *_PAGE), unless_said=(("depth", "1"),)),
    Tool("path", "Paths between two services", "By which calls the service `from` reaches the service `to`, the shortest first. No items: "
         "no way is known.", "path", takes=("from", "to", "depth", "at", *_SURE), needs=("from", "to")),
    Tool("likely_causes", "Likely causes", "Where trouble at a service likely comes from: candidates with a probability `p` and evidence, "
         "who is ruled out, who cannot be judged, and changes on the way. `named` is null where no candidate is likely enough.",
         "causes", "service", ("at", "alert", "about")),
    Tool("blast_radius", "Blast radius", "Who is hit now, and who is at risk, when these services fail or are taken down together: all "
         "transitive dependents, ranked, and the owners to tell.", "dependents", "services", ("depth", "at", *_SCOPE, *_SURE, *_PAGE)),
    Tool("diff", "What changed on the map", "Which calls are new, gone or changed between two moments (the last day unless said), of "
         "some services or of all.", "diff", takes=("from", "to", "services", "kind", "layers", *_PAGE)),
    Tool("map_at", "The map at a moment", "The map as it was at a past moment: services and calls around some services, `depth` hops in "
         "`direction`, or a page of all of it.", "graph", takes=("at", "services", "depth", "direction", *_SURE, *_PAGE), needs=("at",)),
    Tool("changes", "Change events", "What was deployed, configured, switched or scaled (the last day unless said), the newest first.",
         "changes", takes=("services", "from", "to", *_PAGE)),
    Tool("incidents", "Incidents", "Incidents, the newest first; `incident` has more of each.", "incidents", takes=("state", *_PAGE)),
    Tool("incident", "One incident", "One incident by its number: what its message says (the likely cause with its probability among "
         "it), its alerts, and every decision the bot took.", "incident", "incident"),
    Tool("owner", "Owner", "Who owns a service and is on call for it, each fact with its source and age; also of services that only the "
         "catalogue knows. No owner: nobody said one.", "owner", "service", ("at",)),
)  # fmt: skip
_BY_NAME = {tool.name: tool for tool in TOOLS}


class Tools:
    """Calls them. `answers` knows."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def listed(self) -> Sequence[Json]:
        """All tools as `tools/list` has them, always in the same order."""
        return _listed()

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Json:
        """The result of one call. Raises UnknownTool."""
        tool = _BY_NAME.get(name)
        if tool is None:
            raise UnknownTool(f"no tool {name[:80]!r} here; there are {', '.join(_BY_NAME)}")
        try:
            about, given = _question(tool, arguments)
            answer = await self._answers.answer(tool.question, given, about)
        except BotError as error:
            metrics.MCP_CALLS.labels(name, "refused").inc()
            return {"content": [{"type": "text", "text": _told(error)}], "isError": True}
        metrics.MCP_CALLS.labels(name, "answered").inc()
        # The text is for clients from before there was structured content.
        text = msgspec.json.encode(answer).decode()
        return {"content": [{"type": "text", "text": text}], "structuredContent": answer, "isError": False}


def _told(error: BotError) -> str:
    """What was wrong and what to do."""
    said = str(error)
    if isinstance(error, NotFound):
        if error.suggestions and not any(one in said for one in error.suggestions):
            said += f" Say one of: {', '.join(error.suggestions)}."
        said += " search_services finds services by a part of their name."
    if isinstance(error, Overloaded) and not isinstance(error, RateLimited):  # which says so itself
        said += f"; ask again in {error.retry_after} s"
    return said


# -- what is asked -------------------------------------------------------------------------------------------------------------------


def _question(tool: Tool, arguments: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """(whom it is about, parameters as texts). Raises BadRequest naming the argument that is wrong."""
    schema = _input(tool)
    unknown = sorted(set(arguments) - schema["properties"].keys())
    if unknown:
        there = ", ".join(schema["properties"])
        raise BadRequest(f"{tool.name} has no argument {', '.join(unknown)[:80]!r}; there are {there}")
    given = {
        name: text for name, value in arguments.items() if (text := _text(name, value, schema["properties"][name]))
    }
    if missing := [name for name in schema["required"] if name not in given]:
        raise BadRequest(f"{tool.name} needs {' and '.join(missing)}")
    given = dict(tool.unless_said) | given
    if "limit" in schema["properties"]:
        given["limit"] = _limited(given.get("limit", str(_LIMIT)))
    about = given.pop(tool.about, "")
    if "services" in given:
        given["service"] = given.pop("services")
    if tool.about == "services":
        about, _, others = about.partition(",")
        given |= {"service": others} if others else {}
    return about, given


def _limited(text: str) -> str:
    if not text.isascii() or not text.isdigit() or not 1 <= len(text) <= 4 or not 1 <= int(text) <= _MAX_LIMIT:
        raise BadRequest(f"limit: want a whole number from 1 to {_MAX_LIMIT}; next_cursor leads on")
    return str(int(text))


def _text(name: str, value: object, schema: Json) -> str:
    """An argument as the API's parameters have it; "" for null. Models write numbers as texts and lists of one as a text: taken."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if schema["type"] == "array" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        if len(value) > _MAX_NAMES:
            raise BadRequest(f"{name}: at most {_MAX_NAMES}")
        return ",".join(value)
    if isinstance(value, bool) and schema["type"] == "boolean":
        return "true" if value else "false"
    if isinstance(value, int | float) and schema["type"] in ("integer", "number") and not isinstance(value, bool):
        if not abs(value) <= _SAFE_INTEGER:
            raise BadRequest(f"{name}: no number that large")
        return str(int(value)) if float(value).is_integer() else repr(value)
    wanted = {"array": "a list of texts", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
    raise BadRequest(f"{name}: want {wanted.get(schema['type'], 'a text')}")


# -- schemas -------------------------------------------------------------------------------------------------------------------------


@cache
def _listed() -> list[Json]:
    return [
        {
            "name": tool.name,
            "title": tool.title,
            "description": tool.what,
            "inputSchema": _input(tool),
            "outputSchema": _output(tool.question),
            "annotations": {"title": tool.title, "readOnlyHint": True, "idempotentHint": True, "openWorldHint": False},
        }
        for tool in TOOLS
    ]


@cache
def _input(tool: Tool) -> Json:
    properties: Json = {tool.about: _about(tool.about)} if tool.about else {}
    properties |= {name: _parameter(tool, name) for name in tool.takes}
    required = [*([tool.about] if tool.about else []), *tool.needs]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _about(name: str) -> Json:
    if name == "services":
        return _NAMES | {"description": "the service that fails, or several that are taken down together"}
    return {"type": "integer", "minimum": 1, "description": "its number"} if name == "incident" else _NAME


def _parameter(tool: Tool, name: str) -> Json:
    if name == "services":
        return _NAMES | {"description": "only what concerns these services, by id or name"}
    if name == "limit":
        return {
            "type": "integer",
            "minimum": 1,
            "maximum": _MAX_LIMIT,
            "default": _LIMIT,
            "description": "items on a page",
        }
    if name in tool.needs and name in ("from", "to"):
        return _NAME | {
            "description": f"{_NAME['description']}, where the calls {'begin' if name == 'from' else 'end'}"
        }
    one = PARAMETERS[name]
    unless_said = dict(tool.unless_said).get(name)
    more = {} if unless_said is None else {"default": int(unless_said)}
    return {**one.schema, **more, "description": one.what.removeprefix("comma-separated: ")}


@cache
def _output(question: str) -> Json:
    """The schema of a question's answer, with those it refers to."""
    name = next(route.answer for route in openapi.ROUTES if route.name == question)
    needed, waiting = {name}, [name]
    while waiting:
        for other in _references(SCHEMAS[waiting.pop()]):
            if other not in needed:
                needed.add(other)
                waiting.append(other)
    own = _rewritten(SCHEMAS[name])
    return {"type": "object", **own, "$defs": {other: _rewritten(SCHEMAS[other]) for other in sorted(needed - {name})}}


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(target := schema.get("$ref"), str):
            yield _REFERENCE.sub(r"\1", target)
        schema = list(schema.values())
    if isinstance(schema, list):
        for one in schema:
            yield from _references(one)


def _rewritten(schema: Any) -> Any:
    """A schema whose references lead into the same document."""
    if isinstance(schema, dict):
        return {
            key: _REFERENCE.sub(r"#/$defs/\1", one) if key == "$ref" else _rewritten(one) for key, one in schema.items()
        }
    return [_rewritten(one) for one in schema] if isinstance(schema, list) else schema
