"""[Not this cause]: somebody knows better than the bot, and the bot looks further."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bot.enrich.causes.ranking import Candidate, Verdict, without
from tests.incidents.test_path import alert, learn
from tests.kit.alerts import alertmanager
from tests.kit.bots import bot, get, until, with_slack
from tests.kit.fake_slack import FakeSlack


def verdict(**likely: float) -> Verdict:
    ranked = sorted(likely.items(), key=lambda one: -one[1])
    return Verdict(tuple(Candidate(service, p, 1.0, ()) for service, p in ranked), ("fine",), ("dark",))


def test_what_is_left_shares_what_the_excluded_had() -> None:
    found = without(verdict(db=0.6, ledger=0.3, auth=0.1), {"db"})

    assert [one.service for one in found.candidates] == ["ledger", "auth"]
    assert [one.p for one in found.candidates] == pytest.approx([0.75, 0.25])
    assert found.named is not None
    assert found.ruled_out == ("fine",)


def test_where_nothing_else_stands_out_nobody_is_named() -> None:
    found = without(verdict(db=0.6, ledger=0.05), {"db"})
    assert found.named is None
    assert found.why_none == "db: said not to be the cause, and nothing else stands out"


def test_excluding_who_was_no_candidate_changes_nothing() -> None:
    given = replace(verdict(db=0.6), why_none="about as likely")
    assert without(given, {"web"}) is given


async def test_a_click_has_the_incident_thought_about_again_without_it(tmp_path: Path) -> None:
    async with (
        FakeSlack() as slack,
        bot(tmp_path, rethink_seconds=600.0, **with_slack(slack.url)) as (running, session),
    ):
        await learn(session)
        await alert(session, alertmanager("payments"))

        async def posted() -> Any:
            return next(iter(slack.messages("incidents")), None)

        message = await until(posted, "there is no message", 20)
        assert "likely cause: *ledger*" in message.text
        buttons = {
            one["text"]["text"]: one
            for block in message.blocks
            if block["type"] == "actions"
            for one in block["elements"]
        }
        click = {
            "type": "block_actions",
            "actions": [cast(dict[str, Any], buttons["Not this cause"]) | {"block_id": "b"}],
        }
        before = len(slack.responses)
        assert (await slack.interaction(running.url, click)).status == 200

        async def changed() -> bool:
            return "likely cause: *ledger*" not in slack.messages("incidents")[0].text

        await until(changed, "the message still blames who it is not", 20)
        await asyncio.sleep(0)
        answer = slack.responses[before]["text"]
        decisions = (await get(session, "/api/v1/incidents/1"))["decisions"]

    assert answer == "Noted: it is not ledger. The incident is thought about again."
    assert ("reject", "ledger") in [(one["step"], one["verdict"]) for one in decisions]


async def test_of_an_incident_that_is_over_one_says_who_it_was(tmp_path: Path) -> None:
    async with FakeSlack() as slack, bot(tmp_path, **with_slack(slack.url)) as (running, session):
        await alert(session, alertmanager("cart", started=1_700_000_000.0))
        await alert(session, alertmanager("cart", "resolved", started=1_700_000_000.0))

        async def over() -> bool:
            found = await get(session, "/api/v1/incidents")
            return bool(found["items"]) and found["items"][0]["state"] == "resolved"

        await until(over, "the incident is not over", 20)
        before = len(slack.responses)
        said = (await slack.slash_command(running.url, "reject 1 cart")).text

        async def answered() -> bool:
            text = said + "".join(str(one) for one in slack.responses[before:])
            return "Incident 1 is over: say who it was with" in text

        await until(answered, "it was not answered", 10)
