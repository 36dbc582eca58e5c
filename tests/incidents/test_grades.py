"""What was said of an incident is held against what became of it, once it is over."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app import Running
from bot.enrich.facts import CauseFacts, FailingService, MapFacts, followed
from tests.incidents.test_path import alert, learn, message, roots, send
from tests.kit.alerts import alertmanager
from tests.kit.bots import bot, get, until
from tests.kit.spans import calls
from tests.test_cli import run

STARTED = time.time() - 120


async def over(running: Running, session: aiohttp.ClientSession) -> None:
    """payments alerts, checkout and web fail with it, and all is well again."""
    await learn(session)
    await alert(session, alertmanager("payments", started=STARTED))
    assert "likely cause: *ledger*" in await message(running)
    await alert(session, alertmanager("payments", "resolved", started=STARTED))

    async def closed() -> bool:
        return "recovered" in (await roots(running))[0].message.text

    await until(closed, "the incident was not closed")


async def confirm(session: aiohttp.ClientSession, incident: int | str, body: object) -> tuple[int, Any]:
    async with session.post(f"/api/v1/incidents/{incident}/cause", data=json.dumps(body)) as answer:
        return answer.status, await answer.json()


async def test_an_incident_that_is_over_is_graded_by_who_was_hit_and_who_was_confirmed(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        assert (await get(session, "/api/v1/accuracy"))["incidents"] == 0
        await over(running, session)
        before = await get(session, "/api/v1/accuracy")
        assert await confirm(session, 1, {"service": "LEDGER", "by": "ada"}) == (
            200,
            {"incident": 1, "cause": "ledger"},
        )
        after = await get(session, "/api/v1/accuracy?weeks=1")
        said = (await get(session, "/api/v1/incidents/1"))["decisions"][-1]
        again = await asyncio.to_thread(run, "confirm", "1", "ledger", "--by", "bob", "--url", running.url)
        printed = await asyncio.to_thread(run, "doctor", "--accuracy", "--url", running.url)
        offline = await asyncio.to_thread(run, "doctor", "--accuracy", "--json", folder=tmp_path)
        nobody = await asyncio.to_thread(run, "confirm", "1", "ledger", folder=tmp_path)

    assert before["radius"] == {"predicted": 2, "hit": 2, "missed": 0, "precision": 1.0, "recall": 1.0}
    assert before["causes"]["confirmed"] == 0
    assert after["causes"] == {"confirmed": 1, "first": 1.0, "among_three": 1.0, "named": 1, "named_right": 1.0}
    assert "effect" in after["evidence"]
    assert (said["step"], said["verdict"], said["reason"]) == ("confirm", "ledger", "said by ada")
    assert again.stdout == "incident 1: ledger was at fault\n"
    assert "likely causes: first 100%, among three 100% of 1" in printed.stdout
    assert json.loads(offline.stdout)["causes"] == after["causes"]
    assert nobody.returncode == 2


async def test_only_an_incident_that_is_over_can_be_confirmed_and_only_in_words_that_are_understood(
    tmp_path: Path,
) -> None:
    async with bot(tmp_path) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments", started=STARTED))
        await message(running)
        statuses = [
            (await confirm(session, incident, body))[0]
            for incident, body in (
                (1, {"service": "ledger"}), (77, {"service": "ledger"}), ("one", {"service": "ledger"}),
                (1, {"cause": "ledger"}), (1, []), (1, {"service": "x" * 10_000}),
            )
        ]  # fmt: skip
    assert statuses == [404, 404, 404, 400, 400, 400]


async def test_what_a_person_said_stays_when_the_incident_is_over_once_more_and_the_last_word_stands(
    tmp_path: Path,
) -> None:
    async with bot(tmp_path) as (running, session):
        await over(running, session)
        await confirm(session, 1, {"service": "payments"})
        assert (await confirm(session, 1, {"service": ""}))[1]["cause"] == "none"
        await send(session, calls([("web", "checkout")], at=time.time() - 1))
        found = await get(session, "/api/v1/accuracy")
    assert found["causes"] == {"confirmed": 1, "first": 0.0, "among_three": 0.0, "named": 1, "named_right": 0.0}


# -- following ---------------------------------------------------------------------------------------------------------


def facts(*alerting: str, radius: tuple[str, ...] = (), hit: tuple[str, ...] = (), cause: str = "") -> MapFacts:
    services = tuple(FailingService(one, known=True) for one in alerting)
    found = CauseFacts(cause, 0.8, ranked=((cause, 0.8, ("effect",)),)) if cause else None
    return MapFacts(0.0, services, radius=radius, radius_hit=hit, alerting=alerting, cause=found, layers={"ipc": 1.0})


def test_what_was_predicted_first_is_held_against_all_that_happened_since() -> None:
    first = followed(None, facts("pay", radius=("web", "cart"), cause="db"))
    assert first is not None
    second = followed({"outcome": _stored(first)}, facts("pay", "web", radius=("cart", "mail"), hit=("mail",)))
    assert second is not None
    third = followed({"outcome": _stored(second)}, facts("pay", radius=("web", "cart")))

    assert third is not None
    assert (third.roots, third.predicted) == (("pay",), ("web", "cart"))
    assert (third.hit, third.missed) == (("web",), ("mail",))
    assert (third.causes, third.named, third.layers) == ((("db", 0.8, ("effect",)),), "db", ("ipc",))


def test_a_suspected_cause_that_alerts_itself_is_no_miss_of_the_radius() -> None:
    first = followed(None, facts("pay", radius=("web",), cause="db"))
    assert first is not None
    found = followed({"outcome": _stored(first)}, facts("pay", "db", radius=("web",)))

    assert found is not None
    assert found.missed == ()


@pytest.mark.parametrize("before", [None, {}, {"outcome": None}])
def test_without_a_map_there_is_nothing_to_follow(before: Any) -> None:
    assert followed(before, None) is None


def _stored(outcome: Any) -> Any:
    """As it comes back from the database."""
    return json.loads(json.dumps({name: getattr(outcome, name) for name in outcome.__slots__}))
