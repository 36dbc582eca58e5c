"""Whom a message calls when it goes out."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model import Message
from bot.slack.hush import hushed, posted
from bot.slack.mrkdwn import date, escape, mention, truncate, unmentioned

CALLS = re.compile(r"<(?:!subteam|@|!here|!channel|!everyone)")
ATTACKS = st.sampled_from(
    ["<!channel>", "<!here|x>", "<@U024BE7LH>", "<!subteam^S0123ABCD|y>", "|", ">", "<", "&", "\n", "<!everyone>"]
)
HOSTILE = st.lists(st.one_of(ATTACKS, st.text(max_size=8)), max_size=6).map("".join)


def message(text: str) -> Message:
    blocks = (
        {"type": "section", "text": {"type": "mrkdwn", "text": text}, "fields": [{"type": "mrkdwn", "text": text}]},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]},
        {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Show"}, "value": text}]},
    )  # fmt: skip
    return Message(text, blocks)


def test_a_first_post_calls_by_id_and_an_edit_reads_the_same_with_the_name() -> None:
    first = message(f"failing\nFor {mention('S0123ABCD', '@pay-oncall')}")

    assert posted(first) == first
    assert hushed(first).text == "failing\nFor @pay-oncall"
    assert CALLS.search(json.dumps(hushed(first).blocks[:2])) is None


def test_a_person_without_a_name_is_an_id_in_an_edit() -> None:
    assert unmentioned("<@U024BE7LH> and <!subteam^S0123ABCD>") == "@U024BE7LH and @S0123ABCD"


@pytest.mark.parametrize("token", ["<!here>", "<!channel>", "<!everyone>", "<!here|all of you>"])
def test_nothing_calls_a_whole_channel(token: str) -> None:
    assert CALLS.search(json.dumps(posted(message(token)).blocks[:2])) is None
    assert CALLS.search(posted(message(token)).text) is None


def test_times_and_links_stay_as_they_are() -> None:
    text = f"{date(1_700_000_000.0)} <https://example.org|page> &lt;!channel&gt;"

    assert hushed(message(text)) == message(text)


@pytest.mark.parametrize("identifier", ["", "@pay", "S1", "C0123ABCD", "S0123ABCD|x", "S0123ABCD> <!channel"])
def test_what_is_no_id_is_only_a_name(identifier: str) -> None:
    assert mention(identifier, "@pay") == "@pay"


@given(HOSTILE)
def test_a_hostile_name_neither_calls_more_people_nor_breaks_out(name: str) -> None:
    token = mention("S0123ABCD", truncate(name, 80))

    assert re.fullmatch(r"<!subteam\^S0123ABCD\|[^<>|]+>", token)
    assert CALLS.search(unmentioned(token)) is None


@given(HOSTILE)
def test_somebody_elses_words_call_nobody_however_they_go_out(text: str) -> None:
    for sent in (posted(message(escape(text))), hushed(message(escape(text)))):
        assert CALLS.search(sent.text) is None
        assert CALLS.search(json.dumps(sent.blocks, ensure_ascii=False)) is None
