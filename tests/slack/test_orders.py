"""Orders given with the incident message's buttons: who may, what is done, and what everybody is told."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app import Running
from bot.storage.alert_records import Verdict
from tests.kit import fake_alertmanager as am
from tests.kit import fake_pagerduty as pd
from tests.kit.alerts import alertmanager, pagerduty, pagerduty_headers
from tests.kit.bots import alertmanager_headers, bot, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.kit.slack_channel import Post
from tests.kit.slack_requests import Sign
from tests.pagerduty.test_whole import learn
from tests.slack.bench import counted
from tests.slack.test_commands import answered, buttons_of

ADA, GUEST = "U000000001", "U000000002"
LABELS = {"alertname": "HighErrorRate", "service": "payments", "severity": "critical"}


@dataclass(slots=True)
class Scene:
    """A bot with a Slack, a PagerDuty and an Alertmanager, and what a person does in Slack."""

    slack: FakeSlack
    pagerduty: pd.FakePagerDuty
    alertmanager: am.FakeAlertmanager
    running: Running
    session: aiohttp.ClientSession
    began: float = field(default_factory=lambda: time.time() - 60)

    async def paged(self, event: str = "triggered", number: int = 1234, **changes: Any) -> Post:
        """PagerDuty tells of an incident; gives the root message, once it is worked."""
        self.pagerduty.incidents.setdefault(f"Q{number}", pd.Incident())
        changes.setdefault("created", self.began)
        body = pagerduty(f"incident.{event}", number=number, event=f"E{time.time()}", **changes)
        async with self.session.post("/webhooks/pagerduty", data=body, headers=pagerduty_headers(body)) as answer:
            assert answer.status == 202
        return await self.shown()

    async def alerted(self, **changes: Any) -> Post:
        """Alertmanager tells of an alert of payments; gives the root message, once it is worked."""
        body = alertmanager(**changes)
        async with self.session.post("/webhooks/alertmanager", json=body, headers=alertmanager_headers()) as answer:
            assert answer.status == 202
        return await self.shown()

    async def shown(self) -> Post:
        """The newest root message, with everything sent that is to be."""

        async def done() -> bool:
            if await self.running.alerts.count_waiting():
                return False
            rows = await self.running.outbox.latest(20)
            return bool(rows) and all(row.state == "sent" for row in rows)

        await until(done, "the message did not come")
        return self.slack.messages("incidents")[-1]

    async def click(self, post: Post, label: str, *, user: str = ADA, sign: Sign = Sign.RIGHT) -> int:
        """Click a button of a message; gives the status."""
        element = buttons_of({"blocks": post.blocks})[label] | {"block_id": "b", "type": "button"}
        channel = self.slack.workspace.channel("incidents")
        container = {"type": "message", "channel_id": channel.id, "message_ts": post.ts, "is_ephemeral": False}
        payload = {"actions": [element], "container": container}
        return (await self.slack.interaction(self.running.url, payload, user=user, sign=sign)).status

    async def answer(self, post: Post, label: str, *, user: str = ADA) -> str:
        """What a click is answered with, over its response_url."""
        before = len(self.slack.responses)
        assert await self.click(post, label, user=user) == 200
        return str((await answered(self.slack, before))["text"])

    async def form(self, post: Post, *, user: str = ADA) -> tuple[str, dict[str, Any]]:
        """Click [Silence …]; the modal's id and what it shows once it says something."""
        assert await self.click(post, "Silence …", user=user) == 200
        return await self.modal("Looking up")

    async def modal(self, but: str) -> tuple[str, dict[str, Any]]:
        """The open modal, once it no longer says that."""

        async def changed() -> Any:
            found = list(self.slack.workspace.modals.shown.items())
            return found[-1] if found and but not in words(found[-1][1]) else None

        found: tuple[str, dict[str, Any]] = await until(changed, "the modal did not change")
        return found

    async def decisions(self, what: str) -> list[Verdict]:
        """What the first incident's log says of orders."""
        return [one for one in await self.running.alerts.decisions(1) if one.step == what]


def words(view: dict[str, Any]) -> str:
    return json.dumps(view["blocks"], ensure_ascii=False)


@asynccontextmanager
async def scene(folder: Path, **changes: Any) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(FakeSlack())
        account = await stack.enter_async_context(pd.fake_pagerduty())
        server = await stack.enter_async_context(am.fake_alertmanager())
        wired = {
            "pagerduty_api_token": pd.TOKEN, "pagerduty_api_url": account.url, "pagerduty_from": pd.REQUESTER,
            "alertmanager_url": server.url, "alertmanager_api_token": am.TOKEN,
        }  # fmt: skip
        slack.workspace.people[ADA] = {"profile": {"display_name": "Ada", "email": "ada@example.org"}}
        slack.workspace.people[GUEST] = {"is_restricted": True}
        account.users.add("ada@example.org")
        server.alerts = [LABELS]
        running, session = await stack.enter_async_context(bot(folder, **(with_slack(slack.url) | wired | changes)))
        await learn(session)
        yield Scene(slack, account, server, running, session)


# -- what is offered ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("without", "offered"),
    [
        ({}, {"Acknowledge", "Silence …"}),
        ({"pagerduty_api_token": None}, {"Silence …"}),
        ({"pagerduty_from": ""}, {"Silence …"}),
        ({"alertmanager_url": None}, {"Acknowledge"}),
    ],
    ids=["all is wired", "no key", "nobody to act as", "no Alertmanager"],
)
async def test_a_message_offers_what_can_be_done_and_nothing_else(
    tmp_path: Path, without: dict[str, Any], offered: set[str]
) -> None:
    async with scene(tmp_path, **without) as on:
        await on.alerted()
        buttons = set(buttons_of({"blocks": (await on.paged()).blocks}))

        assert len(on.slack.messages("incidents")) == 1
        assert buttons & {"Acknowledge", "Silence …"} == offered


async def test_what_is_acknowledged_or_over_is_not_offered_again(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.paged()
        assert "Acknowledge" not in buttons_of({"blocks": (await on.paged("acknowledged")).blocks})
        assert "Acknowledge" in buttons_of({"blocks": (await on.paged("unacknowledged")).blocks})
        assert buttons_of({"blocks": (await on.paged("resolved")).blocks}) == {}


# -- acknowledge -------------------------------------------------------------------------------------------------------


async def test_a_click_acknowledges_in_pagerduty_in_the_name_of_whoever_clicked(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        said = await on.answer(await on.paged(), "Acknowledge")
        [noted] = await on.decisions("acknowledge")

    assert said == "PagerDuty #1234 is acknowledged, in your name."
    assert on.pagerduty.given == [("ada@example.org", "acknowledged")]
    assert noted.reason == "by Ada (U000000001): PagerDuty #1234 is acknowledged, in your name."


async def test_somebody_pagerduty_does_not_know_acknowledges_in_the_bots_name_and_is_told_so(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        on.pagerduty.users.discard("ada@example.org")
        said = await on.answer(await on.paged(), "Acknowledge")

    assert "in the name of bot@example.org" in said
    assert on.pagerduty.given == [(pd.REQUESTER, "acknowledged")]


async def test_one_click_acknowledges_every_incident_of_pagerdutys_that_is_part_of_ours(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.paged()
        said = await on.answer(await on.paged(number=1235), "Acknowledge")

    assert sorted(said.splitlines()) == [
        f"PagerDuty #{number} is acknowledged, in your name." for number in (1234, 1235)
    ]
    assert {one.status for one in on.pagerduty.incidents.values()} == {"acknowledged"}


async def test_what_is_typed_acknowledges_like_the_button(tmp_path: Path) -> None:
    async with scene(tmp_path) as now:
        await now.paged()
        before = len(now.slack.responses)
        typed = await now.slack.slash_command(now.running.url, "ack payments", user=ADA)
        assert (typed.status, typed.text) == (200, "")
        assert (await answered(now.slack, before))["text"] == "PagerDuty #1234 is acknowledged, in your name."
        assert now.pagerduty.incidents["Q1234"].status == "acknowledged"
        assert [one.reason for one in await now.decisions("acknowledge")]

        await now.slack.slash_command(now.running.url, "ack payments", user=GUEST)
        assert (await answered(now.slack, before + 1))["text"] == "Guests cannot do that."


async def test_what_is_typed_where_nobody_can_be_told_says_what_is_missing(tmp_path: Path) -> None:
    async with scene(tmp_path, pagerduty_from="") as now:
        await now.paged()
        before = len(now.slack.responses)
        await now.slack.slash_command(now.running.url, "ack payments", user=ADA)
        assert "`PAGERDUTY_FROM`" in (await answered(now.slack, before))["text"]


async def test_the_message_says_that_somebody_has_it_once_pagerduty_does(tmp_path: Path) -> None:
    async with scene(tmp_path) as now:
        post = await now.paged()
        await now.answer(post, "Acknowledge")
        assert (await now.paged("acknowledged")).text.startswith("🟠")


async def test_a_message_out_of_date_finds_nothing_to_do(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        post = await on.paged()
        old = Post(post.ts, post.text, list(post.blocks), post.author, post.metadata, None)
        await on.paged("acknowledged")
        assert await on.answer(old, "Acknowledge") == "PagerDuty #1234 is acknowledged already."
        await on.paged("resolved")
        assert await on.answer(old, "Acknowledge") == "Nothing of this fires in PagerDuty any more."

    assert on.pagerduty.given == []


@pytest.mark.parametrize(
    ("trouble", "said"),
    [(400, "it refuses"), (401, "does not take the bot's key"), (403, "may not do that"), (404, "does not know the incident"),
     (429, "asks for a pause"), (503, "it answered `pd_http_503`")],
)  # fmt: skip
async def test_an_order_that_pagerduty_does_not_take_is_answered_with_why(
    tmp_path: Path, trouble: int, said: str
) -> None:
    async with scene(tmp_path) as on:
        post = await on.paged()
        on.pagerduty.outage = trouble
        told = await on.answer(post, "Acknowledge")
        on.pagerduty.recover()

    assert told.startswith("PagerDuty #1234 was not acknowledged: ")
    assert said in told
    assert pd.TOKEN not in told


# -- who may -----------------------------------------------------------------------------------------------------------


async def test_a_guest_is_refused_and_nothing_is_done(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        before = counted("slack_commands", what="refused")
        await on.alerted()
        post = await on.paged()
        assert await on.answer(post, "Acknowledge", user=GUEST) == "Guests cannot do that."
        _, view = await on.form(post, user=GUEST)
        assert "Guests cannot do that." in words(view)
        assert "submit" not in view

    assert on.pagerduty.given == []
    assert [method for method, _ in on.alertmanager.asked] == []
    assert counted("slack_commands", what="refused") == before + 2


async def test_a_form_handed_in_by_somebody_else_than_may_is_refused(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        view_id, _ = await on.form(await on.alerted())
        await on.slack.hand_in(on.running.url, view_id, {}, user=GUEST)
        _, view = await on.modal("Silencing")

    assert "Guests cannot do that." in words(view)
    assert on.alertmanager.silences == {}


async def test_where_slack_does_not_say_who_clicked_nothing_is_done(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        post = await on.paged()
        on.slack.fail_next("users.info", "missing_scope")
        assert await on.answer(post, "Acknowledge") == "Slack does not say who you are."

    assert on.pagerduty.given == []


@pytest.mark.parametrize("sign", [Sign.WRONG, Sign.MISSING, Sign.OLD])
async def test_a_click_that_is_not_signed_reaches_nothing(tmp_path: Path, sign: Sign) -> None:
    async with scene(tmp_path) as on:
        post = await on.paged()
        assert await on.click(post, "Acknowledge", sign=sign) == 401
        assert on.slack.called("users.info") == []

    assert on.pagerduty.given == []


# -- silence -----------------------------------------------------------------------------------------------------------


async def test_a_silence_shows_its_scope_before_it_is_made_and_everybody_is_told_of_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        on.alertmanager.alerts = [LABELS, LABELS, LABELS | {"service": "checkout"}]
        post = await on.alerted()
        view_id, view = await on.form(post)
        for label in (
            "alertname = HighErrorRate",
            "service = payments",
            "severity = critical",
            "*2 alerts*: HighErrorRate",
        ):
            assert label in words(view)
        assert on.alertmanager.silences == {}

        began = time.time()
        await on.slack.hand_in(on.running.url, view_id, {"duration": "2 hours", "comment": "rolling <!channel> back"})
        _, view = await on.modal("Silencing")
        [made] = on.alertmanager.silences.values()
        [told] = on.slack.messages("incidents")[0].replies
        [noted] = await on.decisions("silence")

    assert {one["name"]: one["value"] for one in made["matchers"]} == LABELS
    assert (made["createdBy"], made["comment"]) == ("Ada (U000000001)", "rolling <!channel> back")
    assert _seconds(made) == pytest.approx(7_200, abs=1)
    assert "Silenced until" in words(view)
    assert "🔕 Silenced until" in told.text
    assert "by Ada (U000000001)" in told.text
    assert "rolling &lt;!channel&gt; back" in told.text
    assert on.slack.workspace.mentions == []
    assert f"{made['id']} for 7200 s" in noted.reason
    assert time.time() - began < 5


async def test_the_silence_can_be_ended_where_it_was_told_of(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        view_id, _ = await on.form(await on.alerted())
        await on.slack.hand_in(on.running.url, view_id, {})
        await on.modal("Silencing")
        [told] = on.slack.messages("incidents")[0].replies
        before = len(on.slack.responses)
        assert await on.click(told, "End the silence", user=GUEST) == 200
        assert (await answered(on.slack, before))["response_type"] == "ephemeral"
        assert [one["status"]["state"] for one in on.alertmanager.silences.values()] == ["active"]
        on.alertmanager.trouble = [403]
        assert "was not ended: the bot's token may not do that" in await on.answer(told, "End the silence")
        assert "ended by Ada" in await on.answer(told, "End the silence")
        noted = await on.decisions("end silence")

    assert ["not ended" in one.reason for one in noted] == [True, False]
    assert all(one.reason.startswith("by Ada (U000000001): ") for one in noted)
    assert on.slack.responses[-1]["replace_original"] is True
    assert [one["status"]["state"] for one in on.alertmanager.silences.values()] == ["expired"]


async def test_an_alertmanager_that_takes_its_time_is_waited_for_in_the_form(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        view_id, _ = await on.form(await on.alerted())
        on.alertmanager.trouble = ["slow"]
        await on.slack.hand_in(on.running.url, view_id, {})
        assert "Silencing …" in words(on.slack.workspace.modals.shown[view_id])
        _, view = await on.modal("Silencing")

    assert "Silenced until" in words(view)


async def test_several_alerts_are_silenced_by_what_they_share(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.alerted(labels={"pod": "payments-1"}, fingerprint="f1")
        post = await on.alerted(name="Slow", labels={"pod": "payments-2"}, fingerprint="f2", group="other")
        _, view = await on.form(post)

    assert len(on.slack.messages("incidents")) == 1
    shown = words(view)
    assert "service = payments" in shown
    assert "alertname" not in shown
    assert "pod" not in shown


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (503, "is not known (it answered `am_http_503`): look in Alertmanager"),
        ("lost", "is not known (it did not answer in time): look in Alertmanager"),
        (400, "Nothing was silenced: Alertmanager does not take it (it answered `am_http_400`)"),
        (403, "Nothing was silenced: Alertmanager does not take it (the bot's token may not do that)"),
    ],
)
async def test_a_silence_that_was_not_made_or_may_not_have_been_is_said_in_the_form(
    tmp_path: Path, trouble: str | int, said: str
) -> None:
    async with scene(tmp_path) as on:
        view_id, _ = await on.form(await on.alerted())
        on.alertmanager.trouble = [trouble]
        await on.slack.hand_in(on.running.url, view_id, {})
        _, view = await on.modal("Silencing")
        assert on.slack.messages("incidents")[0].replies == []
        assert len(await on.decisions("silence")) == 1

    assert said in words(view)
    assert am.TOKEN not in words(view)


async def test_an_alertmanager_that_cannot_be_asked_makes_no_form_to_hand_in(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        post = await on.alerted()
        on.alertmanager.trouble = [503]
        _, view = await on.form(post)

    assert "cannot be asked what a silence would cover" in words(view)
    assert "submit" not in view


async def test_a_form_that_cannot_be_opened_is_answered_below_the_message(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        post = await on.alerted()
        on.slack.fail_next("views.open", "expired_trigger_id")

        assert await on.answer(post, "Silence …") == "The form could not be opened. Please click again."


async def test_a_form_that_is_closed_while_it_fills_costs_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        post = await on.alerted()
        on.slack.fail_next("views.update", "not_found")
        assert await on.click(post, "Silence …") == 200

        async def tried() -> bool:
            return bool(on.slack.called("views.update"))

        await until(tried, "nothing was tried")
        _, view = await on.form(post)

    assert "submit" in view


async def test_labels_cannot_break_the_form(tmp_path: Path) -> None:
    odd = {"reason": "`<!channel>` *x*\n> & ", "empty": ""}
    async with scene(tmp_path) as on:
        on.alertmanager.alerts = []
        _, view = await on.form(await on.alerted(labels=odd))

    assert "Of what fires now, that is none." in words(view)
    assert "<!channel>" not in words(view).replace("&lt;", "")
    assert on.slack.workspace.mentions == []


async def test_more_labels_than_a_form_can_hold_are_refused_and_never_left_out(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        _, view = await on.form(await on.alerted(labels={f"label_{number}": "x" * 100 for number in range(40)}))

    assert "make it in Alertmanager" in words(view)
    assert "submit" not in view


def _seconds(silence: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(silence[name]) for name in ("startsAt", "endsAt"))
    return (end - start).total_seconds()
