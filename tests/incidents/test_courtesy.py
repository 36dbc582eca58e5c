"""Lines in other teams' channels: who is told, once, and how it ends, whatever happens on the way."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given

from bot.app import Running
from bot.catalog.entries import Catalog, CatalogEntry
from bot.enrich.facts import MapFacts
from bot.enrich.manners import Courtesy
from bot.incidents import courtesy
from bot.incidents.courtesy import CourtesyRules, at_risk, worth_telling
from bot.model import Kind, Layer, OutboxRow, Owner
from bot.slack.courtesy_view import courtesy as written
from bot.slack.hush import posted
from bot.storage.alert_store import AlertStore
from tests.incidents.test_decide import FACTS, MAP
from tests.incidents.test_mentions import marked
from tests.incidents.test_path import alert, learn, message, roots, send
from tests.kit.alerts import alertmanager
from tests.kit.bots import bot, get, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.kit.maps import NOW, MapMaker
from tests.kit.spans import calls
from tests.slack.bench import counted
from tests.slack.test_hush import CALLS, HOSTILE

CATALOG = """\
services:
  - {id: payments, team: Payments, slack: "#team-pay", tier: 1}
  - {id: checkout, team: Checkout, slack: "#team-checkout", tier: 1}
  - {id: web, team: Web, slack: "#team-web", tier: 2}
"""
RULES = CourtesyRules()
PAYMENTS = replace(FACTS, services=("payments",), map=replace(MAP, alerting=("payments",)), severity="critical")


# -- who is told -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "age", "worth"),
    [
        ({}, 61.0, True), ({}, 59.0, False), ({"severity": "error"}, 61.0, True), ({"severity": "warning"}, 999.0, False),
        ({"severity": ""}, 999.0, False), ({"state": "resolved"}, 999.0, False), ({"state": "acknowledged"}, 61.0, True),
        ({"degraded": "causes failed"}, 999.0, False), ({"map": None}, 999.0, False), ({"services": ("nobody",)}, 999.0, False),
        ({"map": replace(MAP, alerting=("payments",), truncated=True)}, 999.0, False), ({"map": MapFacts(NOW, ())}, 999.0, False),
    ],
)  # fmt: skip
def test_only_what_is_bad_lasts_and_is_surely_read_is_worth_telling(
    changes: dict[str, Any], age: float, worth: bool
) -> None:
    assert worth_telling(replace(PAYMENTS, **changes), age) is worth


def company() -> MapMaker:
    tiers = {"checkout": "1", "web": "3", "mail": "4", "guess": "1", "far": "1", "late": "1", "old": "1"}
    entries = {name: CatalogEntry(Owner(name.title(), f"#{name}"), tier) for name, tier in tiers.items()}
    entries["orphan"] = CatalogEntry(tier="1")
    made = MapMaker(catalog=Catalog(entries), kinds={"queue": Kind.QUEUE})
    return made.calls("(entry)>web", count=10.0).calls("checkout>payments", "orphan>payments", "(entry)>mail")


def told(made: MapMaker) -> list[str]:
    return [one.id for one in at_risk(made.view, PAYMENTS, RULES, NOW)]


def test_tier_or_the_share_of_requests_makes_a_dependent_worth_it_and_nobody_owning_it_does_not() -> None:
    made = company()
    assert told(made) == ["checkout"]
    made.calls("web>payments", count=6.0).calls("mail>payments", count=1.0)
    assert told(made) == ["web", "checkout"]


def test_who_fails_already_is_not_at_risk() -> None:
    made = company()
    made.view.firing = {"payments": NOW - 60, "checkout": NOW - 30}

    assert told(made) == []


def test_a_way_that_is_not_sure_or_goes_through_a_queue_is_none() -> None:
    made = company()
    made.calls("late>queue", "queue>payments", "far>a", "a>b", "b>c", "c>payments")
    made.calls("old>payments", ago=600)
    made.calls("guess>payments", layer=Layer.NETWORK)
    edge = made.graph.layers("guess", "payments")[Layer.NETWORK]
    assert edge.certainty == 1.0

    assert told(made) == ["checkout", "guess"]


# -- end to end --------------------------------------------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are told as soon as the incident has been thought about again."""
    monkeypatch.setattr(courtesy, "AFTER_SECONDS", 0.0)


def wanted(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    (tmp_path / "services.yaml").write_text(CATALOG)
    return {"catalog": tmp_path / "services.yaml", "courtesy": True, "rethink_seconds": 1.0} | changes


async def well(session: aiohttp.ClientSession) -> None:
    """web -> checkout -> payments -> ledger, healthy until this minute."""
    await learn(session, failing=False)
    chain = [("web", "checkout"), ("checkout", "payments"), ("payments", "ledger")]
    await send(session, calls(chain, count=20, at=time.time() - 20))


async def lines(running: Running) -> dict[str, OutboxRow]:
    """The lines in other channels, by channel."""
    found = [row for row in await running.outbox.latest(200) if row.key.startswith("courtesy:")]
    assert len(found) == len({row.channel for row in found})
    return {row.channel: row for row in found}


async def told_to(running: Running, *channels: str) -> dict[str, OutboxRow]:
    async def there() -> dict[str, OutboxRow] | None:
        found = await lines(running)
        return found if set(channels) <= found.keys() and all(row.ts for row in found.values()) else None

    return dict(await until(there, f"{channels} were not told", 20))


async def resolved(session: aiohttp.ClientSession, started: float) -> None:
    await alert(session, alertmanager("payments", "resolved", started=started))


async def decisions(session: aiohttp.ClientSession, incident: int = 1) -> list[tuple[str, str]]:
    found = (await get(session, f"/api/v1/incidents/{incident}"))["decisions"]
    return [(one["verdict"], one["reason"]) for one in found if one["step"] == "courtesy"]


@pytest.mark.usefixtures("soon")
async def test_owners_at_risk_get_one_line_that_says_how_it_ends(tmp_path: Path) -> None:
    started = time.time() - 600
    async with bot(tmp_path, **wanted(tmp_path)) as (running, session):
        await well(session)
        await alert(session, alertmanager("payments", started=started))
        first = await told_to(running, "#team-checkout", "#team-web")
        root = (await roots(running))[-1]
        await resolved(session, started)

        async def over() -> dict[str, OutboxRow] | None:
            found = await lines(running)
            return found if all(row.sent_revision == 2 for row in found.values()) else None

        last = dict(await until(over, "it was not said that it is over", 20))
        reasons = await decisions(session)

    assert root.ts is not None
    page = f"https://slack.com/archives/{root.channel_id}/p{root.ts.replace('.', '')}"
    assert first["#team-checkout"].message.text == (
        f"ℹ️ *checkout* depends on *payments*, which is failing; nothing to do yet · <{page}|what is known>"
    )
    assert "Mute" in str(first["#team-web"].message.blocks)
    assert last["#team-checkout"].message.text.startswith(
        "✅ *payments*, on which *checkout* depends, is well again (10 min)"
    )
    assert "Mute" not in str(last["#team-checkout"].message.blocks)
    assert last["#team-checkout"].ts == first["#team-checkout"].ts
    assert set(last) == {"#team-checkout", "#team-web"}
    assert sorted(reasons) == [("#team-checkout", "checkout is at risk"), ("#team-web", "web is at risk")]


@pytest.mark.usefixtures("soon")
async def test_nobody_is_told_unless_it_is_wanted_nor_of_a_warning(tmp_path: Path) -> None:
    for changes, severity in (({"courtesy": False}, "critical"), ({}, "warning")):
        folder = tmp_path / severity
        folder.mkdir()
        async with bot(folder, **wanted(folder, **changes)) as (running, session):
            await well(session)
            await alert(session, alertmanager("payments", labels={"severity": severity}))
            await thought_again(session)

            assert await lines(running) == {}


async def thought_again(session: aiohttp.ClientSession, times: int = 2) -> None:
    """Wait until open incidents were thought about again so often."""

    async def total() -> float:
        async with session.get("/metrics") as answer:
            text = await answer.text()
        return sum(
            float(line.split()[-1])
            for line in text.splitlines()
            if line.startswith("topology_bot_incidents_rethought_total")
        )

    before = await total()

    async def enough() -> bool:
        return await total() >= before + times

    await until(enough, "nobody thought again", 20)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("changes", "channels", "reason"),
    [
        ({"courtesy_channels": 1}, {"#team-checkout"}, "#team-web: cap"),
        ({"quiet_hours": "team=Web mon-sun UTC"}, {"#team-checkout"}, "#team-web: quiet hours"),
        ({"channel": "#team-web"}, {"#team-checkout"}, ""),
        ({"routes": "service=payments -> team-checkout"}, {"#team-web"}, ""),
        ({"courtesy_tier": 1, "courtesy_share": 1.0}, {"#team-checkout"}, ""),
    ],
)
async def test_who_is_left_out_and_why(
    tmp_path: Path, changes: dict[str, Any], channels: set[str], reason: str
) -> None:
    before = counted("courtesies", outcome=reason.partition(": ")[2]) if reason else 0.0
    async with bot(tmp_path, **wanted(tmp_path, **changes)) as (running, session):
        if "courtesy_tier" in changes:  # whoever is not of the first tier asks for more than payments
            await send(session, calls([("web", "elsewhere")], count=50, at=time.time() - 60))
        await well(session)
        await alert(session, alertmanager("payments"))
        await told_to(running, *channels)
        await thought_again(session)
        found = await lines(running)
        reasons = [f"{why}" for verdict, why in await decisions(session) if verdict == "nobody"]

    if "courtesy_tier" not in changes:
        assert set(found) == channels
    assert reasons == ([reason] if reason else [])  # and said once, however often it is thought about
    if reason:
        assert counted("courtesies", outcome=reason.partition(": ")[2]) == before + 1


@pytest.mark.usefixtures("soon")
async def test_a_restart_and_a_kill_between_the_steps_double_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = AlertStore.commit

    async def dying(self: AlertStore, outcome: Any, messages: Any = ()) -> object:
        if any(one.key.startswith("courtesy:") for one in messages):
            raise LookupError("killed")
        return await commit(self, outcome, messages)

    changes = wanted(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(AlertStore, "commit", dying)
        async with bot(tmp_path, **changes) as (running, session):
            await well(session)
            await alert(session, alertmanager("payments"))
            await message(running)
            await thought_again(session)
            assert await lines(running) == {}
    keys = []
    for _ in range(2):
        async with bot(tmp_path, **changes) as (running, session):
            found = await told_to(running, "#team-checkout", "#team-web")
            await thought_again(session)
            keys.append({row.key: (row.ts, row.revision) for row in (await lines(running)).values()})
            assert len(found) == 2

    assert keys[0] == keys[1]


@pytest.mark.usefixtures("soon")
async def test_a_storm_of_incidents_tells_a_channel_once(tmp_path: Path) -> None:
    """Three services that checkout and web need fail in three environments, so nothing makes one incident of them."""
    async with bot(tmp_path, **wanted(tmp_path)) as (running, session):
        await well(session)
        for number, (service, place) in enumerate((("payments", "a"), ("ledger", "b"), ("payments", "c"))):
            labels = {"env": place}
            await alert(session, alertmanager(service, fingerprint=f"{number:016x}", group=f"g{number}", labels=labels))
        await message(running, index=2)
        await told_to(running, "#team-checkout", "#team-web")
        await thought_again(session, 8)
        found = await lines(running)
        why = [one for number in (1, 2, 3) for one in await decisions(session, number)]

    assert {"#team-checkout", "#team-web"} <= set(found) <= {"#team-checkout", "#team-web", "#team-pay"}
    assert "#team-checkout: told already" in [reason for verdict, reason in why if verdict == "nobody"]


@pytest.mark.usefixtures("soon")
async def test_a_line_of_an_incident_that_is_folded_ends_with_the_other(tmp_path: Path) -> None:
    started = time.time() - 300
    catalog = 'services:\n  - {id: web, team: Web, slack: "#team-web", tier: 1}\n'
    changes = wanted(tmp_path)
    (tmp_path / "services.yaml").write_text(catalog)
    pairs = [("web", "checkout"), ("checkout", "payments"), ("invoices", "payments")]
    async with bot(tmp_path, **changes) as (running, session):
        for minutes in range(20, 0, -4):
            await send(session, calls(pairs, count=5, at=time.time() - minutes * 60))

        async def known() -> bool:
            return running.view.graph.edge_count == 3

        await until(known, "the map did not learn the calls")
        for number, service in enumerate(("invoices", "checkout")):
            body = alertmanager(service, fingerprint=f"{number:016x}", group=f"g{number}", started=started)
            await alert(session, body)
            await message(running, index=number)
        (first,) = (await told_to(running, "#team-web")).values()
        body = alertmanager("payments", fingerprint="00000000000000aa", group="g9", started=started)
        await alert(session, body)

        async def folded() -> bool:
            return any(row.message.text.startswith("🔗") for row in await roots(running))

        await until(folded, "the two were not folded together", 20)
        for number, service in ((0, "invoices"), (1, "checkout"), (0xAA, "payments")):
            ended = alertmanager(service, "resolved", fingerprint=f"{number:016x}", group="any", started=started)
            await alert(session, ended)

        async def over() -> bool:
            return all("is well again" in row.message.text for row in (await lines(running)).values())

        await until(over, "it was not said that it is over", 20)
        last = await lines(running)

    assert first.key.startswith("courtesy:2.")
    assert list(last) == ["#team-web"]
    assert last["#team-web"].key == first.key


@pytest.mark.usefixtures("soon")
async def test_a_service_that_is_hit_after_all_is_said_to_be(tmp_path: Path) -> None:
    async with bot(tmp_path, **wanted(tmp_path)) as (running, session):
        await well(session)
        await alert(session, alertmanager("payments"))
        await told_to(running, "#team-checkout")
        await alert(session, alertmanager("checkout", fingerprint="00000000000000c1", group="g2"))

        async def hit() -> str:
            text = (await lines(running))["#team-checkout"].message.text
            return text if text.startswith("🟠") else ""

        text = await until(hit, "it was not said that it is hit", 20)

    assert str(text).startswith("🟠 *checkout* depends on *payments*, which is failing")
    assert "and is hit now" in str(text)


# -- mutes -------------------------------------------------------------------------------------------------------------


def mute_button(posts: list[Any]) -> dict[str, Any]:
    (button,) = (one for block in posts[0].blocks if block["type"] == "actions" for one in block["elements"])
    return {
        "type": "block_actions",
        "actions": [{"action_id": button["action_id"], "value": button["value"], "type": "button"}],
    }


@pytest.mark.usefixtures("soon")
async def test_a_channel_that_mutes_is_left_alone_until_it_takes_it_back(tmp_path: Path) -> None:
    names = ("incidents", "team-checkout", "team-web", "team-pay")
    started = time.time() - 300
    changes = wanted(tmp_path)
    async with FakeSlack(channels=names) as slack:
        async with bot(tmp_path, **changes, **with_slack(slack.url)) as (running, session):
            await well(session)
            await alert(session, alertmanager("payments", started=started))
            await told_to(running, "#team-checkout", "#team-web")
            posts = slack.messages("team-checkout")
            await slack.interaction(running.url, mute_button(posts), channel="team-checkout")
            await resolved(session, started)

            async def over() -> bool:
                return posts[0].text.startswith("✅")

            await until(over, "it was not said that it is over", 20)
            said = await answered(slack, 1)
            listed = await slack.slash_command(running.url, "mute list")
            assert listed.status == 200
            listing = await answered(slack, 2)
        async with bot(tmp_path, **changes, **with_slack(slack.url)) as (running, session):
            await alert(session, alertmanager("payments", fingerprint="00000000000000bb", group="g2"))
            await message(running, index=-1)
            await thought_again(session, 3)
            quiet = [len(slack.messages(name)) for name in ("team-checkout", "team-web")]
            why = await decisions(session, 2)
            await slack.slash_command(running.url, "unmute", channel="team-checkout")
            taken_back = await answered(slack, 3)
            again = await slack.slash_command(running.url, "unmute", channel="team-checkout")
            assert again.status == 200
            refused = await answered(slack, 4)

    assert "This channel is told no more" in said
    assert "#team-checkout" in listing
    assert "someone" in listing or "U000000001" in listing
    assert quiet == [1, 2]
    assert ("nobody", "#team-checkout: muted") in why
    assert "This channel is told again" in taken_back
    assert "This channel is not muted" in refused


async def answered(slack: FakeSlack, count: int) -> str:
    """All that was answered to whoever asked, once there are so many answers."""

    async def there() -> bool:
        return len(slack.responses) >= count

    await until(there, "nothing was answered", 20)
    return str(slack.responses[count - 1])


# -- words -------------------------------------------------------------------------------------------------------------


@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_names_call_nobody_in_another_teams_channel(failing: str, ours: str, cause: str) -> None:
    facts = replace(PAYMENTS, services=(failing or "x",))
    for state in ("at risk", "hit", "over"):
        line = Courtesy("k", "#pay", (ours or "y", cause or "z"), state, cause)
        made = posted(written(line, facts, "https://slack.com/archives/C1/p1"))
        assert [text for text in marked(made) if CALLS.search(text)] == []


def test_many_services_of_a_channel_are_one_line() -> None:
    line = Courtesy("k", "#pay", ("a", "b", "c", "d", "e"), "at risk", "node:n1")
    text = written(line, PAYMENTS, "").text

    assert text.startswith("ℹ️ *a*, *b*, *c* and 2 more depend on *payments*, which is failing (likely cause: ")
    assert text.endswith("; nothing to do yet")
