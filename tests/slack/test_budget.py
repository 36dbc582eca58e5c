"""Messages that are too long, too many or too empty for Slack."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.model import Message
from bot.slack.budget import MAX_ALL_TEXT, fit, size
from bot.slack.mrkdwn import escape
from tests.kit import block_kit

Block = dict[str, Any]


def section(text: str, **more: object) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def context(*texts: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text} for text in texts]}


def button(label: str, action: str = "act", **more: object) -> Block:
    return {"type": "button", "text": {"type": "plain_text", "text": label}, "action_id": action, **more}


def fitted(*blocks: Block, text: str = "payments is failing") -> list[Block]:
    message = fit(Message(text, blocks))
    assert block_kit.refusal(message.text, list(message.blocks)) is None
    return [dict(block) for block in message.blocks]


def test_a_message_within_its_limits_is_left_as_it_is() -> None:
    message = Message("payments is failing", (section("*payments*"), {"type": "divider"}, context("now")))

    assert fit(message) == message


def test_the_blocks_that_came_in_are_not_touched() -> None:
    long = section("x" * 5_000, fields=[{"type": "mrkdwn", "text": "y" * 3_000}])
    fit(Message("text", (long,)))

    assert long == section("x" * 5_000, fields=[{"type": "mrkdwn", "text": "y" * 3_000}])


def test_a_message_without_text_says_what_its_blocks_say() -> None:
    assert fit(Message("  ", (section("*payments* is failing"),))).text == "*payments* is failing"


def test_a_message_without_anything_is_still_a_message() -> None:
    assert fit(Message("", ())) == Message("(no text)", ())


def test_text_stays_under_the_length_at_which_slack_splits_it_into_several_messages() -> None:
    assert len(fit(Message("x" * 5_000, ())).text) == 4_000


def test_the_fifty_first_block_becomes_a_count() -> None:
    blocks = fitted(*(section(f"line {number}") for number in range(60)))

    assert len(blocks) == 50
    assert blocks[48] == section("line 48")
    assert blocks[49] == context("…and 11 more")


def test_buttons_and_their_place_survive_too_many_blocks() -> None:
    buttons = {"type": "actions", "elements": [button("Acknowledge")]}
    blocks = fitted(*(section(f"line {number}") for number in range(60)), buttons)

    assert blocks[-2:] == [context("…and 12 more"), buttons]


def test_text_beyond_the_cap_on_the_whole_message_is_shortened_where_it_is_worth_it() -> None:
    blocks = fitted(*(section(str(number) * 2_900) for number in range(4)))

    assert len(blocks) == 4
    assert blocks[3]["text"]["text"].endswith("3…")
    assert sum(map(size, blocks)) == MAX_ALL_TEXT


def test_text_beyond_the_cap_is_dropped_with_a_count_where_too_little_would_be_left() -> None:
    blocks = fitted(*(section("x" * 2_490) for _ in range(4)), section("y" * 90), section("z" * 90))

    assert blocks[-1] == context("…and 2 more")


def test_one_section_with_ten_long_fields_loses_fields_not_its_text() -> None:
    blocks = fitted(section("head", fields=[{"type": "mrkdwn", "text": "f" * 2_000} for _ in range(10)]))

    assert blocks[0]["text"]["text"] == "head"
    assert len(blocks[0]["fields"]) == 4


def test_the_eleventh_field_becomes_an_ellipsis() -> None:
    blocks = fitted(section("head", fields=[{"type": "mrkdwn", "text": str(number)} for number in range(12)]))

    assert [field["text"] for field in blocks[0]["fields"]] == [*"012345678", "…"]


def test_empty_texts_are_left_out() -> None:
    assert fitted(section(" "), context("", "now"), section("", fields=[{"type": "mrkdwn", "text": ""}])) == [
        context("now")
    ]


@pytest.mark.parametrize(
    "part", [{"value": "v" * 2_001}, {"url": "https://a.test/" + "x" * 3_000}, {"action_id": "a" * 256}]
)
def test_a_button_whose_value_or_address_is_too_long_is_left_out_rather_than_cut(part: Block) -> None:
    blocks = fitted(
        section("head"), {"type": "actions", "elements": [button("Show") | part, button("Acknowledge", "ack")]}
    )

    assert blocks[1]["elements"] == [button("Acknowledge", "ack")]


def test_actions_without_a_usable_button_are_left_out() -> None:
    assert fitted(section("head"), {"type": "actions", "elements": [button("")]}) == [section("head")]


def test_the_second_of_two_buttons_with_one_action_id_is_left_out() -> None:
    blocks = fitted({"type": "actions", "elements": [button("One"), button("Two"), button("Three", "other")]})

    assert [element["text"]["text"] for element in blocks[0]["elements"]] == ["One", "Three"]


def test_a_block_id_used_twice_stays_with_the_first() -> None:
    assert fitted(section("one", block_id="b"), section("two", block_id="b")) == [
        section("one", block_id="b"),
        section("two"),
    ]


def test_a_picture_without_words_gets_some() -> None:
    assert fitted({"type": "image", "image_url": "https://a.test/map.png", "alt_text": ""})[0]["alt_text"] == "image"


def test_a_menu_keeps_the_choices_that_fit() -> None:
    def option(label: str, value: str) -> Block:
        return {"text": {"type": "plain_text", "text": label}, "value": value}

    menu = {
        "type": "static_select",
        "action_id": "m",
        "options": [option("a" * 80, "1"), option("b", "v" * 151), option("", "3")],
    }
    blocks = fitted({"type": "actions", "elements": [menu]})

    assert blocks[0]["elements"][0]["options"] == [option("a" * 74 + "…", "1")]


HOSTILE = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", " ", "<!channel>", "&" * 700, "<" * 4_000, "😀" * 4_000, "```" * 20, "x" * 12_001, "\u202e" * 5]
    ),
).map(escape)
LONG_ID = st.one_of(st.none(), st.text(max_size=5), st.just("i" * 300))


def text_object(kind: str = "mrkdwn") -> st.SearchStrategy[Block]:
    return st.builds(lambda text: {"type": kind, "text": text}, HOSTILE)


def without_none(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Block]:
    built = st.fixed_dictionaries(parts)
    return built.map(lambda block: {name: part for name, part in block.items() if part is not None})


OPTION = without_none(text=text_object("plain_text"), value=HOSTILE, description=st.none() | text_object("plain_text"))
BUTTON = without_none(
    type=st.just("button"),
    text=text_object("plain_text"),
    action_id=LONG_ID,
    value=st.none() | HOSTILE,
    url=st.none() | HOSTILE,
)
MENU = without_none(
    type=st.sampled_from(["static_select", "overflow"]), action_id=LONG_ID,
    options=st.lists(OPTION, max_size=4).flatmap(lambda some: st.sampled_from([some, some * 40])),
)  # fmt: skip
IMAGE = without_none(type=st.just("image"), image_url=HOSTILE, alt_text=HOSTILE)
BLOCKS = st.one_of(
    without_none(
        type=st.just("section"), block_id=LONG_ID, text=st.none() | text_object(),
        fields=st.none() | st.lists(text_object(), max_size=12), accessory=st.none() | BUTTON | IMAGE | MENU,
    ),
    without_none(type=st.just("header"), text=text_object("plain_text")),
    without_none(type=st.just("context"), elements=st.lists(text_object() | IMAGE, max_size=12)),
    without_none(type=st.just("actions"), block_id=LONG_ID, elements=st.lists(BUTTON | MENU, max_size=30)),
    st.just({"type": "divider"}),
    IMAGE,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(HOSTILE, st.lists(BLOCKS, max_size=8).flatmap(lambda some: st.sampled_from([some, some * 9])))
def test_whatever_is_put_in_slack_would_take_what_comes_out(text: str, blocks: list[Block]) -> None:
    once = fit(Message(text, tuple(blocks)))

    assert block_kit.refusal(once.text, list(once.blocks)) is None
    assert once.text.strip()
    assert sum(map(size, once.blocks)) <= MAX_ALL_TEXT
    assert block_kit.mentions([once.text, *once.blocks]) == []
    assert fit(once) == once
