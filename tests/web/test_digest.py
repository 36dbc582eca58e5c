"""What a digest tells, over HTTP and on the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.bots import bot, get
from tests.kit.digests import CATALOG, remember
from tests.test_cli import run


@pytest.fixture
async def past(tmp_path: Path) -> Path:
    """A folder with a database that has a past, and a catalogue."""
    (tmp_path / "services.yaml").write_text(CATALOG)
    await remember(f"sqlite:///{tmp_path}/bot.db")
    return tmp_path


async def asked(folder: Path, given: dict[str, str] | None = None, status: int = 200) -> Any:
    async with bot(folder, catalog=folder / "services.yaml") as (_, session):
        return await get(session, "/api/v1/digest", status, **(given or {}))


async def test_the_api_tells_what_is_new_with_layers_counts_and_owner_and_what_matters_most_first(past: Path) -> None:
    answer = await asked(past)
    first, second = answer["items"]

    assert first["kind"] == "new"
    assert (first["caller"], first["callee"], first["owner"]) == ("shop", "ledger", "Finance")
    assert (first["layers"], first["cross_team"], first["tier_inversion"]) == (
        {"trace": {"calls": 650.0}}, True, "1 needs 3",
    )  # fmt: skip
    assert (second["callee"], second["external"], second["owner"]) == ("stripe.com", True, None)
    assert (answer["total"], answer["unattributed"], answer["next_cursor"]) == (2, None, None)
    assert answer["coverage"]["layers"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"team": "finance"}, ["ledger"]), ({"owner": "Finance"}, ["ledger"]), ({"domain": "money"}, ["ledger"]),
        ({"tier": "tier-3"}, ["ledger"]), ({"service": "stripe.com"}, ["stripe.com"]), ({"kind": "gone"}, []),
        ({"layers": "ipc"}, []), ({"layers": "trace,ipc", "limit": "1"}, ["ledger"]), ({"from": "-3d", "to": "-2d"}, []),
    ],
)  # fmt: skip
async def test_the_api_keeps_to_what_was_asked_for(past: Path, given: dict[str, str], told: list[str]) -> None:
    assert [item["callee"] for item in (await asked(past, given))["items"]] == told


@pytest.mark.parametrize(
    "given", [{"from": "-1h", "to": "-2h"}, {"from": "-60d"}, {"colour": "red"}, {"kind": "odd"}, {"service": "nosuch"}]
)
async def test_what_makes_no_sense_is_refused(past: Path, given: dict[str, str]) -> None:
    answer = await asked(past, given, 404 if "service" in given else 400)
    assert answer["detail"]


async def test_pages_of_the_api_give_every_line_once(past: Path) -> None:
    async with bot(past, catalog=past / "services.yaml") as (_, session):
        first = await get(session, "/api/v1/digest", limit="1")
        second = await get(session, "/api/v1/digest", limit="1", cursor=first["next_cursor"])

    assert [item["callee"] for item in first["items"] + second["items"]] == ["ledger", "stripe.com"]
    assert second["next_cursor"] is None


async def test_the_command_tells_the_same_from_the_database_and_from_a_running_bot(past: Path) -> None:
    catalog = {"TOPOLOGY_BOT_CATALOG": str(past / "services.yaml")}
    offline = run("digest", "--team", "Finance", "--json", folder=past, **catalog)
    async with bot(past, catalog=past / "services.yaml") as (running, _):
        live = await asyncio.to_thread(run, "digest", "domain=money", "--url", running.url, "--json")

    assert (offline.returncode, live.returncode) == (0, 0), offline.stderr + live.stderr
    for answer in (json.loads(offline.stdout), json.loads(live.stdout)):
        (line,) = answer["items"]
        assert (line["callee"], line["layers"]) == ("ledger", {"trace": {"calls": 650.0}})


async def test_the_command_prints_lines_and_says_by_its_exit_code_whether_there_are_any(past: Path) -> None:
    shown = run("digest", folder=past, TOPOLOGY_BOT_CATALOG=str(past / "services.yaml"))
    assert shown.returncode == 0
    assert shown.stdout.startswith("2 new, gone or changed from ")
    assert "  new     shop → ledger  other team's · tier 1 needs 3 · trace 650 · owner Finance\n" in shown.stdout

    quiet = run("digest", "service=web", folder=past)
    assert (quiet.returncode, quiet.stdout.split(" from")[0]) == (1, "0 new, gone or changed")
    wrong = run("digest", "colour=red", folder=past)
    assert wrong.returncode == 2
    assert "want team=…, domain=…, tier=…, service=…" in wrong.stderr
