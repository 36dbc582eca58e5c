"""The official OpenTelemetry SDK, Debian's Prometheus and Alertmanager, Bolt and slack_sdk: nobody here knows the bot's code."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.kit.bots import TOKEN, bot, get, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.kit.processes import alertmanager, prometheus, webhook
from tests.kit.shop import Shop

RULE: dict[str, object] = {
    "alert": "OrdersFail",
    "expr": "shop_failures_total > 0",
    "labels": {"severity": "critical"},
    "annotations": {"summary": "Orders fail"},
}


async def test_spans_of_the_official_sdk_draw_the_shop(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session), Shop(running.url).running() as shop:
        await shop.order(20)
        await shop.flush()

        async def complete() -> Any:
            answer = await get(session, "/api/v1/services")
            return answer["items"] if answer["total"] == 6 else None

        services = {one["id"]: one for one in await until(complete, "the shop is not on the map")}
        edges = {
            (edge["caller"], edge["callee"]): edge["layers"]["trace"]["calls"]
            for name in services
            for edge in (await get(session, f"/api/v1/services/{name}"))["callees"]
        }
        on_workloads = await get(session, "/api/v1/graph?level=workload")

    assert edges == {
        ("web", "checkout"): 20,
        ("checkout", "payments"): 20,
        ("checkout", "orders.kafka"): 20,
        ("orders.kafka", "shipping"): 20,
        ("payments", "payments-db"): 20,
    }
    assert (services["payments-db"]["kind"], services["orders.kafka"]["kind"]) == ("database", "queue")
    assert [name for name, one in services.items() if one["entry_point"]] == ["web"]
    assert {(edge["caller"], edge["callee"]): edge["calls"] for edge in on_workloads["edges"]} == {
        ("web/web-v1.shop", "checkout/checkout-v1.shop"): {"trace": 20},
        ("checkout/checkout-v1.shop", "payments/payments-v1.shop"): {"trace": 20},
        ("checkout/checkout-v1.shop", "orders.kafka"): {"trace": 20},
        ("orders.kafka", "shipping/shipping-v1.shop"): {"trace": 20},
        ("payments/payments-v1.shop", "payments-db"): {"trace": 20},
    }


async def test_a_rule_fires_alertmanager_posts_slack_gets_one_message_and_the_end_edits_it(tmp_path: Path) -> None:
    async with (
        FakeSlack() as slack,
        bot(tmp_path, **with_slack(slack.url)) as (running, _),
        Shop(running.url).running() as shop,
    ):
        await shop.order(30)
        shop.broken = True
        await shop.order(30)
        await shop.flush()
        async with (
            alertmanager(webhook(f"{running.url}/webhooks/alertmanager", TOKEN)) as alerts,
            prometheus(shop.url.removeprefix("http://"), RULE, alerts),
        ):
            first = (await until(lambda: _posts(slack), "no message came", 40))[0]
            assert "*payments* is failing" in first.text
            assert "payments → payments-db" in first.text
            assert "OrdersFail" in first.text
            shop.failures = 0

            async def resolved() -> bool:
                return slack.messages("incidents")[0].text.startswith("✅")

            await until(resolved, "the message was not edited when the alert ended", 60)
            await asyncio.sleep(0.5)

        assert len(slack.messages("incidents")) == 1


async def test_alertmanager_with_a_wrong_token_posts_nothing(tmp_path: Path) -> None:
    async with (
        FakeSlack() as slack,
        bot(tmp_path, **with_slack(slack.url)) as (running, _),
        Shop(running.url).running() as shop,
        alertmanager(webhook(f"{running.url}/webhooks/alertmanager", "wrong")) as alerts,
        prometheus(shop.url.removeprefix("http://"), RULE, alerts),
    ):
        shop.failures = 1
        await asyncio.sleep(5)

        assert slack.messages("incidents") == []
        assert await running.alerts.sources() == {}


async def _posts(slack: FakeSlack) -> list[Any]:
    return slack.messages("incidents")
