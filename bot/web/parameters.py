"""The parameters of the JSON API, once: what reads them from a request also describes them in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot import moments
from bot.enrich.answers import APPLICATION, LEVELS, MAX_LIMIT, Query
from bot.enrich.graph_answer import DIRECTIONS
from bot.enrich.group_answer import BY
from bot.errors import BadRequest
from bot.model import Layer
from bot.page.address import OVERLAYS
from bot.picture.painter import Format

MAX_DEPTH = 100
_ROW_DIGITS = 10
MAX_WEEKS = 104


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter and its JSON schema."""

    name: str
    what: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


_TRUE = ("1", "true", "yes")
_FALSE = ("", "0", "false", "no")
_TEXT = {"type": "string", "maxLength": 300}

PARAMETERS: Mapping[str, Parameter] = {
    one.name: one
    for one in (
        Parameter("key", "the message's key, as the preview has it", _TEXT),
        Parameter("q", "keep services with this text in their id", _TEXT),
        Parameter("depth", "how many hops", {"type": "integer", "minimum": 1, "maximum": MAX_DEPTH}),
        Parameter("layers", "comma-separated: only edges that one of these layers saw", {
            "type": "array", "items": {"type": "string", "enum": [layer.value for layer in Layer]}}),
        Parameter("tier", "only services of this tier", _TEXT),
        Parameter("domain", "only services of this domain", _TEXT),
        Parameter("owner", "only services of this team, or with this Slack handle", _TEXT),
        Parameter("team", "only services of this team", _TEXT),
        Parameter("environment", "only services of this environment", _TEXT),
        Parameter("limit", "items on a page", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 100}),
        Parameter("cursor", "an earlier answer's `next_cursor`", _TEXT),
        Parameter("min_confidence", "only edges at least this sure", {"type": "number", "minimum": 0, "maximum": 1}),
        Parameter("hidden", "also self-calls, faded edges, estimates, scrapers, name servers, control planes", {"type": "boolean"}),
        Parameter("at", "the map as it was then: ISO 8601, `-1h`, or `02:50` (UTC)", _TEXT),
        Parameter("from", "start of a range, as `at`", _TEXT),
        Parameter("to", "end of a range, as `at`", _TEXT),
        Parameter("service", "services, comma-separated, by id or name; of `dependents`: others that fail with it", _TEXT),
        Parameter("level", "services as they name themselves, or the workloads they run on where a source knows them", {
            "type": "string", "enum": list(LEVELS), "default": APPLICATION}),
        Parameter("direction", "which way from `service`", {"type": "string", "enum": list(DIRECTIONS)}),
        Parameter("caller", "the service a path begins at; also `from`", _TEXT),
        Parameter("callee", "the service a path ends at; also `to`", _TEXT),
        Parameter("format", "what to write the picture as", {
            "type": "string", "enum": [form.value for form in Format], "default": Format.SVG.value}),
        Parameter("alert", "an alert's number or fingerprint: the time and the kind of trouble are its own", _TEXT),
        Parameter("about", "what the trouble is about, as an alert's title or a metric's name says it", _TEXT),
        Parameter("kind", "only changes of this kind", {"type": "string", "enum": ["new", "gone", "changed"]}),
        Parameter("weeks", "how many weeks back", {"type": "integer", "minimum": 1, "maximum": MAX_WEEKS, "default": 12}),
        Parameter("overlay", "what services and calls are coloured and labelled by", {
            "type": "string", "enum": list(OVERLAYS), "default": "health"}),
        Parameter("supposed", "as if the service failed, to see whom that would hit", {"type": "boolean"}),
        Parameter("by", "what services are put together by", {"type": "string", "enum": list(BY), "default": "domain"}),
        Parameter("group", "one domain or team; `-` for services that have none", _TEXT),
        Parameter("list", "all that may be meant, instead of the best", {"type": "boolean"}),
        Parameter("brief", "of edges, only how many", {"type": "boolean"}),
        Parameter("add", "services to pick besides, comma-separated", _TEXT),
        Parameter("shared", "the channel that a plan was shared to", _TEXT),
        Parameter("state", "only incidents in this state", {"type": "string", "enum": ["open", "resolved"]}),
    )
}  # fmt: skip

FILTERS = ("layers", "tier", "domain", "owner", "environment", "min_confidence", "hidden")
PAGE = ("limit", "cursor")
TIME = ("at", "from", "to")


def check(given: Mapping[str, str], allowed: tuple[str, ...]) -> None:
    """Raise BadRequest for parameters that a route does not have, and for texts beyond all measure."""
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise BadRequest(f"no such parameter here: {', '.join(unknown)[:200]}; there are {', '.join(sorted(allowed))}")
    for name, text in given.items():
        choices = PARAMETERS[name].schema.get("enum")
        if choices is not None and text not in choices:
            raise BadRequest(f"{name}: want one of {', '.join(choices)}")
        if len(text) > PARAMETERS[name].schema.get("maxLength", 1_000):
            raise BadRequest(f"{name} is too long")


def query(given: Mapping[str, str]) -> Query:
    """The parameters that shape every answer. Raises BadRequest naming the one that is wrong."""
    names = [name for name in given.get("layers", "").split(",") if name]
    strange = sorted(set(names) - set(Layer))
    if strange:
        raise BadRequest(f"layers: no layer called {', '.join(strange)[:80]}; there are {', '.join(Layer)}")
    hidden = given.get("hidden", "").lower()
    if hidden not in (*_TRUE, *_FALSE):
        raise BadRequest("hidden: want true or false")
    depth, limit = _number(given, "depth"), _number(given, "limit")
    return Query(
        depth=None if depth is None else int(depth),
        limit=100 if limit is None else int(limit),
        cursor=given.get("cursor", ""),
        layers=frozenset(Layer(name) for name in names),
        tier=given.get("tier", ""),
        domain=given.get("domain", ""),
        owner=given.get("owner", ""),
        environment=given.get("environment", ""),
        min_confidence=_number(given, "min_confidence"),
        hidden=hidden in _TRUE,
        level=given.get("level") or APPLICATION,
    )


def moment(given: Mapping[str, str], name: str, now: float) -> float | None:
    """A time, None where it is not given. Raises BadRequest where it is none, or to come."""
    text = given.get(name, "")
    if not text:
        return None
    try:
        found = moments.parse(text, now)
    except BadRequest as error:
        raise BadRequest(f"{name}: {error}") from None
    if found > now + 1:
        raise BadRequest(f"{name}: {text[:40]!r} is in the future")
    return found


def flag(given: Mapping[str, str], name: str) -> bool:
    """Yes or no; no where it is not given. Raises BadRequest."""
    text = given.get(name, "").lower()
    if text not in (*_TRUE, *_FALSE):
        raise BadRequest(f"{name}: want true or false")
    return text in _TRUE


def row_number(text: str) -> int | None:
    """The number of a row, as a path or a cursor has it; None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _ROW_DIGITS else None


def whole(given: Mapping[str, str], name: str, otherwise: int) -> int:
    """A whole number, `otherwise` where it is not given. Raises BadRequest."""
    found = _number(given, name)
    return otherwise if found is None else int(found)


def _number(given: Mapping[str, str], name: str) -> float | None:
    text = given.get(name)
    if text is None or text == "":
        return None
    schema = PARAMETERS[name].schema
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    whole = schema["type"] != "integer" or value.is_integer()
    if not schema["minimum"] <= value <= schema["maximum"] or not whole:
        kind = "a whole number" if schema["type"] == "integer" else "a number"
        raise BadRequest(f"{name}: want {kind} from {schema['minimum']} to {schema['maximum']}")
    return value
