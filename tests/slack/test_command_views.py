"""Whatever services, people and vendors call things, an answer in Slack is one that Slack takes, and mentions nobody."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import names
from bot.alias_book import AliasBook
from bot.catalog.entries import Catalog, CatalogEntry
from bot.courtesy_book import CourtesyBook
from bot.digest.contents import Line
from bot.enrich.view import MapView
from bot.errors import NotFound
from bot.model import Layer, Message, Owner, Subscription
from bot.moments import iso
from bot.picture.choose import choose
from bot.picture.focus import Focus
from bot.slack.asker import Asker
from bot.slack.desk import Desk
from bot.slack.digest_talk import Defaults, DigestTalk
from bot.slack.digest_view import Digest, digest
from bot.slack.enclosures import told
from bot.slack.mrkdwn import escape
from bot.slack.order_views import said
from bot.storage.alias_store import AliasStore, AliasWord
from bot.storage.courtesy_store import CourtesyStore, CourtesyWord
from bot.storage.digest_store import DigestStore
from tests.kit.block_kit import mentions, refusal
from tests.kit.maps import NOW, MapMaker, minute, tally

HOSTILE = (
    "<!channel>", "<@U000000001>", "<!subteam^S1|all>", "\u202egnp.exe", "🔥" * 40, "x" * 300, "`*_~", "a b", '"quoted"',
    "&lt;!here&gt;", "<https://evil.example|payments>", "```", "שירות", "a,b", "at 5",
)  # fmt: skip
NAMES = st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=300)
QUESTIONS = ("{0}", "around {0} 6", "path {0} {1}", "blast {0} {1}", "owner {0}", "help {0}", "why {0}", "diff {0} 1h", "causes {0}",
             "ack {0}", "map {0}", "{0} at 02:50", "health", "alias {0} = {1}", "unlike {0} = {1}", "alias", "unalias {0}", "digest",
             'digest subscribe team="{0}" at 7:30', "digest preview domain={0}", "digest preview 1", "digest {0}",
             "mute", "mute list", "mute {0}", "unmute")  # fmt: skip


class Hostile:
    """A store in which everything is called like something hostile."""

    def __init__(self, view: MapView, words: list[str]) -> None:
        self._view, self._words = view, words

    async def at(self, moment: float) -> MapView:
        return self._view

    async def causes(self, service: str, moment: float | None) -> dict[str, Any]:
        items = [{"id": word, "p": 0.5, "evidence": self._words * 9} for word in self._words]
        change = {"kind": "deploy", "service": self._words[0], "title": self._words[-1], "author": self._words[0],
                  "seconds_before": None, "age_seconds": 1, "on_path": True, "link": ""}  # fmt: skip
        return {"id": service, "named": self._words[0], "why_none": "", "items": items, "ruled_out": self._words * 20,
                "unknown": self._words * 20, "changes": [change] * 9} | FRAME  # fmt: skip

    async def confirm(self, incident: str, service: str, by: str) -> str:
        return self._words[0]

    async def take(self, incident: int | None, user: str) -> Message:
        return said(escape(" ".join(self._words)))

    async def reject(self, incident: str, service: str, by: str) -> str:
        return self._words[0]

    async def diff(self, service: str, since: float) -> dict[str, Any]:
        side = {"calls": 9.0, "calls_per_minute": 1.0, "error_rate": None, "p95_ms": None}
        items = [
            {
                "caller": word,
                "callee": service,
                "kind": kind,
                "what": ["calls", "error rate", "p95"],
                "before": side,
                "after": side,
            }
            for word in self._words * 20
            for kind in ("new", "gone", "changed")
        ]
        return {"items": items, "total": len(items)} | FRAME

    async def focus(self, service: str, moment: float | None) -> Focus:
        return choose(self._view, service, NOW)

    async def incident(self, wanted: str) -> dict[str, Any]:
        if len(wanted) > 100:
            raise NotFound(wanted)
        decisions = [{"at": NOW, "step": "find", "verdict": word, "reason": word} for word in self._words * 40]
        return {"id": 1, "state": "open", "title": self._words[0], "opened_at": NOW, "decisions": decisions}

    async def health(self) -> dict[str, Any]:
        layers = {"trace": {"age_seconds": 3.0}}
        return {"problems": self._words * 9, "layers": layers, "map": {"services": 1, "edges": 1}, "outbox": {"waiting": 0},
                "uptime_seconds": 5}  # fmt: skip


class Words(AliasStore):
    """What was said about names, in memory."""

    def __init__(self) -> None:
        self.said: list[AliasWord] = []

    async def add(self, word: AliasWord) -> bool:
        self.said.append(word)
        return True

    async def words(self) -> list[AliasWord]:
        return self.said


class Mutes(CourtesyStore):
    """What was said about channels, in memory."""

    def __init__(self, words: list[str]) -> None:
        self.said = [CourtesyWord(NOW, f"C{number}", word, True, word) for number, word in enumerate(words)]

    async def add(self, word: CourtesyWord) -> bool:
        self.said.append(word)
        return True

    async def words(self) -> list[CourtesyWord]:
        return self.said

    async def channels(self) -> list[tuple[str, str]]:
        return []


class Subscriptions(DigestStore):
    """Who gets a digest, in memory."""

    def __init__(self, words: list[str]) -> None:
        self.kept = [Subscription(number, "C1", "U1", NOW, 540, "UTC", team=word) for number, word in enumerate(words)]

    async def subscribe(self, wanted: Subscription) -> Subscription:
        return wanted

    async def subscriptions(self, channel: str = "") -> list[Subscription]:
        return self.kept


class Writer:
    """Digests in which everything is called like something hostile."""

    async def preview(self, asked: Subscription, now: float) -> Message:
        return digest(Digest(asked.team, [Line("new", asked.team, asked.domain, (), 1.0, 2.0, asked.team)]))


def desk_of(view: MapView, words: list[str]) -> Desk:
    talk = DigestTalk(view, Subscriptions(words), Writer(), lambda: None, Defaults())
    store = Hostile(view, words)
    return Desk(view, store, AliasBook(view, Words()), talk, store, CourtesyBook(Mutes(words)))


FRAME = {
    "coverage": {"layers": {}, "services": 1, "reporting": 0, "silent": [{"id": "<!here>", "age_seconds": 9}]},
    "as_of": iso(NOW),
}


def map_of(words: list[str]) -> MapView:
    made = MapMaker("web>payments", "payments>ledger")
    nodes = [node for word in words if (node := names.service(word)) is not None]
    for node in nodes:
        made.graph.add_node(node)
    counts = [((node.id, "payments"), tally(9.0)) for node in nodes]
    made.windows[Layer.TRACE].add(minute(), counts, NOW)
    made.graph.see(Layer.TRACE, minute(), counts, NOW)
    owner = Owner(words[0], slack=words[-1], email=words[0], on_call=words[0], source=words[0])
    entries = {
        one: CatalogEntry(owner=owner, tier=words[0], domain=words[-1])
        for one in ("payments", "web", *(node.id for node in nodes))
    }
    made.view.learn(Catalog(entries, {}))
    return made.view


def acceptable(message: Message) -> None:
    blocks = [dict(block) for block in told(message).blocks]
    assert refusal(message.text, blocks) is None
    assert mentions([message.text, *blocks]) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(words=st.lists(NAMES, min_size=1, max_size=4), typed=st.lists(NAMES, min_size=2, max_size=2))
async def test_no_name_makes_a_message_too_long_or_mentions_anybody(words: list[str], typed: list[str]) -> None:
    view = map_of(words)
    desk = desk_of(view, words)
    for question in QUESTIONS:
        for first, second in (typed, ("payments", "ledger"), ("web", typed[0])):
            acceptable(
                (await desk.answer(question.format(first, second), NOW, Asker("U1", first, channel="C1"))).message
            )


async def test_a_hub_with_thousands_of_callers_fits_a_message() -> None:
    made = MapMaker(*(f"caller-{number}>hub" for number in range(2_000)))
    desk = desk_of(made.view, ["x"])
    for question in (
        "hub",
        "around hub 3",
        "blast hub",
        f"blast {' '.join(f'caller-{number}' for number in range(20))} hub",
    ):
        acceptable((await desk.answer(question, NOW)).message)
    assert "At risk* 2000" in (await desk.answer("blast hub", NOW)).message.text


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("payments at 1h ago", "service payments at 2023-11-14T21:14:30Z"),
        ("payments at 22:00", "service payments at 2023-11-14T16:30:00Z"),
        ("paymentz at 1h ago", "service payments at 2023-11-14T21:14:30Z"),
        ("diff payments 1h", "diff payments 2023-11-14T21:14:30Z"),
        ("payments", "service payments"),
    ],
)
async def test_a_button_asks_of_the_same_moment_whoever_clicks_it_and_when(text: str, asked: str) -> None:
    made = MapMaker("web>payments")
    reply = await desk_of(made.view, ["x"]).answer(text, NOW, Asker("U1", "ada", ZoneInfo("Asia/Kolkata")))

    assert reply.question == asked
    blocks: list[dict[str, Any]] = [dict(block) for block in reply.message.blocks]
    values = [one["value"] for block in blocks if block["type"] == "actions" for one in block["elements"]]
    assert asked in values
    assert all(value.endswith(asked.partition(" at ")[2]) for value in values)


async def test_a_service_with_blanks_in_its_name_is_asked_for_again_by_its_button() -> None:
    made = MapMaker("my old db>payments", "my old web>payments")
    desk = desk_of(made.view, ["x"])
    unclear = (await desk.answer('path "my old" payments', NOW)).message
    blocks: list[dict[str, Any]] = [dict(block) for block in unclear.blocks]
    values = [one["value"] for block in blocks if block["type"] == "actions" for one in block["elements"]]
    assert 'path "my old db" payments' in values
    assert "*my old db* → *payments*" in (await desk.answer('path "my old db" payments', NOW)).message.text
