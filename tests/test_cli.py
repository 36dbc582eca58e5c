"""The command line, as a user types it."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import requests
import responses

from bot import __version__
from bot.client import Client, Refused
from bot.errors import ConfigError, NotFound
from tests.kit.bots import REPOSITORY, bot, start_process, until
from tests.kit.migrations import HEAD
from tests.kit.spans import PROTOBUF, calls


def run(*words: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TOPOLOGY_BOT_", "SLACK_", "DATABASE_"))
    }
    if folder is not None:
        clean["DATABASE_URL"] = f"sqlite:///{folder}/bot.db"
    command = [sys.executable, "-m", "bot", *words]
    return subprocess.run(command, cwd=REPOSITORY, env=clean | environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
async def learnt(tmp_path: Path) -> Path:
    """A folder whose database knows web -> cart -> ledger."""
    async with bot(tmp_path) as (running, session):
        async with session.post(
            "/v1/traces", data=calls([("web", "cart"), ("cart", "ledger")], count=3), headers=PROTOBUF
        ):
            pass

        async def known() -> bool:
            return running.view.graph.edge_count == 2

        await until(known, "the map did not learn the pairs")
    return tmp_path


def test_version_and_help_name_every_command() -> None:
    assert run("--version").stdout.strip() == __version__
    shown = run("--help").stdout
    for command in ("serve", "demo", "show", "causes", "blast", "path", "evaluate", "doctor", "db"):
        assert command in shown


def test_wrong_use_is_exit_2() -> None:
    assert run("nonsense").returncode == 2
    assert run("show").returncode == 2


def test_a_wrong_setting_is_exit_2_and_named() -> None:
    found = run("serve", TOPOLOGY_BOT_LISTEN="nowhere")

    assert found.returncode == 2
    assert "listen" in found.stderr
    assert "Traceback" not in found.stderr


async def test_show_reads_the_database_when_no_bot_is_named(learnt: Path) -> None:
    shown = await asyncio.to_thread(run, "show", "cart", folder=learnt)
    as_json = await asyncio.to_thread(run, "show", "cart", "--json", folder=learnt)

    assert shown.returncode == 0
    assert "Callers 1: web" in shown.stdout
    assert "Calls 1: ledger" in shown.stdout
    assert [edge["callee"] for edge in json.loads(as_json.stdout)["callees"]] == ["ledger"]


async def test_show_of_an_unknown_service_is_exit_1_with_suggestions(learnt: Path) -> None:
    found = await asyncio.to_thread(run, "show", "crat", "--json", folder=learnt)

    assert found.returncode == 1
    assert json.loads(found.stdout)["suggestions"][0] == "cart"


def test_show_without_a_database_says_so(tmp_path: Path) -> None:
    found = run("show", "cart", folder=tmp_path)

    assert found.returncode == 2
    assert "no database at" in found.stderr


async def test_show_and_doctor_ask_a_running_bot(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        async with session.post("/v1/traces", data=calls([("web", "cart")]), headers=PROTOBUF):
            pass

        async def known() -> bool:
            return running.view.graph.edge_count == 1

        await until(known, "the map did not learn the pair")
        shown = await asyncio.to_thread(run, "show", "cart", "--url", running.url)
        doctor = await asyncio.to_thread(run, "doctor", "--json", TOPOLOGY_BOT_URL=running.url)

    assert "Callers 1: web" in shown.stdout
    assert doctor.returncode == 0
    assert json.loads(doctor.stdout)["telemetry"]["otlp"]["accepted"] == 2


async def test_blast_path_and_causes_answer_from_the_database(learnt: Path) -> None:
    blast = await asyncio.to_thread(run, "blast", "ledger", folder=learnt)
    together = await asyncio.to_thread(run, "blast", "ledger", "cart", "--json", folder=learnt)
    way = await asyncio.to_thread(run, "path", "web", "ledger", folder=learnt)
    no_way = await asyncio.to_thread(run, "path", "ledger", "web", folder=learnt)
    causes = await asyncio.to_thread(run, "causes", "web", "--json", folder=learnt)

    assert blast.returncode == 0
    assert "ledger: 2 dependents, 0 hit now, 2 at risk" in blast.stdout
    found = json.loads(together.stdout)
    assert (found["with"], [item["id"] for item in found["items"]]) == (["cart"], ["web"])
    assert (way.returncode, way.stdout.strip()) == (0, "web → cart → ledger")
    assert (no_way.returncode, no_way.stdout.strip()) == (1, "no calls lead from ledger to web")
    assert causes.returncode == 1
    assert json.loads(causes.stdout)["why_none"]


async def test_causes_needs_something_to_ask_about(learnt: Path) -> None:
    assert (await asyncio.to_thread(run, "causes", folder=learnt)).returncode == 2
    unknown = await asyncio.to_thread(run, "causes", "--alert", "77", folder=learnt)
    assert (unknown.returncode, "no alert '77'" in unknown.stderr) == (1, True)


async def test_doctor_is_exit_1_where_something_is_to_mend(learnt: Path) -> None:
    found = await asyncio.to_thread(run, "doctor", folder=learnt)

    assert found.returncode == 1
    assert "✗ alert source alertmanager has no secret" in found.stdout
    assert "layer trace" in found.stdout


def test_upgrade_makes_the_tables_and_can_be_repeated(tmp_path: Path) -> None:
    for _ in range(2):
        found = run("db", "upgrade", "--json", folder=tmp_path)
        assert json.loads(found.stdout) == {"version": HEAD}


async def test_serve_ends_cleanly_on_sigterm_and_keeps_what_it_took_in(tmp_path: Path) -> None:
    log = tmp_path / "bot.log"
    process = await start_process(tmp_path, log)
    await asyncio.to_thread(_post, process.url, calls([("web", "cart")], count=5))
    code = await asyncio.to_thread(process.stop)
    shown = await asyncio.to_thread(run, "show", "cart", "--json", folder=tmp_path)

    assert code == 0, log.read_text()
    assert json.loads(shown.stdout)["callers"][0]["layers"]["trace"]["calls"] == 5


def _post(url: str, body: bytes) -> None:
    request = urllib.request.Request(f"{url}/v1/traces", data=body, headers=PROTOBUF)
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def test_demo_once_posts_the_message_and_ends_with_0() -> None:
    found = run("demo", "--once", "--json")

    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["posted"] is True
    assert told["text"].startswith("🔴 payments is failing")
    assert "payments → payments-db" in told["text"]


@responses.activate
def test_the_client_turns_problems_into_our_errors() -> None:
    responses.get("http://bot/api/v1/services/x", json={"detail": "No service", "suggestions": ["y"]}, status=404)
    responses.get("http://bot/api/v1/doctor", json={"detail": "no scope"}, status=403)
    responses.get("http://bot/other", body="<html>", status=200)
    client = Client("http://bot/", token="secret")

    with pytest.raises(NotFound, match="No service") as unknown:
        client.get("/api/v1/services/x")
    assert unknown.value.suggestions == ("y",)
    with pytest.raises(Refused, match="no scope"):
        client.get("/api/v1/doctor")
    with pytest.raises(Refused, match="is it a topology-bot"):
        client.get("/other")
    assert responses.calls[0].request.headers["Authorization"] == "Bearer secret"


@responses.activate
def test_the_client_tries_again_where_nobody_answers_and_then_says_so() -> None:
    responses.get("http://bot/x", body=requests.ConnectionError("refused"))

    with pytest.raises(ConfigError, match="no bot answers at http://bot"):
        Client("http://bot").get("/x")
    assert len(responses.calls) == 3


# -- the past, and files -------------------------------------------------------------------------------------------------


def test_what_is_new_since_yesterday_is_told_edge_by_edge(learnt: Path) -> None:
    found = run("diff", "--json", folder=learnt)
    answer = json.loads(found.stdout)
    merged = {(item["caller"], item["callee"], item["kind"]) for item in answer["items"] if item["layer"] is None}
    assert merged <= {("web", "cart", "new"), ("cart", "ledger", "new")}  # a minute counts from its end on
    assert found.returncode == (0 if answer["total"] else 1)


def test_a_service_that_was_not_there_yet_is_not_in_the_past(learnt: Path) -> None:
    assert run("show", "cart", folder=learnt).returncode == 0
    then = run("show", "cart", "--at", "-1h", folder=learnt)
    assert (then.returncode, "No service called" in then.stdout) == (1, True)
    wrong = run("show", "cart", "--at", "soon", folder=learnt)
    assert (wrong.returncode, "is no time" in wrong.stderr) == (1, True)


async def test_files_of_records_are_sent_to_a_running_bot_and_bad_lines_named(tmp_path: Path) -> None:
    now = time.time()
    owners = [
        {"ip": f"10.0.0.{n}", "service": name, "start": now - 60, "kind": "service"}
        for n, name in ((1, "web"), (2, "cart"))
    ]
    record = {"start": now - 2, "end": now, "src_ip": "10.0.0.1", "src_port": 40_000, "dst_ip": "10.0.0.2", "dst_port": 80,
              "proto": "tcp", "bytes": 9, "packets": 1, "client": "src"}  # fmt: skip
    (tmp_path / "owners.ndjson").write_text("\n".join(map(json.dumps, owners)))
    with gzip.open(tmp_path / "flows.ndjson.gz", "wt") as file:
        file.write(json.dumps(record) + "\nnonsense\n")

    async with bot(tmp_path) as (running, _):

        async def told(name: str, kind: str) -> subprocess.CompletedProcess[str]:
            words = ("ingest", str(tmp_path / name), "--format", kind, "--url", running.url)
            return await asyncio.to_thread(run, *words)

        assert (await told("owners.ndjson", "identities")).returncode == 0
        found = await told("flows.ndjson.gz", "flows")
        assert (
            found.returncode,
            "1 accepted, 1 refused" in found.stdout,
            "line 2: not a flow record" in found.stdout,
        ) == (1, True, True)
        assert (await told("missing.ndjson", "flows")).returncode == 2

        async def known() -> bool:
            return running.view.graph.edge_count == 1

        await until(known, "the edge of the file")


def test_a_trace_in_a_file_is_laid_over_the_map(learnt: Path) -> None:
    span = {"traceId": "a1", "id": "1", "kind": "CLIENT", "timestamp": 1_790_000_000_000_000, "duration": 9_000_000,
            "localEndpoint": {"serviceName": "web"}, "remoteEndpoint": {"serviceName": "cart"}}  # fmt: skip
    (learnt / "trace.json").write_text(json.dumps([span]))
    found = run("show", "--trace", str(learnt / "trace.json"), folder=learnt)
    assert found.returncode == 0, found.stderr
    assert "web → cart 9000 ms" in found.stdout
    assert run("show", folder=learnt).returncode == 2


async def test_changes_are_listed_from_a_running_bot_and_from_the_database(tmp_path: Path) -> None:
    change = {"at": time.time() - 60, "service": "payments", "kind": "deploy", "title": "payments 1.3", "author": "ada"}
    async with bot(tmp_path, github_secrets="s") as (running, session):
        async with session.post("/ingest/changes", data=json.dumps(change)) as answer:
            assert answer.status == 202
        asked = await asyncio.to_thread(run, "changes", "payments", "--url", running.url)
        doctor = await asyncio.to_thread(run, "doctor", "--url", running.url)
    read = run("changes", "payments", "--since", "-1h", folder=tmp_path)

    assert (asked.returncode, read.returncode) == (0, 0)
    assert "deploy payments: payments 1.3, by ada [ingest]" in asked.stdout
    assert asked.stdout.splitlines()[1:] == read.stdout.splitlines()[1:]
    found = [line.split() for line in doctor.stdout.splitlines() if line.startswith("changes ")]
    assert [(one[1], one[-1]) for one in found] == [("github", "0"), ("ingest", "1")]
    assert found[0][2] == "never"
    nothing = run("changes", "payments", "--since", "-30s", "--json", folder=tmp_path)
    assert (nothing.returncode, json.loads(nothing.stdout)["items"]) == (1, [])


async def test_the_database_answers_as_a_running_bot_does_grounds_and_all(learnt: Path) -> None:
    questions = (
        ("show", "cart"), ("path", "web", "ledger"), ("blast", "ledger"), ("causes", "web"), ("owner", "cart"), ("changes",),
        ("diff", "--from", "-2h", "--to", "-1h"), ("digest", "--from", "-2h", "--to", "-1h"),
    )  # fmt: skip
    stored = [await asyncio.to_thread(run, *words, "--json", folder=learnt) for words in questions]
    async with bot(learnt) as (running, _):
        asked = [await asyncio.to_thread(run, *words, "--json", "--url", running.url) for words in questions]

    for words, one, other in zip(questions, stored, asked, strict=True):
        there, here = json.loads(other.stdout), json.loads(one.stdout)
        assert one.returncode == other.returncode, words
        assert here.keys() == there.keys(), words
        assert {"as_of", "coverage", "confidence", "confidence_reasons"} <= here.keys(), words
        assert (here["confidence"] is None) == (there["confidence"] is None), words
