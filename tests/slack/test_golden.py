"""What a channel reads in named situations, word for word: kept in `golden/`, written by `make golden`, read by people in a diff."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.kit.block_kit import mentions, refusal
from tests.slack.situations import SITUATIONS
from tests.slack.write_golden import FOLDER, written

MOST_BLOCKS, MOST_CHARACTERS = 12, 3_000
"""Of a root message, by our own measure; Slack takes more."""

_UNESCAPED = re.compile(r"<(?!!date\^|https?://)|&(?!amp;|lt;|gt;)")


def kept(name: str) -> list[dict[str, Any]]:
    """What the file of a situation has."""
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def posts(name: str) -> list[dict[str, Any]]:
    """Every message of a situation, threads included."""
    return [post for root in kept(name) for post in (root, *root["thread"])]


def shown(block: dict[str, Any]) -> list[str]:
    """The lines of text that a block shows, its buttons left out."""
    texts = [block["text"], *block.get("fields", ())] if "text" in block else block.get("elements", ())
    return [line for text in texts if text.get("type") == "mrkdwn" for line in text["text"].splitlines()]


@pytest.mark.parametrize("name", SITUATIONS)
async def test_the_messages_are_word_for_word_those_that_were_looked_at(name: str) -> None:
    found = written(await SITUATIONS[name]())

    assert found == (FOLDER / f"{name}.json").read_text(), "see what changed with `make golden`, and look at it"


def test_no_file_is_left_of_a_situation_that_is_gone() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == SITUATIONS.keys()


@pytest.mark.parametrize("name", SITUATIONS)
def test_slack_takes_every_message_and_its_text_says_all_that_its_blocks_say(name: str) -> None:
    for post in posts(name):
        assert refusal(post["text"], post["blocks"]) is None
        lines = [line for block in post["blocks"] for line in shown(block)]
        assert lines
        assert not [line for line in lines if line not in post["text"]]


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_root_message_is_short_enough_to_be_read_at_night(name: str) -> None:
    for root in kept(name):
        assert len(root["blocks"]) <= MOST_BLOCKS
        assert len(root["text"]) <= MOST_CHARACTERS


@pytest.mark.parametrize("name", SITUATIONS)
def test_no_message_mentions_anybody_and_no_vendors_text_is_markup(name: str) -> None:
    for post in posts(name):
        assert mentions([post["text"], post["blocks"]]) == []
        for text in (post["text"], *(line for block in post["blocks"] for line in shown(block))):
            assert not _UNESCAPED.findall(text)
