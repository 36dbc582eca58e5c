"""Whom the first post of an incident calls, and that nothing else calls anybody."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.enrich.facts import CauseFacts, FailingService, SourceCount
from bot.enrich.manners import Manners
from bot.enrich.thread_evidence import Evidence
from bot.incidents.mentions import parse_mention, whom
from bot.model import Message, Owner
from bot.slack.hush import hushed, posted
from bot.slack.thread_views import IncidentWords
from tests.incidents.test_decide import FACTS, MAP
from tests.incidents.test_path import alert, learn, thread
from tests.kit.alerts import alertmanager
from tests.kit.bots import bot, get, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.slack.test_hush import CALLS, HOSTILE

CATALOG = """\
services:
  - {id: payments, team: Payments, slack: "@pay-oncall", mention: S0123ABCD, tier: 1}
  - {id: checkout, team: Checkout, mention: U024BE7LH, tier: 2}
  - {id: web, team: Web}
"""
PAY = Owner("Payments", "@pay-oncall", "services.yaml", mention="S0123ABCD")
CRITICAL = (parse_mention("severity=critical"),)
KNOWN = {"severity": ("critical",), "tier": ("1",), "owner": ("Payments",)}
CALLED = "<!subteam^S0123ABCD|@pay-oncall>"


# -- the decision ------------------------------------------------------------------------------------------------------


def test_the_owner_is_called_where_a_rule_wants_it() -> None:
    assert whom(PAY, CRITICAL, KNOWN) == ("S0123ABCD", "@pay-oncall", "severity=critical")


@pytest.mark.parametrize(
    ("owner", "rules", "quiet", "foretold", "why"),
    [
        (PAY, (), "", "", "TOPOLOGY_BOT_MENTIONS wants nobody called for this"),
        (PAY, (parse_mention("severity=critical tier=2"),), "", "", "TOPOLOGY_BOT_MENTIONS wants nobody called for this"),
        (replace(PAY, mention=""), CRITICAL, "", "", "the catalogue has no Slack id of @pay-oncall"),
        (PAY, CRITICAL, "quiet hours: * sat,sun UTC", "", "quiet hours: * sat,sun UTC"),
        (PAY, CRITICAL, "", "incident 3 said that payments would be hit", "incident 3 said that payments would be hit"),
    ],
)  # fmt: skip
def test_nobody_is_called_and_it_is_known_why(owner: Owner, rules: Any, quiet: str, foretold: str, why: str) -> None:
    assert whom(owner, rules, KNOWN, quiet, foretold) == ("", "@pay-oncall", why)


# -- end to end --------------------------------------------------------------------------------------------------------


async def settled(slack: FakeSlack, count: int = 1, edits: int = 0) -> list[Any]:
    async def there() -> bool:
        posts = slack.messages("incidents")
        return len(posts) >= count and posts[0].edits >= edits

    await until(there, f"there are not {count} messages with {edits} edits", 30)
    return slack.messages("incidents")


def everything(slack: FakeSlack) -> list[tuple[str, str]]:
    """(method, all that was sent) of each post and edit Slack took, in order."""
    calls = [one for one in slack.calls if one.method in ("chat.postMessage", "chat.update") and one.outcome == "ok"]
    return [(one.method, f"{one.args.get('text')} {one.args.get('blocks')}") for one in calls]


async def mention_decisions(session: aiohttp.ClientSession, incident: int = 1) -> list[tuple[str, str]]:
    decisions = (await get(session, f"/api/v1/incidents/{incident}"))["decisions"]
    return [(one["verdict"], one["reason"]) for one in decisions if one["step"] == "mention"]


async def test_the_first_post_calls_the_owner_once_and_no_edit_or_thread_does(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text(CATALOG)
    started = time.time() - 300
    async with (
        FakeSlack() as slack,
        bot(tmp_path, catalog=tmp_path / "services.yaml", rethink_seconds=1.0, **with_slack(slack.url)) as (
            running, session),
    ):  # fmt: skip
        await learn(session)
        await alert(session, alertmanager("payments", started=started))
        first = (await settled(slack))[0]
        text = first.text
        await alert(session, alertmanager("checkout", fingerprint="00000000000000c1", group="g2", started=started))
        await settled(slack, edits=1)
        edited = first.text
        await alert(session, alertmanager("payments", status="resolved", started=started))
        await alert(
            session, alertmanager("checkout", "resolved", fingerprint="00000000000000c1", group="g2", started=started)
        )

        async def over() -> bool:
            return any("Resolved" in said for said in await thread(running))

        await until(over, "the incident is not over", 30)
        await settled(slack, edits=2)
        sent = everything(slack)
        decisions = await mention_decisions(session)

    assert f"For {CALLED}" in text
    assert "For @pay-oncall" in edited.splitlines()[1]
    assert [method for method, said in sent if CALLS.search(said)] == ["chat.postMessage"]
    assert decisions == [("@pay-oncall", "severity=critical")]


async def test_what_was_revised_before_slack_took_it_still_calls_once(tmp_path: Path) -> None:
    """Slack is down while the incident moves: the first post is the third wording, and it is the first that people see."""
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with (
        FakeSlack() as slack,
        bot(tmp_path, catalog=tmp_path / "services.yaml", **with_slack(slack.url)) as (running, session),
    ):
        slack.fail_next("chat.postMessage", "ratelimited", retry_after=2.0, times=1)
        await alert(session, alertmanager("payments"))
        for number in range(2):
            body = alertmanager("payments", fingerprint=f"{number:016x}")
            await alert(session, body)

        async def revised() -> bool:
            return any(row.revision == 3 for row in await running.outbox.latest(5))

        await until(revised, "it was not revised")
        posts = await settled(slack)
        await alert(session, alertmanager("payments", fingerprint="00000000000000ff"))
        await settled(slack, edits=1)
        sent = everything(slack)

    assert "Alertmanager ×3" in sent[0][1]
    assert CALLED in sent[0][1]
    assert [method for method, said in sent if CALLS.search(said)] == ["chat.postMessage"]
    assert len(posts) == 1


async def test_a_post_whose_answer_was_lost_is_not_made_again_to_call_again(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with (
        FakeSlack() as slack,
        bot(tmp_path, catalog=tmp_path / "services.yaml", **with_slack(slack.url)) as (_, session),
    ):
        slack.fail_next("chat.postMessage", "drop", accepted=True)
        await alert(session, alertmanager("payments"))
        await settled(slack, edits=0)
        await alert(session, alertmanager("payments", fingerprint="00000000000000ff"))
        posts = await settled(slack, edits=1)

    assert len(posts) == 1
    assert len(slack.called("chat.postMessage")) == 1


@pytest.mark.parametrize(
    ("changes", "severity", "called"),
    [
        ({}, "critical", True), ({}, "P1", True), ({}, "warning", False), ({}, "", False), ({"mentions": "none"}, "critical", False),
        ({"mentions": "tier=1 severity=warning; severity=info"}, "warning", True), ({"quiet_hours": "* mon-sun UTC"}, "critical", False),
        ({"quiet_hours": "team=Checkout mon-sun UTC"}, "critical", True),
    ],
)  # fmt: skip
async def test_only_what_is_wanted_calls_somebody(
    tmp_path: Path, changes: dict[str, str], severity: str, called: bool
) -> None:
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with (
        FakeSlack() as slack,
        bot(tmp_path, catalog=tmp_path / "services.yaml", **changes, **with_slack(slack.url)) as (_, session),
    ):
        await learn(session)
        await alert(session, alertmanager("payments", labels={"severity": severity}))
        text = (await settled(slack))[0].text

    assert (CALLED in text) is called
    assert bool(CALLS.search(text)) is called


async def test_who_was_foretold_is_not_called_and_who_joins_neither(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with (
        FakeSlack() as slack,
        bot(tmp_path, catalog=tmp_path / "services.yaml", **with_slack(slack.url)) as (running, session),
    ):
        await learn(session)
        await alert(session, alertmanager("payments", labels={"env": "prod"}))
        await settled(slack)
        # In another environment it is no part of the first incident, and yet what that one said would come.
        body = alertmanager("checkout", fingerprint="00000000000000c1", group="g2", labels={"env": "staging"})
        await alert(session, body)
        texts = [one.text for one in await settled(slack, count=2)]
        decisions = await mention_decisions(session, 2)

    assert [bool(CALLS.search(text)) for text in texts] == [True, False]
    assert decisions == [("nobody", "incident 1 said that checkout would be hit")]
    assert running.url


# -- hostile names -----------------------------------------------------------------------------------------------------


def marked(message: Message) -> list[str]:
    """Every text of a message in which Slack looks for mentions."""
    return [message.text, *_marked(message.blocks)]


def _marked(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["text"]] if part.get("type") == "mrkdwn" else []
        return own + [text for one in part.values() for text in _marked(one)]
    return [text for one in part for text in _marked(one)] if isinstance(part, list | tuple) else []


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, st.sampled_from(["open", "acknowledged", "resolved"]))
def test_no_vendors_words_call_anybody_in_any_message(
    title: str, service: str, name: str, why: str, state: str
) -> None:
    named = service or "x"
    hostile = replace(
        FACTS, state=state, title=title, summary=why, severity=why, environment=title, services=(named, title or "y"), runbook=why,
        sources=(SourceCount("alertmanager", 1, 1, number=title, holder=name),), degraded=why, resolved_at=FACTS.updated_at,
        map=replace(MAP, services=(FailingService(named, known=False, closest=(title,)),), hit=(service,), at_risk=(title,),
                    entry_points=(name,), owners=((named, name, why),), silent=((title, 3.0),),
                    cause=CauseFacts(service, 0.9, (why,), title, (name,), (title,))),
        manners=Manners("S0123ABCD", name),
    )  # fmt: skip
    words = IncidentWords()
    evidence = words.evidence(Evidence((), (("1", title), ("2", why))), hostile)
    said = words.thread((("alert", service, title, why), ("cause", name, title, 0.5, why), ("change", why)), hostile, 1)
    folded = words.folded((service,), title, 1, why, name)
    root = words.incident(hostile)
    for text in marked(posted(root)):
        assert set(re.findall(r"<(?:!subteam\^|@|!)(?!date)[^|>]*", text)) <= {"<!subteam^S0123ABCD"}
    for quiet in (
        hushed(root),
        hushed(evidence),
        hushed(said),
        hushed(folded),
        posted(evidence),
        posted(said),
        posted(folded),
    ):
        assert [text for text in marked(quiet) if CALLS.search(text)] == []
