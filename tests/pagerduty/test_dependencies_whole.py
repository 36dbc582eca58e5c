"""The whole bot and PagerDuty's service graph: from telemetry and PagerDuty's names to dependencies, and the dry run."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from bot.errors import ConfigError
from bot.pager import DEPENDENCIES
from bot.storage.database import Database
from tests.kit.alerts import pagerduty
from tests.kit.bots import bot, get, until, with_slack
from tests.kit.digests import DAY, HOUR, MINUTE, write
from tests.kit.fake_pagerduty import TOKEN, FakePagerDuty, fake_pagerduty
from tests.kit.fake_slack import FakeSlack
from tests.pagerduty.test_whole import send
from tests.test_cli import run

CATALOG = "services:\n  - {id: ledger, pagerduty_service_id: PLEDGER}\n"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits a minute for the first look, nor for the next where the catalogue was not read yet."""
    monkeypatch.setattr("bot.pager._FIRST_LOOK_SECONDS", 0.5)
    monkeypatch.setattr("bot.pagerduty.dependencies._SOON", 0.5)


def pushing(fake: FakePagerDuty, **changes: Any) -> dict[str, Any]:
    """The settings of a bot that pushes dependencies and writes nothing else."""
    return {"pagerduty_api_token": TOKEN, "pagerduty_api_url": fake.url, "pagerduty_dependencies": True} | changes


def account(fake: FakePagerDuty) -> None:
    """Three services: two by the names they have there, one by the id that the catalogue has."""
    fake.services |= {"PWEB", "PSHOP", "PLEDGER"}
    fake.names |= {"PWEB": "web", "PSHOP": "Shop", "PLEDGER": "Accounting"}


async def past(folder: Path) -> Path:
    """A database in which web has called shop for two weeks, and shop the ledger for an hour; and the catalogue's file."""
    now = time.time()
    database = Database(f"sqlite:///{folder}/bot.db")
    await database.upgrade()
    await write(database, "web>shop", at=[now - 14 * DAY, now - HOUR, now - MINUTE])
    await write(database, "shop>ledger", at=[now - HOUR, now - MINUTE])
    await database.close()
    (folder / "services.yaml").write_text(CATALOG)
    return folder / "services.yaml"


async def test_what_telemetry_showed_stands_in_pagerduty_and_doctor_says_so(tmp_path: Path) -> None:
    catalog = await past(tmp_path)
    async with fake_pagerduty() as fake:
        account(fake)
        async with bot(tmp_path, catalog=catalog, **pushing(fake)) as (_, session):

            async def pushed() -> Any:
                return fake.graph.made

            assert await until(pushed, "nothing was pushed") == [("PWEB", "PSHOP")]

            async def told() -> Any:
                state = (await get(session, "/api/v1/doctor"))["feeds"][DEPENDENCIES]
                return state if state.get("ours") else None

            state = await until(told, "doctor does not say so")
            async with session.get("/metrics") as answer:
                metrics = await answer.text()

    assert (state["services"], state["there"], state["done"]) == (3, 1, "1 × pushed")
    assert "1 × not seen for long enough" in state["left_out"]
    assert 'topology_bot_pagerduty_dependencies_total{what="pushed"}' in metrics
    assert {method for method, path in fake.asked if "service_dependencies" not in path} == {"GET"}


async def test_without_the_setting_pagerdutys_service_graph_is_not_even_read(tmp_path: Path) -> None:
    catalog = await past(tmp_path)
    async with fake_pagerduty() as fake:
        account(fake)
        async with bot(tmp_path, catalog=catalog, **pushing(fake, pagerduty_dependencies=False)) as (_, session):

            async def asked() -> bool:
                return ("GET", "/services") in fake.asked

            await until(asked, "the catalogue was not read")
            doctor = await get(session, "/api/v1/doctor")

    assert DEPENDENCIES not in doctor["feeds"]
    assert not [path for _, path in fake.asked if "service_dependencies" in path]


async def test_the_setting_without_a_key_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PAGERDUTY_API_TOKEN is not"):
        async with bot(tmp_path, pagerduty_dependencies=True):
            pass


async def test_a_key_that_may_not_write_shows_in_doctor(tmp_path: Path) -> None:
    catalog = await past(tmp_path)
    async with fake_pagerduty() as fake:
        account(fake)
        fake.graph.trouble = [403] * 9
        async with bot(tmp_path, catalog=catalog, **pushing(fake)) as (_, session):

            async def told() -> Any:
                problems = (await get(session, "/api/v1/doctor"))["problems"]
                return [one for one in problems if "pd_forbidden" in one]

            [said] = await until(told, "doctor says nothing")

    assert said.startswith(f"{DEPENDENCIES}: dependencies are not pushed: pd_forbidden (the key")


async def test_a_pagerduty_that_hangs_over_its_service_graph_delays_no_message_and_no_stop(tmp_path: Path) -> None:
    catalog = await past(tmp_path)
    async with fake_pagerduty() as fake, FakeSlack() as slack:
        account(fake)
        async with bot(tmp_path, catalog=catalog, **pushing(fake), **with_slack(slack.url)) as (_, session):

            async def reading() -> bool:
                return any("service_dependencies" in path for _, path in fake.asked)

            fake.graph.trouble = [500] * 9
            await until(reading, "the service graph was not read")
            fake.outage = "hang"
            began = time.time()
            await send(session, pagerduty(service="web"))

            async def posted() -> bool:
                return bool(slack.messages("incidents"))

            await until(posted, "the message did not come")
            took = time.time() - began
            stopping = time.monotonic()
        stopped = time.monotonic() - stopping
        fake.recover()

    assert took < 3.0
    assert stopped < 8.0


async def test_the_dry_run_says_what_would_be_pushed_and_changes_nothing(tmp_path: Path) -> None:
    catalog = await past(tmp_path)
    async with fake_pagerduty() as fake:
        account(fake)
        environment = {
            "PAGERDUTY_API_TOKEN": TOKEN,
            "PAGERDUTY_API_URL": fake.url,
            "TOPOLOGY_BOT_CATALOG": str(catalog),
        }
        words = ("pagerduty", "dependencies", "--dry-run")
        shown = await asyncio.to_thread(run, *words, folder=tmp_path, **environment)
        as_json = await asyncio.to_thread(run, *words, "--json", folder=tmp_path, **environment)
        orders = [method for method, _ in fake.asked if method != "GET"]

    assert shown.returncode == 0, shown.stderr
    assert "1 to push (TOPOLOGY_BOT_PAGERDUTY_DEPENDENCIES is not set: nothing is pushed)" in shown.stdout
    assert "+ web → shop (PWEB needs PSHOP)" in shown.stdout
    assert "1 × not pushed: not seen for long enough" in shown.stdout
    answer = json.loads(as_json.stdout)
    assert [(one["dependent"], one["supporting"]) for one in answer["push"]] == [("PWEB", "PSHOP")]
    assert (answer["enabled"], answer["ours"], answer["gone"]) == (False, 0, [])
    assert orders == []


def test_the_dry_run_without_a_key_is_exit_2(tmp_path: Path) -> None:
    found = run("pagerduty", "dependencies", "--dry-run", folder=tmp_path)

    assert found.returncode == 2
    assert "PAGERDUTY_API_TOKEN is not set" in found.stderr


async def test_the_dry_run_of_a_pagerduty_that_refuses_is_exit_1_without_a_secret(tmp_path: Path) -> None:
    await past(tmp_path)
    async with fake_pagerduty() as fake:
        fake.outage = 401
        environment = {"PAGERDUTY_API_TOKEN": TOKEN, "PAGERDUTY_API_URL": fake.url}
        found = await asyncio.to_thread(run, "pagerduty", "dependencies", folder=tmp_path, **environment)

    assert (found.returncode, "pd_unauthorized" in found.stderr) == (1, True)
    assert TOKEN not in found.stderr + found.stdout
