"""One contract, kept on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlmodel import SQLModel

from bot.model import Alert, AlertStatus, Layer, Message, Node, Tally
from bot.storage.alert_store import AlertStore, Outcome, Verdict
from bot.storage.database import Database
from bot.storage.map_store import MapStore, StoredEdge
from bot.storage.outbox_store import OutboxStore, put
from tests.kit.alerts import alertmanager
from tests.kit.bots import alertmanager_headers, bot, get, until
from tests.kit.spans import PROTOBUF, calls

EDGE = ("web", "cart")
MINUTE = 1_795_400_040


def tally(count: float, errors: float = 0.0) -> Tally:
    made = Tally()
    made.calls, made.errors, made.sampled = count, errors, int(count)
    made.histogram[3] = count
    return made


def alert(**changes: object) -> Alert:
    fields: dict[str, object] = {
        "source": "alertmanager",
        "fingerprint": "f",
        "status": AlertStatus.FIRING,
        "starts_at": 1.0,
        "title": "t",
        "group_key": "g",
    }
    return Alert(**(fields | changes))  # type: ignore[arg-type]


async def test_upgrading_again_changes_nothing_and_the_tables_are_what_the_code_says(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(
            compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), SQLModel.metadata)
        )

    assert await database.upgrade() == await database.version() == "0001"
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_counts_add_up_however_they_are_delivered_and_come_back_as_written(database: Database) -> None:
    store = MapStore(database)
    edge = StoredEdge(Layer.TRACE, EDGE, 10.0, 70.0, 60.0)
    for counted in (tally(5, 1), tally(3), tally(-2, -1)):
        await store.write(Layer.TRACE, [Node("web"), Node("cart")], [edge], {MINUTE: {EDGE: counted}}, 70.0)

    fresh = MapStore(database)
    assert await fresh.edges() == [edge]
    assert {node.id for node in await fresh.services()} == {"web", "cart"}
    [(start, found, counts)] = [row async for row in fresh.windows(Layer.TRACE, 0)]
    assert (start, found, counts.calls, counts.errors, counts.sampled, counts.histogram[3]) == (
        MINUTE,
        EDGE,
        6,
        0,
        6,
        6,
    )


async def test_what_is_forgotten_or_too_old_is_gone_with_all_that_hangs_on_it(database: Database) -> None:
    store = MapStore(database)
    for number, last_seen in (("a", 100.0), ("b", 900.0)):
        edge = (number, f"{number}2")
        await store.write(
            Layer.TRACE,
            [Node(one) for one in edge],
            [StoredEdge(Layer.TRACE, edge, 1.0, last_seen, 60.0)],
            {MINUTE: {edge: tally(1)}},
            1.0,
        )
    await store.expire(windows_before=0, edges_before=500.0)

    assert [one.edge for one in await store.edges()] == [("b", "b2")]
    assert {node.id for node in await store.services()} == {"b", "b2"}
    await store.forget([(Layer.TRACE, ("b", "b2"))])
    assert await store.edges() == []


async def test_an_outcome_is_stored_whole_or_not_at_all(database: Database) -> None:
    store = AlertStore(database)
    number = await store.store_delivery("alertmanager", "k", {}, b"{}", 100.0, 60.0)
    assert number is not None
    assert await store.store_delivery("alertmanager", "k", {}, b"{}", 150.0, 60.0) is None
    outcome = Outcome(
        number, 100.0, "done", [Verdict("dedupe", "new", "r")], None, {"nonsense": 1}, [(alert(), "web", "web")]
    )
    with pytest.raises(Exception, match="nonsense"):
        await store.commit(outcome, ("incident:{incident}:root", "#c", Message("t", ())))
    assert await store.count_waiting() == 1
    assert await OutboxStore(database).latest(5) == []

    outcome.incident = {
        "state": "open", "group_key": "g", "environment": "", "title": "t", "opened_at": 1.0, "created_at": 100.0,
        "updated_at": 100.0, "facts": {"state": "open"},
    }  # fmt: skip
    incident = await store.commit(outcome, ("incident:{incident}:root", "#c", Message("t", ())))
    assert incident is not None
    assert await store.count_waiting() == 0
    assert await store.firing() == {"web": 1.0}
    assert [row.key for row in await OutboxStore(database).latest(5)] == [f"incident:{incident}:root"]
    assert (await store.known([alert()]))["f", 1.0].incident_id == incident
    joined = await store.open_incident("pagerduty", "other", ["web"], "")
    assert joined is not None
    assert (joined[0].id, joined[1]) == (incident, "same_service")


async def test_of_two_workers_that_claim_a_message_one_gets_it_and_a_newer_wording_is_not_lost(
    database: Database,
) -> None:
    outbox = OutboxStore(database)
    async with database.write() as connection:
        await put(connection, "k", "#c", Message("one", ()), 1.0)
    claims = await asyncio.gather(*(outbox.claim("k", 2.0) for _ in range(5)))
    assert sorted(claims) == [False] * 4 + [True]
    async with database.write() as connection:
        await put(connection, "k", "#c", Message("two", ()), 3.0)
    assert [row.state for row in await outbox.unsettled()] == ["sending"]
    await outbox.sent("k", 1, "C1", "1.1", 4.0)

    [due] = await outbox.due(5.0, 10)
    assert (due.message.text, due.ts, due.revision, due.sent_revision) == ("two", "1.1", 2, 1)


async def test_the_whole_bot_runs_on_it(url: str, tmp_path: Path) -> None:
    started = time.time() - 300
    async with bot(tmp_path, database_url=url) as (running, session):
        async with session.post("/v1/traces", data=calls([("web", "cart")], count=5), headers=PROTOBUF) as answer:
            assert answer.status == 200

        async def learnt() -> bool:
            return running.view.graph.edge_count == 1

        await until(learnt, "the map did not learn the pair")
        for status, sign in (("firing", "🔴"), ("resolved", "✅")):
            body = alertmanager("cart", status=status, started=started)
            async with session.post("/webhooks/alertmanager", json=body, headers=alertmanager_headers()) as answer:
                assert answer.status == 202

            async def sent(sign: str = sign) -> bool:
                return [(row.message.text[0], row.state) for row in await running.outbox.latest(5)] == [(sign, "sent")]

            await until(sent, f"no message with {sign}")
    async with bot(tmp_path, database_url=url) as (_, session):
        found = await get(session, "/api/v1/services/cart")
        assert found["callers"][0]["layers"]["trace"]["calls"] == 5
