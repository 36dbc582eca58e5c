"""[Share …] on an incident: a form that asks where, and what others then see of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.model import Message
from bot.slack.sharing_view import MAX_WORDS, filled, form, shared
from bot.slack.views import context, section
from tests.kit.block_kit import mentions, objections
from tests.kit.slack_channel import Post
from tests.slack.bench import counted
from tests.slack.test_commands import answered, buttons_of
from tests.slack.test_orders import ADA, GUEST, Scene, scene, words

CHOSEN = "C0000WAR1"


async def asked(on: Scene, post: Post) -> str:
    """Click [Share …]; gives the form's id."""
    before = len(on.slack.workspace.modals.shown)
    assert await on.click(post, "Share …") == 200
    assert len(on.slack.workspace.modals.shown) == before + 1
    return list(on.slack.workspace.modals.shown)[-1]


async def shown(on: Scene, view_id: str, **values: str) -> str:
    """What the form says once it came back."""
    await on.slack.hand_in(on.running.url, view_id, {"where": CHOSEN, **values})
    _, view = await on.modal("Sharing")
    return words(view)


async def test_an_incident_is_shared_as_it_stands_with_a_link_to_how_it_goes_on(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        post = await on.alerted()
        said = await shown(on, await asked(on, post), words="<!channel> who knows this?")
        posted = await answered(on.slack, 0)
        [noted] = await on.decisions("share")
        channel = on.slack.workspace.channel("incidents").id

    assert f"Shared in <#{CHOSEN}>." in said
    assert posted["response_type"] == "in_channel"
    assert posted["text"].startswith("Ada shares an incident, as it stood <!date^")
    assert "> &lt;!channel&gt; who knows this?" in posted["text"]
    assert "*payments* is failing" in posted["text"]
    assert mentions([posted["text"], *posted["blocks"]]) == []
    buttons = buttons_of(posted)
    assert set(buttons) == {"How it stands now ↗"}
    assert buttons["How it stands now ↗"]["url"].endswith(f"/archives/{channel}/p{post.ts.replace('.', '')}")
    assert (noted.verdict, noted.reason) == ("ordered", f"by Ada ({ADA}): in {CHOSEN}")


async def test_a_guest_shares_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        before = counted("slack_commands", what="refused")
        view_id = await asked(on, await on.alerted())
        await on.slack.hand_in(on.running.url, view_id, {"where": CHOSEN}, user=GUEST)
        _, view = await on.modal("Sharing")

    assert "Guests cannot do that." in words(view)
    assert on.slack.responses == []
    assert counted("slack_commands", what="refused") == before + 1


@pytest.mark.parametrize("kept", ["", "[]", '["C1"]', "null", '["C000000001", "1.1"]', '{"a": 1}'])
async def test_a_form_about_what_is_no_incident_posts_nothing(tmp_path: Path, kept: str) -> None:
    async with scene(tmp_path) as on:
        view_id = await asked(on, await on.alerted())
        on.slack.workspace.modals.shown[view_id]["private_metadata"] = kept
        said = await shown(on, view_id)

    assert "Nothing was shared." in said
    assert on.slack.responses == []


async def test_without_a_link_it_is_shared_all_the_same(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        view_id = await asked(on, await on.alerted())
        on.slack.fail_next("chat.getPermalink", "http_500")
        assert "Shared in" in await shown(on, view_id)
        posted = await answered(on.slack, 0)

    assert buttons_of(posted) == {}


async def test_an_address_that_slack_does_not_take_any_more_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path) as on:
        view_id = await asked(on, await on.alerted())
        monkeypatch.setattr("tests.kit.fake_slack.RESPONSE_URL_USES", 0)
        said = await shown(on, view_id)
        [noted] = await on.decisions("share")

    assert "Nothing was shared; please try again." in said
    assert noted.reason.endswith(f"in {CHOSEN}: Slack did not take it")


async def test_a_form_that_names_another_host_reaches_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene(tmp_path) as on:
        view_id = await asked(on, await on.alerted())
        monkeypatch.setattr(on.slack, "response_url", lambda: "http://elsewhere.example/hook")
        await on.slack.hand_in(on.running.url, view_id, {"where": CHOSEN})
        assert view_id not in on.slack.workspace.modals.shown
        assert await on.decisions("share") == []


TEXT = st.text(max_size=700)


@settings(max_examples=80, deadline=None)
@given(title=TEXT, who=TEXT, said=TEXT)
def test_whatever_is_shared_fits_into_a_message_and_calls_nobody(title: str, who: str, said: str) -> None:
    standing = Message(f"For <!subteam^S1|pay> {title}", (section(f"<!channel> {title or '-'}"), context(title or "-")))
    made = shared(standing, who, said[:MAX_WORDS], "https://acme.slack.com/archives/C1/p1", time.time())

    assert list(objections([dict(block) for block in made.blocks])) == []
    assert mentions([made.text, *made.blocks]) == []


def test_a_form_gives_back_what_it_was_made_about() -> None:
    view: dict[str, Any] = form("C1", "1.2")
    state = {"values": {"where": {}, "words": {"words": {"value": "x" * 900}}}}
    assert filled(view | {"state": state}) == ("C1", "1.2", "x" * MAX_WORDS)
    with pytest.raises(ValueError, match="not what a form"):
        filled({"private_metadata": json.dumps(["C1", "1.2"])})
