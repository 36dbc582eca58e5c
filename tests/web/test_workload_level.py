"""`level=workload`, from what sources send to the answers over HTTP and on the command line: every layer, and over a restart."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from typer.testing import CliRunner

from bot.cli.terminal import cli
from tests.kit.bots import bot, get, until
from tests.kit.remote_write import HEADERS, write_request
from tests.kit.spans import PROTOBUF, calls

AT_WORK = [
    ("checkout/checkout.shop@east", "payments/payments-v1.shop@east"),
    ("checkout/checkout.shop@east", "payments/payments-v2.shop@east"),
    ("invoices/invoices.shop@east", "payments/payments-v1.shop@east"),
    ("web", "checkout/checkout.shop@east"),
]


async def dependents(session: aiohttp.ClientSession, name: str) -> set[str]:
    found = await get(session, f"/api/v1/services/{name}/dependents?level=workload")
    return {item["id"] for item in found["items"]}


async def known(session: aiohttp.ClientSession, service: str, callers: int) -> Any:
    async def enough() -> Any:
        async with session.get(f"/api/v1/services/{service}", params={"level": "workload"}) as answer:
            found = await answer.json()
            return found if answer.status == 200 and found["callers_total"] >= callers else None

    return await until(enough, f"the callers of {service}")


async def send(session: aiohttp.ClientSession, pairs: list[tuple[str, str]], count: int = 4) -> None:
    body = calls(pairs, count=count, at=time.time() - 30)
    async with session.post("/v1/traces", data=body, headers=PROTOBUF) as answer:
        assert answer.status == 200


async def test_spans_tell_a_canary_from_its_application_and_a_restart_keeps_it(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        await send(session, AT_WORK)
        before = await known(session, "payments", 3)
    async with bot(tmp_path) as (_, session):
        after = await known(session, "payments", 3)
        canary = await dependents(session, "payments-v2")
        explicit = await dependents(session, "payments%2Fpayments-v1.shop@east")
        plain = await get(session, "/api/v1/services/payments/dependents")
        whole = await get(session, "/api/v1/graph?level=workload")

    assert before["workloads"] == after["workloads"] == ["payments-v1.shop@east", "payments-v2.shop@east"]
    assert [(edge["caller"], edge["callee"], edge["calls"]) for edge in after["callers"]] == [
        ("checkout/checkout.shop@east", "payments/payments-v1.shop@east", {"trace": 4.0}),
        ("checkout/checkout.shop@east", "payments/payments-v2.shop@east", {"trace": 4.0}),
        ("invoices/invoices.shop@east", "payments/payments-v1.shop@east", {"trace": 4.0}),
    ]
    assert canary == {"checkout/checkout.shop@east", "web"}
    assert explicit == {"checkout/checkout.shop@east", "invoices/invoices.shop@east", "web"}
    assert {item["id"] for item in plain["items"]} == {"checkout", "invoices", "web"}
    assert {node["id"] for node in whole["nodes"]} >= {"payments/payments-v2.shop@east", "web"}


async def test_the_command_line_shows_workloads_from_the_database(tmp_path: Path, monkeypatch: Any) -> None:
    async with bot(tmp_path) as (_, session):
        await send(session, AT_WORK)
        await known(session, "payments", 3)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/bot.db")
    run = CliRunner().invoke

    shown = await asyncio.to_thread(run, cli, ["show", "payments", "--level", "workload"])
    as_json = await asyncio.to_thread(run, cli, ["show", "payments-v2", "--level", "workload", "--json"])
    wrong = await asyncio.to_thread(run, cli, ["show", "payments", "--level", "pod"])

    assert shown.exit_code == 0, shown.output
    assert "checkout/checkout.shop@east (on payments-v2.shop@east)  4 calls" in shown.output
    assert [edge["caller"] for edge in json.loads(as_json.output)["callers"]] == ["checkout/checkout.shop@east"]
    assert wrong.exit_code != 0


async def test_istio_tells_workloads_apart_where_it_knows_one_application(tmp_path: Path) -> None:
    def series(workload: str) -> dict[str, str]:
        return {
            "reporter": "source", "source_canonical_service": "checkout", "source_workload": "checkout",
            "source_workload_namespace": "shop", "source_cluster": "Kubernetes", "destination_canonical_service": "payments",
            "destination_workload": workload, "destination_workload_namespace": "shop", "destination_cluster": "west",
            "request_protocol": "http", "response_code": "200",
        }  # fmt: skip

    async with bot(tmp_path) as (_, session):
        now = time.time()
        for at, stable, canary in ((now - 20, 100.0, 10.0), (now - 5, 190.0, 13.0)):
            samples = [
                ("istio_requests_total", series("payments-v1"), at, stable),
                ("istio_requests_total", series("payments-v2"), at, canary),
            ]
            async with session.post("/api/v1/write", data=write_request(samples), headers=HEADERS) as answer:
                assert answer.status == 204
        found = await known(session, "payments.shop", 2)

    assert [(edge["caller"], edge["callee"], edge["calls"]) for edge in found["callers"]] == [
        ("checkout.shop/checkout.shop", "payments.shop/payments-v1.shop@west", {"ipc": 90.0}),
        ("checkout.shop/checkout.shop", "payments.shop/payments-v2.shop@west", {"ipc": 3.0}),
    ]


async def test_addresses_whose_workload_is_known_give_pairs_and_one_of_nobody_none(
    tmp_path: Path,
) -> None:
    started = time.time() - 600
    owners = [
        {"ip": ip, "service": service, "workload": workload, "start": started, "end": None, "kind": "service"}
        for ip, service, workload in (("10.0.0.1", "web", ""), ("10.0.0.2", "pay", "pay-v1.shop"), ("10.0.0.3", "pay", "pay-v2.shop"))
    ]  # fmt: skip
    flows = [
        {"start": time.time() - 5, "end": time.time() - 4, "src_ip": "10.0.0.1", "src_port": 40_000 + number, "dst_ip": ip,
         "dst_port": 443, "proto": "tcp", "bytes": 10, "packets": 1, "client": "src"}
        for number, ip in enumerate(("10.0.0.2", "10.0.0.3", "10.0.0.3"))
    ]  # fmt: skip
    async with bot(tmp_path) as (_, session):
        for path, records in (("/ingest/identities", owners), ("/ingest/flows", flows)):
            body = "\n".join(map(json.dumps, records)).encode()
            async with session.post(path, data=body, headers={"Content-Type": "application/x-ndjson"}) as answer:
                assert (answer.status, (await answer.json())["rejected"]) == (202, 0)
        found = await known(session, "pay", 2)

    assert [(edge["caller"], edge["callee"], edge["calls"]) for edge in found["callers"]] == [
        ("web", "pay/pay-v1.shop", {"network": 1.0}),
        ("web", "pay/pay-v2.shop", {"network": 2.0}),
    ]


async def test_hubbles_workloads_stay_known_where_an_alias_folds_them_into_one_service(tmp_path: Path) -> None:
    catalog = tmp_path / "services.yaml"
    catalog.write_text("services:\n- id: pay\n  aliases: [pay-v1.shop, pay-v2.shop]\n", encoding="utf-8")
    at = datetime.fromtimestamp(time.time() - 5, UTC).isoformat()
    lines = []
    for number, workload in enumerate(("pay-v1", "pay-v2", "pay-v2")):
        ends = {
            name: {"namespace": "shop", "pod_name": f"{one}-x", "workloads": [{"name": one}], "cluster_name": "east"}
            for name, one in (("source", "web"), ("destination", workload))
        }
        ports = {"source_port": 40_000 + number, "destination_port": 8080, "flags": {"SYN": True}}
        seen = {"time": at, "verdict": "FORWARDED", "is_reply": False, "l4": {"TCP": ports}}
        addresses = {"IP": {"source": "10.0.0.1", "destination": f"10.0.1.{number}"}}
        lines.append(json.dumps({"flow": ends | seen | addresses}))
    async with bot(tmp_path, catalog=str(catalog)) as (_, session):
        async with session.post(
            "/ingest/flows?format=hubble", data="\n".join(lines), headers={"Content-Type": "application/x-ndjson"}
        ) as answer:
            assert (answer.status, (await answer.json())["accepted"]) == (202, 3)
        found = await known(session, "pay", 2)

    assert [(edge["caller"], edge["callee"], edge["calls"]) for edge in found["callers"]] == [
        ("web.shop/web.shop@east", "pay/pay-v1.shop@east", {"network": 1.0}),
        ("web.shop/web.shop@east", "pay/pay-v2.shop@east", {"network": 2.0}),
    ]


async def test_a_past_view_has_the_workloads_too(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        body = calls(AT_WORK, count=4, at=time.time() - 200)
        async with session.post("/v1/traces", data=body, headers=PROTOBUF) as answer:
            assert answer.status == 200
        await known(session, "payments", 3)
    async with bot(tmp_path) as (_, session):
        past = await get(session, "/api/v1/graph?level=workload&at=-1m")
        canary = await get(session, "/api/v1/services/payments-v2/dependents?level=workload&at=-1m")

    assert len(past["edges"]) == 4
    assert {item["id"] for item in canary["items"]} == {"checkout/checkout.shop@east", "web"}


async def test_a_level_that_there_is_not_is_refused_and_an_unknown_workload_is_not_found(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        await send(session, AT_WORK)
        await known(session, "payments", 3)
        statuses = {}
        for path in (
            "services/payments?level=pod", "services?level=workload", "services/pay-x?level=workload",
            "services/payments-v9/dependents?level=workload", "graph?level=workload&service=payments%2Fnone",
            "services/payments/dependencies?level=application",
        ):  # fmt: skip
            async with session.get(f"/api/v1/{path}") as answer:
                statuses[path] = answer.status

    assert list(statuses.values()) == [400, 400, 404, 404, 404, 200]
