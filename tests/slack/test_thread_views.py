"""The words of a thread, and what hostile names do to them."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.enrich.facts import Followed, IncidentFacts
from bot.enrich.thread_evidence import Evidence, PathCall
from bot.enrich.told import Line
from bot.model import Message
from bot.slack.commands import parse
from bot.slack.thread_views import evidence_post, news
from tests.kit.block_kit import mentions, refusal

NOW = 1_700_000_000.0
OUTCOME = Followed(
    ("payments",), ("checkout", "web", "cart"), ("checkout",), (), (("payments-db", 0.8, ()), ("ledger", 0.1, ()), ("auth", 0.05, ())),
    "payments-db",
)  # fmt: skip


def facts(**changes: Any) -> IncidentFacts:
    known: dict[str, Any] = {
        "state": "open", "title": "HighErrorRate", "summary": "", "severity": "", "environment": "", "opened_at": NOW,
        "updated_at": NOW, "resolved_at": NOW + 1_200, "sources": (), "services": ("payments",), "outcome": OUTCOME,
    }  # fmt: skip
    return IncidentFacts(**known | changes)


def said(*lines: Line, **changes: Any) -> Message:
    return news(lines, facts(**changes), 12)


def test_each_change_is_one_line() -> None:
    text = said(
        ("hit", ["checkout", "web"], 2, 3), ("missed", ["search"]), ("alert", "payments-db", "DiskFull", "same group"),
        ("cause", "payments", "payments-db", 0.62, "40% of requests fail"), ("no cause", "auth", "", True),
        ("recovered", "cart", 1), ("change", "deploy payments: v42 · 3 min before"), ("flapping", "cart"), ("more", 4),
    ).text  # fmt: skip

    assert text.splitlines() == [
        "📈 *checkout*, *web* now fail, as predicted (2 of 3)",
        "❗ *search* fails, which nobody predicted",
        "🔔 *payments-db* alerts, too: DiskFull (same group)",
        "🔎 Likely cause is now *payments* (62%), which alerts itself, no longer payments-db: 40% of requests fail",
        "🔎 *auth* is ruled out",
        "✅ *cart* recovered; 1 service still alerts",
        "🛠 deploy payments: v42 · 3 min before",
        "〰️ *cart* comes and goes; from here on only the message above says how it is",
        "… and 4 more changes",
    ]


def test_the_closing_question_asks_for_each_likely_cause() -> None:
    message = said(("over",))

    assert message.text.endswith("(20 min). Predicted 3, hit 1, missed 0. Was it *payments-db*?")
    asked = [(one["text"]["text"], parse(one["value"]).names) for one in cast(Any, message.blocks[-1]["elements"])]
    assert asked == [
        ("Yes", ("12", "payments-db")), ("It was ledger", ("12", "ledger")), ("It was auth", ("12", "auth")),
        ("Something else", ("12", "none")),
    ]  # fmt: skip


def test_where_no_cause_was_thought_of_nobody_is_asked() -> None:
    message = said(("over",), outcome=Followed(("payments",)))
    assert message.text.endswith("Predicted 0, hit 0, missed 0.")
    assert [block["type"] for block in message.blocks] == ["section"]


NAMES = st.text(max_size=400) | st.sampled_from(("<!channel>", "@here", "<@U1>", "*x*_`", "a" * 3_000, "\u202e", '"\\'))


@settings(max_examples=150, deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=30), other=NAMES)
def test_hostile_names_break_no_limit_and_mention_nobody(names: list[str], other: str) -> None:
    lines: list[Line] = [
        ("hit", names, 3, 9), ("missed", names), ("alert", other, other, other), ("cause", other, names[0], 0.5, other),
        ("no cause", other, other, False), ("recovered", other, 2), ("change", other), ("flapping", other), ("over",),
    ]  # fmt: skip
    causes = tuple((name, 0.3, ()) for name in names[:5])
    given_facts = facts(services=tuple(names), outcome=Followed(tuple(names), tuple(names), causes=causes, named=other))
    call = PathCall(other, names[0], (("trace", 3.0),), 10.0, 0.5)
    evidence = Evidence((call,) * 10, tuple((name, name) for name in names[:5]))
    for message in (news(lines, given_facts, 3), evidence_post(evidence, given_facts)):
        assert refusal(message.text, list(message.blocks)) is None
        assert mentions(message.text) == mentions(message.blocks) == []
