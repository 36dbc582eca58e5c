"""Slack's ids as people write them."""

from __future__ import annotations

import pytest

from bot.slack_ids import channel, mention_id


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("S0123ABCD", "S0123ABCD"), (" U024BE7LH ", "U024BE7LH"), ("W012A3CDE", "W012A3CDE"), ("<!subteam^S0123ABCD>", "S0123ABCD"),
        ("<!subteam^S0123ABCD|@pay>", "S0123ABCD"), ("<@U024BE7LH>", "U024BE7LH"), ("<@W012A3CDE|ada>", "W012A3CDE"),
    ],
)  # fmt: skip
def test_a_group_or_a_person_is_named_by_id(text: str, found: str) -> None:
    assert mention_id(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "", "@pay-oncall", "#pay", "C0123ABCD", "S1", "SUPPORTTEAM", "s0123abcd", "<!channel>", "<!here>", "<!everyone>",
        "<!subteam^U024BE7LH>", "<@S0123ABCD>", "S0123ABCD> <!channel", "<!subteam^S0123ABCD|<!here>>", "S0123ABCD\nU024BE7LH",
        "S" + "0" * 30,
    ],
)  # fmt: skip
def test_anything_else_names_nobody_who_can_be_called(text: str) -> None:
    assert mention_id(text) == ""


@pytest.mark.parametrize(("text", "found"), [("#pay", "#pay"), ("C0123ABCD", "C0123ABCD"), ("G0123ABCD", "G0123ABCD"),
                                             ("@pay", ""), ("#", ""), ("S0123ABCD", ""), ("", "")])  # fmt: skip
def test_a_channel_has_a_name_or_an_id(text: str, found: str) -> None:
    assert channel(text) == found
