"""What one source says of services: what every reader makes, and the notebook it makes it in.

Comes in: fields that somebody wrote. Goes out: a `Reading`. What is lost: what cannot be used, each named in `problems` with
its place; texts beyond `MAX_TEXT`, lists beyond `MAX_LISTED`, problems beyond `MAX_PROBLEMS` are cut and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from bot import names
from bot.catalog.entries import Link
from bot.catalog.plain_yaml import Fields, Items, Value
from bot.model import Kind
from bot.slack_ids import mention_id

MAX_SERVICES = 50_000
MAX_LISTED = 50
MAX_TEXT = 300
MAX_URL = 2_000
MAX_PROBLEMS = 100

_WEB_ADDRESS = re.compile(r"https?://[^\s<>|\"]+")
_NUMBERED_TIER = re.compile(r"(?:tier[\s_-]*|t)(\d{1,2})", re.IGNORECASE)
_KIND_WORDS = (
    ("cache", Kind.CACHE), ("redis", Kind.CACHE), ("queue", Kind.QUEUE), ("topic", Kind.QUEUE), ("kafka", Kind.QUEUE),
    ("datastore", Kind.DATABASE), ("database", Kind.DATABASE), ("postgres", Kind.DATABASE), ("mysql", Kind.DATABASE),
    ("gateway", Kind.GATEWAY), ("service", Kind.SERVICE),
)  # fmt: skip
_NOTHING = Fields()
_NOTHING.lines = {}


class Format(IntEnum):
    """Who says it. The smaller is believed before the greater: what people wrote for this bot first, and last who reviews
    code, which is not quite the same as who is woken."""

    SERVICES = 1
    BACKSTAGE = 2
    DATADOG = 3
    CORTEX = 4
    OPSLEVEL = 5
    PAGERDUTY = 6
    KUBERNETES = 7
    CODEOWNERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one source says of one service. Empty where it says nothing; `source` is how people are told where it is from.

    `names` are other names it answers to that nobody listed as such (a display name, a PagerDuty id). `system` is resolved
    to a domain when all sources are merged, because another file may say it. `reference` is Backstage's own, `kind:namespace/name`.
    """

    id: str
    format: Format
    source: str
    line: int = 0
    team: str = ""
    slack: str = ""
    mention: str = ""
    email: str = ""
    on_call: str = ""
    tier: str = ""
    domain: str = ""
    system: str = ""
    runbook: str = ""
    repository: str = ""
    reference: str = ""
    kind: Kind | None = None
    entry_point: bool | None = None
    links: tuple[Link, ...] = ()
    depends_on: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    """The lines of single facts, by the field's name here; `line` is where the service starts."""

    def where(self, fact: str) -> str:
        """The source and, where it has lines, the line of one fact."""
        line = self.lines.get(fact, self.line)
        return f"{self.source}:{line}" if line else self.source


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source gave. `systems` maps a system to its domain, `emails` and `mentions` a team (`team_key`) to its address, and to
    the Slack id it is called by, each with who says so.

    `whole` is False where the source could not be read: what it said before is then better than nothing.
    """

    facts: tuple[Facts, ...] = ()
    systems: Mapping[str, str] = field(default_factory=dict)
    emails: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    mentions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    whole: bool = True


def address_or_nothing(text: str) -> str:
    """The text where it is an http(s) address that can stand in a message."""
    return text if is_web_address(text) else ""


def team_key(team: str) -> str:
    """What is the same for two spellings of one team: `group:default/Pay Ments`, `@shop/pay-ments` and `Pay_Ments`."""
    return re.sub(r"[\s_-]+", "-", names.clean(team).rpartition("/")[2].rpartition(":")[2].strip("@#"))


def plain_tier(text: str) -> str:
    """`Tier 1`, `tier_1`, `T1` and `1` are all `1`, so that two sources can agree; any other word stays as it is."""
    numbered = _NUMBERED_TIER.fullmatch(text)
    return numbered[1] if numbered else text


def plain_kind(text: str) -> Kind | None:
    """What sort of thing the free words of a catalogue mean (`postgres-database`, `kafka topic`); None where they do not say."""
    return next((kind for word, kind in _KIND_WORDS if word in text.lower()), None)


def dashed(text: str) -> str:
    """A display name as people write ids: `Checkout Service` is `checkout-service`."""
    return "-".join(names.clean(text).split())


def is_web_address(text: str) -> bool:
    """Whether a text is an http(s) address that can stand in a message."""
    return len(text) <= MAX_URL and _WEB_ADDRESS.fullmatch(text) is not None


class Notes:
    """The notebook of one reader at one source. `place` begins every problem: the path of a file, or a host."""

    def __init__(self, format: Format, source: str, place: str) -> None:
        self.format = format
        self.source = source
        self._place = place
        self.facts: list[Facts] = []
        self.systems: dict[str, str] = {}
        self.emails: dict[str, tuple[str, str]] = {}
        self.mentions: dict[str, tuple[str, str]] = {}
        self.problems: list[str] = []
        self._unnamed_problems = 0

    def reading(self, *, whole: bool = True) -> Reading:
        """All that was noted."""
        problems = list(self.problems)
        if self._unnamed_problems:
            problems.append(f"{self._place}: and {self._unnamed_problems} problems more")
        return Reading(tuple(self.facts), self.systems, self.emails, self.mentions, tuple(problems), whole)

    def problem(self, line: int, text: str) -> None:
        """Note what is wrong, and on which line (0: nowhere in particular)."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{self._place}:{line}: {text}" if line else f"{self._place}: {text}")
        else:
            self._unnamed_problems += 1

    # -- reading fields ------------------------------------------------------------------------------------------------

    def section(self, given: Fields, name: str) -> Fields:
        """A mapping inside a mapping; an empty one where it is missing, or is something else, which is a problem."""
        value = given.get(name)
        if isinstance(value, Fields):
            return value
        if value is not None:
            self.problem(given.lines[name], f"{names.printable(name)[:80]} is not a mapping of fields")
        return _NOTHING

    def text(self, given: Fields, name: str) -> str:
        """A text; "" where it is missing."""
        value = given.get(name)
        if isinstance(value, Items | Fields):
            self.problem(given.lines[name], f"{name} is not a text")
            return ""
        text = names.printable(value or "").strip()
        if len(text) > MAX_TEXT:
            self.problem(given.lines[name], f"{name} is longer than {MAX_TEXT}; the rest is cut")
        return text[:MAX_TEXT]

    def mention(self, given: Fields, name: str, whose: str) -> str:
        """The Slack id of a user group or a person; "" where it is missing."""
        text = self.text(given, name)
        found = mention_id(text)
        if text and not found:
            self.problem(given.lines[name], f"{whose}: {name} is no Slack id of a user group (S…) or a person (U…, W…)")
        return found

    def address(self, given: Fields, name: str, service: str) -> str:
        """An http(s) address; "" where it is missing."""
        value = given.get(name)
        text = value.strip() if isinstance(value, str) else ""
        if value and not is_web_address(text):
            self.problem(given.lines[name], f"{service}: the {name} is not an http(s) address")
            return ""
        return text

    def identifier(self, text: str, line: int) -> str:
        """A service's id from the name it was given; "" where that cannot be one."""
        identifier = names.clean(text)
        if not identifier:
            self.problem(line, "a service has no id")
        elif len(identifier) > names.MAX_ID:
            self.problem(line, f"the id {identifier[:40]!r}… is longer than {names.MAX_ID}")
            return ""
        return identifier

    def texts(self, given: Fields, name: str, service: str, each: str) -> Iterator[str]:
        """A list of texts, or a single one; at most `MAX_LISTED`. `each` is what a problem calls an item."""
        listed = given.get(name)
        if isinstance(listed, str):
            yield names.printable(listed[:MAX_TEXT]).strip()
        elif listed is not None:
            for line, item in self.items(given, name, service):
                text = names.printable(item[:MAX_TEXT]).strip() if isinstance(item, str) else ""
                if text:
                    yield text
                else:
                    self.problem(line, f"{service}: {each} is not a text")

    def items(self, given: Fields, name: str, service: str) -> Iterator[tuple[int, Value]]:
        """The items of a list with their lines, at most `MAX_LISTED`."""
        listed = given.get(name)
        if isinstance(listed, Items):
            if len(listed) > MAX_LISTED:
                self.problem(given.lines[name], f"{service}: only the first {MAX_LISTED} {name} are used")
            yield from zip(listed.lines[:MAX_LISTED], listed, strict=False)
        elif listed is not None:
            self.problem(given.lines[name], f"{service}: {name} is not a list")

    def links(self, given: Fields, name: str, service: str, title: str = "title") -> Iterator[tuple[Link, str]]:
        """A list of `{title, url, type}`: the links, and what type each says it is of."""
        for line, item in self.items(given, name, service):
            if not isinstance(item, Fields):
                self.problem(line, f"{service}: a link is not a mapping of fields")
                continue
            url = self.address(item, "url", service)
            if url:
                yield Link(self.text(item, title) or url[:MAX_TEXT], url), self.text(item, "type").lower()
