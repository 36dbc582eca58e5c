"""A digest as Slack shows it: within every limit, inert whatever services are called, and counted beyond ten lines."""

from __future__ import annotations

import pytest

from bot.digest.contents import Line
from bot.model import Layer
from bot.slack.digest_view import Digest, answered, digest, held_message
from bot.storage.alert_records import Held, Hold
from tests.kit.block_kit import mentions, refusal

NEW = Line("new", "shop", "ledger", ((Layer.IPC, 1_234.0), (Layer.NETWORK, 0.0)), 1.0, 2.0, "Finance", cross_team=True,
           inversion="1 needs 3")  # fmt: skip
GONE = Line("gone", "shop", "mail", ((Layer.TRACE, 0.0),), 1.0, 2.0)


def test_a_line_says_what_changed_who_saw_it_and_who_owns_it() -> None:
    message = digest(Digest("Finance", [NEW, GONE]))

    assert message.text.splitlines() == [
        "*Finance*: 1 new, 1 gone",
        "*shop* now calls *ledger* · other team's · tier 1 needs 3 · ipc 1,234, network · owner Finance",
        "*shop* no longer calls *mail* · trace · no owner known",
    ]
    assert str(message.blocks).count("Look into it") == str(message.blocks).count("Expected") == 2


def test_a_day_without_news_says_so() -> None:
    assert digest(Digest("Finance", [])).text == "*Finance*: nothing changed"


def test_beyond_ten_lines_the_rest_is_counted() -> None:
    message = digest(Digest("all", [Line("new", "shop", f"s{number}", (), 1.0, 2.0) for number in range(47)]))

    assert "and 37 more" in message.text
    assert refusal(message.text, list(message.blocks)) is None


def test_what_is_looked_into_is_shown_as_open_with_who_and_rings_nobody() -> None:
    message = digest(Digest("all", [], {NEW.key: "U7"}, ["Yesterday's digest was not sent: the bot was down."]))

    assert "open: new shop → ledger, looked into by U7" in message.text
    assert "the bot was down" in message.text
    assert not mentions(message.text)


def test_it_says_how_complete_the_map_was() -> None:
    message = digest(Digest("all", [], unattributed=0.123, heard={"ipc": 42.0, "trace": 7_300.0}))

    assert "ipc 42 s · traces 2 h · 12% of connections have an end that nobody could attribute" in message.text


def test_a_click_replaces_its_own_lines_buttons_and_undo_brings_them_back() -> None:
    before = digest(Digest("all", [NEW, GONE]))
    after = answered(before, GONE.key, "look", "ann <!here>")

    assert str(after.blocks).count("Look into it") == 1
    assert "🔎 looked into (ann &lt;!here&gt;)" in str(after.blocks)
    assert refusal(after.text, list(after.blocks)) is None
    assert answered(after, GONE.key, "open", "ann") == before
    assert answered(before, "new\nsomebody\nelse", "expected", "ann") == before


@pytest.mark.parametrize("name", ["<!channel>", "<@U1>", "`*_~", "\u202eevil", "x" * 5_000, "", "\ud800", "a&b<c>"])
def test_hostile_names_stay_inert_and_within_slacks_limits(name: str) -> None:
    lines = [Line("new", name, f"{name}{number}", (), 1.0, 2.0, name) for number in range(30)]
    message = digest(Digest(name, lines, {line.key: name for line in lines} | {name: name}, [name], 0.5, {"ipc": 1.0}))

    assert refusal(message.text, list(message.blocks)) is None
    assert not mentions(message.text)
    assert not [one for block in message.blocks for one in mentions(block)]


def test_what_quiet_hours_held_back_is_counted_and_named() -> None:
    states = ("over", "over", "posted", "held")
    held = [
        Held(number, Hold(1_700_000_000.0, 0.0, state, f"<!here> {number}", ("pay", "a&b"), "#ops"))
        for number, state in enumerate(states)
    ]
    text = held_message(held).text

    assert text.splitlines()[0] == (
        "*Held in quiet hours*: 4 incidents, 2 over by themselves, 1 posted since, 1 still waiting"
    )
    assert text.splitlines()[1].startswith("• 0: *pay, a&amp;b*: &lt;!here&gt; 0, <!date^1700000000^")
    assert text.splitlines()[4].endswith("still waiting")
    assert held_message(held[:1]).text.startswith("*Held in quiet hours*: 1 incident, 1 over by itself\n")
    assert held_message(held * 4).text.endswith("and 6 more")
