"""What people type, read as what they ask."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import BadRequest
from bot.slack.commands import BY_WORD, COMMANDS, MAX_NAMES, Asked, parse, written


def read(text: str) -> tuple[str, tuple[str, ...], str]:
    asked = parse(text)
    return asked.command.word, asked.names, asked.at


@pytest.mark.parametrize(
    ("text", "word", "names", "at"),
    [
        ("payments", "service", ("payments",), ""),
        ("  Payments.Shop@prod ", "service", ("Payments.Shop@prod",), ""),
        ("my old service", "service", ("my old service",), ""),
        ("payments at 02:50", "service", ("payments",), "02:50"),
        ("payments at 1h ago", "service", ("payments",), "-1h"),
        ("payments at 2026-11-23 02:50", "service", ("payments",), "2026-11-23 02:50"),
        ("look at me", "service", ("look at me",), ""),
        ("service health", "service", ("health",), ""),
        ("health", "health", (), ""),
        ("path", "service", ("path",), ""),
        ("blast", "service", ("blast",), ""),
        ("PATH web payments", "path", ("web", "payments"), ""),
        ("path web -> payments", "path", ("web", "payments"), ""),
        ("path web → payments at -2d", "path", ("web", "payments"), "-2d"),
        ('path "my web" “old db”', "path", ("my web", "old db"), ""),
        ("path web to", "path", ("web", "to"), ""),
        ("blast a, b c", "blast", ("a", "b", "c"), ""),
        ("diff payments", "diff", ("payments",), ""),
        ("diff payments since 02:50", "diff", ("payments", "02:50"), ""),
        ("diff payments 30 min ago", "diff", ("payments", "30 min ago"), ""),
        ("why #12", "why", ("#12",), ""),
        ("why alert 7", "why", ("alert 7",), ""),
        ("around payments 2", "around", ("payments", "2"), ""),
        ("alias pay-svc-prod = payments", "alias", ("pay-svc-prod", "payments"), ""),
        ("alias a b=c d", "alias", ("a b", "c d"), ""),
        ("alias", "alias", (), ""),
        ("unlike kafka = kafka-ui", "unlike", ("kafka", "kafka-ui"), ""),
        ("unalias pay-svc-prod", "unalias", ("pay-svc-prod",), ""),
        ("", "help", (), ""),
        ("?", "help", (), ""),
        ("help path", "help", ("path",), ""),
    ],
)
def test_a_text_is_read_as_its_question(text: str, word: str, names: tuple[str, ...], at: str) -> None:
    assert read(text) == (word, names, at)


@pytest.mark.parametrize(
    "text",
    [
        "path web",
        "path a b c",
        "health now",
        "blast " + "x " * (MAX_NAMES + 1),
        "owner a b",
        "alias a",
        "alias a b",
        "alias a =",
        "unlike a b",
    ],
)
def test_a_question_with_too_few_or_too_many_names_is_told_how_to_ask(text: str) -> None:
    with pytest.raises(BadRequest, match="/topology "):
        parse(text)


def test_a_button_asks_the_same_question_with_another_name() -> None:
    asked = parse("path wbe payments at 02:50")

    assert read(asked.naming("web", 0)) == ("path", ("web", "payments"), "02:50")
    assert read(asked.naming("old db", 1)) == ("path", ("wbe", "old db"), "02:50")


def test_only_what_reads_the_past_or_the_store_may_take_long() -> None:
    assert [one.word for one in COMMANDS if not Asked(one).slow] == [
        "service",
        "around",
        "path",
        "blast",
        "owner",
        "help",
    ]
    assert parse("payments at 02:50").slow


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with suppress(BadRequest):
        asked = parse(text)
        assert asked.command.least <= len(asked.names) <= asked.command.most


@given(st.lists(st.from_regex(r"[a-z0-9.@-]{1,12}( [a-z0-9.-]{1,8})?", fullmatch=True), min_size=2, max_size=5))
def test_a_written_question_reads_back(names: list[str]) -> None:
    assert read(written(BY_WORD["blast"], names)) == ("blast", tuple(names), "")
