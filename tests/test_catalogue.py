"""The catalogue in a running bot: read while it runs, answered from, and never in an alert's way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app import Running
from tests.kit.bots import bot, get, until
from tests.kit.fake_catalog import FakeCatalog
from tests.kit.fake_kubernetes import TOKEN as KUBERNETES_TOKEN
from tests.kit.fake_kubernetes import FakeKubernetes, deployed
from tests.kit.spans import PROTOBUF, calls
from tests.test_cli import run

TOKEN = "token-nobody-may-see"
FILE = """\
services:
  - {id: payments, team: Payments, tier: 1, aliases: [pay-svc], pagerduty_service_id: PF9KMXH, domain: money}
"""


@pytest.fixture
async def hosts() -> AsyncIterator[FakeCatalog]:
    async with FakeCatalog() as fake:
        fake.component("payments", "group:default/payments", **{"github.com_project-slug": "shop/payments"})
        fake.component("quiet", "team-quiet")
        fake.service("PF9KMXH", "The Payments Service", "Payments", "Ada")
        yield fake


def catalogue(folder: Path, hosts: FakeCatalog, **changes: Any) -> dict[str, Any]:
    (folder / "teams").mkdir()
    (folder / "teams" / "services.yaml").write_text(FILE)
    return {
        "catalog": f"{folder}/teams", "catalog_refresh_seconds": 1, "backstage_url": hosts.url, "backstage_token": TOKEN,
        "pagerduty_api_url": hosts.url, "pagerduty_api_token": TOKEN,
        "links": "logs=https://l.example/?q={service}&from={from}",
    } | changes  # fmt: skip


async def learn(session: aiohttp.ClientSession) -> None:
    async with session.post("/v1/traces", data=calls([("web", "payments"), ("web", "other")]), headers=PROTOBUF):
        pass

    async def known() -> bool:
        return bool((await get(session, "/api/v1/services"))["total"] == 3)

    await until(known, "the services")


async def on_call(session: aiohttp.ClientSession, name: str) -> Any:
    async def known() -> Any:
        found = await get(session, "/api/v1/services/payments/owner")
        return found if found["owner"] and found["owner"]["on_call"] == name else None

    return await until(known, f"{name} is not on call", 30)


async def test_a_service_has_its_facts_from_everywhere_with_their_sources(tmp_path: Path, hosts: FakeCatalog) -> None:
    async with bot(tmp_path, **catalogue(tmp_path, hosts)) as (_, session):
        await learn(session)
        found = await on_call(session, "Ada")
        whole = await get(session, "/api/v1/services/payments")
        by_number = await get(session, "/api/v1/services/PF9KMXH/owner")
        doctor = await get(session, "/api/v1/doctor")

    assert found["on_map"] is True
    assert found["owner"] == {
        "team": "Payments", "slack": "", "email": "", "on_call": "Ada", "mention": "", "source": "services.yaml", "label": "Payments",
    }  # fmt: skip
    assert (found["tier"], found["domain"], found["repository"]) == ("1", "money", "https://github.com/shop/payments")
    assert {fact: known["source"] for fact, known in found["sources"].items()} == {
        "owner": "services.yaml", "tier": "services.yaml", "domain": "services.yaml", "on_call": "127.0.0.1",
        "repository": "127.0.0.1", "kind": "127.0.0.1", "reference": "127.0.0.1",
    }  # fmt: skip
    assert all(0 <= known["age_seconds"] < 60 for known in found["sources"].values())
    assert found["links"][0]["url"].startswith("https://l.example/?q=payments&from=1")
    assert whole["owner"] == by_number["owner"] == found["owner"]
    assert whole["repository"] == found["repository"]
    assert doctor["feeds"]["catalog"]["files"] == 1
    assert not any("catalog" in problem or "127.0.0.1" in problem for problem in doctor["problems"])


async def test_a_service_that_only_the_catalogue_knows_has_an_owner_all_the_same(
    tmp_path: Path, hosts: FakeCatalog
) -> None:
    async with bot(tmp_path, **catalogue(tmp_path, hosts)) as (running, session):
        await until(lambda: _knows(running, "quiet"), "Backstage's component")
        quiet = await get(session, "/api/v1/services/quiet/owner")
        nobody = await get(session, "/api/v1/services/nobody/owner", status=404)

    assert (quiet["on_map"], quiet["owner"]["team"]) == (False, "team-quiet")
    assert nobody["title"]


async def test_hosts_that_fail_keep_their_facts_show_in_doctor_and_never_their_token(
    tmp_path: Path, hosts: FakeCatalog
) -> None:
    async with bot(tmp_path, **catalogue(tmp_path, hosts)) as (running, session):
        await until(lambda: _knows(running, "quiet"), "Backstage's component")
        hosts.status = 401

        async def complaint() -> list[str]:
            problems = (await get(session, "/api/v1/doctor"))["problems"]
            return [one for one in problems if one.startswith("127.0.0.1: ")]

        problems = await until(complaint, "doctor's complaint", 30)
        kept = await get(session, "/api/v1/services/quiet/owner")
        whole = json.dumps(await get(session, "/api/v1/doctor"))

    assert len(problems) == 2
    assert all("refuses the token (401); check" in problem for problem in problems)
    assert kept["owner"]["team"] == "team-quiet"
    assert TOKEN not in whole


async def test_a_changed_file_is_read_while_the_bot_runs_and_renames_no_telemetry(
    tmp_path: Path, hosts: FakeCatalog
) -> None:
    async with bot(tmp_path, **catalogue(tmp_path, hosts)) as (running, session):
        await learn(session)
        (tmp_path / "teams" / "services.yaml").write_text(
            FILE.replace("tier: 1", "tier: 2").replace("pay-svc", "pay-new")
        )

        async def changed() -> bool:
            entry = running.view.entry("payments")
            return entry is not None and entry.tier == "2"

        await until(changed, "the new tier", 30)
        renamed = await get(session, "/api/v1/services/pay-new")
        still = await get(session, "/api/v1/services/pay-svc")
        state = (await get(session, "/api/v1/doctor"))["feeds"]["catalog"]

    assert renamed["id"] == still["id"] == "payments"
    # What telemetry is renamed by is what it was at the start.
    assert running.view.graph.names.canonical("pay-svc") == "payments"
    assert running.view.graph.names.canonical("pay-new") == "pay-new"
    assert state["aliases_only_found_by"] >= 1


async def test_labels_of_a_cluster_are_facts_as_soon_as_it_is_known(tmp_path: Path) -> None:
    async with FakeKubernetes() as cluster:
        labels = {"team": "payments"}
        for workload in ("payments", "cart"):
            given = deployed(workload, "x2x9z", ip=f"10.0.0.{len(workload)}", labels=labels)
            cluster.put("pods", given)
        (tmp_path / "kubeconfig").write_text(
            json.dumps({
                "current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                "clusters": [{"name": "a", "cluster": {"server": cluster.url}}],
                "users": [{"name": "a", "user": {"token": KUBERNETES_TOKEN}}],
            })
        )  # fmt: skip
        (tmp_path / "services.yaml").write_text("services: [{id: payments, team: Payments Team, tier: 1}]")
        changes = {"kubernetes": str(tmp_path / "kubeconfig"), "catalog": tmp_path / "services.yaml"}
        async with bot(tmp_path, **changes) as (running, session):
            await until(lambda: _knows(running, "cart.shop"), "the cluster's labels", 30)
            cart = await get(session, "/api/v1/services/cart.shop/owner")
            payments = await get(session, "/api/v1/services/payments.shop/owner")

    assert (cart["owner"]["team"], cart["sources"]["owner"]["source"]) == ("payments", "labels at 127.0.0.1")
    assert (payments["owner"]["team"], payments["tier"]) == ("Payments Team", "1")


async def test_the_owner_command_asks_the_bot_or_the_hosts_themselves(tmp_path: Path, hosts: FakeCatalog) -> None:
    settings = catalogue(tmp_path, hosts)
    async with bot(tmp_path, **settings) as (running, session):
        await learn(session)
        await on_call(session, "Ada")
        asked = await asyncio.to_thread(run, "owner", "payments", "--url", running.url)
    hosts.oncalls[0]["user"]["name"] = "Bo"
    environment = {f"TOPOLOGY_BOT_{name.upper()}": str(value) for name, value in settings.items()}
    alone = await asyncio.to_thread(lambda: run("owner", "payments", "--json", folder=tmp_path, **environment))
    ownerless = await asyncio.to_thread(lambda: run("owner", "other", folder=tmp_path, **environment))
    unknown = await asyncio.to_thread(lambda: run("owner", "paymentz", folder=tmp_path, **environment))

    assert asked.returncode == 0, asked.stderr
    lines = asked.stdout.splitlines()
    assert lines[0] == "payments"
    assert lines[1].startswith("  owner: Payments (services.yaml, read ")
    assert lines[2].startswith("  on call: Ada (127.0.0.1, read ")
    assert lines[-1].startswith("  logs: https://l.example/?q=payments&from=1")
    assert (alone.returncode, json.loads(alone.stdout)["owner"]["on_call"]) == (0, "Bo")
    assert (ownerless.returncode, ownerless.stdout.splitlines()[1]) == (1, "  no owner known")
    assert (unknown.returncode, "Closest: payments" in unknown.stdout) == (1, True)


async def _knows(running: Running, service: str) -> bool:
    return running.view.catalog.entry(service) is not None
