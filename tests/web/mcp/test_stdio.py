"""MCP over standard input and output: `topology-bot mcp`, started by the protocol's own client or by hand."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from bot.cli.mcp import FromDatabase
from bot.web.mcp import protocol
from bot.web.mcp.protocol import MAX_MESSAGE, Protocol
from bot.web.mcp.stdio import MAX_AT_ONCE, Stdio
from bot.web.mcp.tools import Tools
from tests.kit.bots import REPOSITORY, bot, environment, settings
from tests.kit.mcp import MODERN, hello, message, modern
from tests.web.mcp.test_protocol import Asked
from tests.web.test_api import SHOP, learn

COMMAND = [sys.executable, "-m", "bot", "mcp"]


def parameters(folder: Path, **changes: str) -> StdioServerParameters:
    """How a client is told to start the command."""
    given = environment(folder, 1, **changes)
    return StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=given, cwd=str(REPOSITORY))


def talk(folder: Path, lines: list[Any], **changes: str) -> tuple[list[Any], subprocess.CompletedProcess[bytes]]:
    """What the command writes for these lines, decoded, once its standard input is closed."""
    said = b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in lines)
    done = subprocess.run(
        COMMAND,
        input=said,
        env=environment(folder, 1, **changes),
        cwd=REPOSITORY,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done


@pytest.fixture
async def learnt(tmp_path: Path) -> Path:
    """A folder whose database knows the shop."""
    async with bot(tmp_path) as (_, session):
        await learn(session, SHOP, 5)
    return tmp_path


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_protocols_own_client_asks_a_running_bot(tmp_path: Path, mode: str) -> None:
    async with bot(tmp_path, api_tokens="agent:read:t-read") as (running, _):
        given = parameters(tmp_path, TOPOLOGY_BOT_URL=running.url, TOPOLOGY_BOT_TOKEN="t-read")
        async with Client(given, mode=mode) as client:
            assert len((await client.list_tools()).tools) == 13
            found = await client.call_tool("search_services", {})
            wrong = await client.call_tool("owner", {"service": "nobody"})

    assert found.structured_content is not None
    assert found.structured_content["confidence_reasons"] == ["no telemetry has ever arrived"]
    assert wrong.is_error
    assert "No service called 'nobody'" in wrong.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_without_a_bot_the_database_answers(learnt: Path, mode: str) -> None:
    async with Client(parameters(learnt), mode=mode) as client:
        way = await client.call_tool("path", {"from": "web", "to": "ledger"})
        owner = await client.call_tool("owner", {"service": "web"})
        asked = [client.call_tool("dependents", {"service": "ledger", "depth": 9}) for _ in range(5)]
        answers = await asyncio.gather(*asked)

    assert way.structured_content is not None
    assert way.structured_content["items"][0]["path"] == ["web", "cart", "ledger"]
    assert owner.structured_content is not None
    assert owner.structured_content["owner"] is None
    assert [one.structured_content["total"] for one in answers if one.structured_content] == [4] * 5


def test_a_bot_that_is_not_there_is_a_tools_error_that_says_so(tmp_path: Path) -> None:
    replies, done = talk(tmp_path, [message("tools/call", name="incidents")], TOPOLOGY_BOT_URL="http://127.0.0.1:9")

    assert done.returncode == 0
    assert replies[0]["result"]["isError"] is True
    assert "no bot answers at http://127.0.0.1:9" in replies[0]["result"]["content"][0]["text"]


def test_a_database_that_is_not_there_is_a_tools_error_that_says_so(tmp_path: Path) -> None:
    replies, done = talk(tmp_path, [message("tools/call", name="incidents"), message("tools/list", 2)])

    assert done.returncode == 0
    assert "no database at" in replies[0]["result"]["content"][0]["text"]
    assert len(replies[1]["result"]["tools"]) == 13


def test_what_is_no_message_is_told_so_and_the_next_is_answered(tmp_path: Path) -> None:
    lines = [b"{nonsense\n", b"\n", message("notifications/initialized", None), [], message("ping", "last")]

    replies, done = talk(tmp_path, lines)

    assert [(one["id"], one.get("error", {}).get("code")) for one in replies] == [
        (None, protocol.PARSE_ERROR), (None, protocol.INVALID_REQUEST), ("last", None),
    ]  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_line_that_never_ends_is_not_kept(tmp_path: Path) -> None:
    lines = [b"x" * (3 * MAX_MESSAGE) + b"\n", message("ping"), b"y" * (2 * MAX_MESSAGE)]

    replies, done = talk(tmp_path, lines)

    assert [one["id"] for one in replies] == [None, 1, None]
    assert all(str(MAX_MESSAGE) in one["error"]["message"] for one in (replies[0], replies[2]))
    assert done.returncode == 0


def test_a_last_line_without_its_end_is_answered(tmp_path: Path) -> None:
    replies, _ = talk(tmp_path, [json.dumps(message("ping")).encode()])

    assert [one["result"] for one in replies] == [{}]


def test_a_client_that_goes_away_ends_the_command_quietly(tmp_path: Path) -> None:
    with subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path, 1),
        cwd=REPOSITORY,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(json.dumps(message("tools/list")).encode() + b"\n")
        process.stdin.flush()
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


def test_a_file_as_standard_input_is_wrong_use_and_said_so(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(json.dumps(message("ping")))
    with (tmp_path / "lines").open("rb") as lines:
        done = subprocess.run(
            COMMAND,
            stdin=lines,
            env=environment(tmp_path, 1),
            cwd=REPOSITORY,
            capture_output=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 2
    assert b"has to be a pipe" in done.stderr
    assert b"Traceback" not in done.stderr


# -- one conversation ----------------------------------------------------------------------------------------------------------------


class Slow(Asked):
    """Answers once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.at_once = 0
        self.most = 0

    async def answer(self, name: str, given: Mapping[str, str], about: str = "") -> dict[str, Any]:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.let.wait()
        finally:
            self.at_once -= 1
        return await super().answer(name, given, about)


class Conversation:
    """A client's end of one, in this process."""

    def __init__(self, answers: Asked) -> None:
        self._lines = asyncio.StreamReader(MAX_MESSAGE)
        self.replies: list[Any] = []
        stdio = Stdio(Protocol(Tools(answers)), lambda line: self.replies.append(json.loads(line)))
        self.task = asyncio.create_task(stdio.run(self._lines))

    async def say(self, *values: Any) -> None:
        for value in values:
            self._lines.feed_data(json.dumps(value).encode() + b"\n")
        await asyncio.sleep(0.05)

    async def end(self) -> None:
        self._lines.feed_eof()
        await self.task


@pytest.fixture
async def slow() -> AsyncIterator[tuple[Slow, Conversation]]:
    """A conversation with somebody who takes his time."""
    answers = Slow()
    conversation = Conversation(answers)
    yield answers, conversation
    answers.let.set()
    if not conversation.task.done():
        await conversation.end()


def question(number: int) -> dict[str, Any]:
    return message("tools/call", number, name="incidents")


async def test_a_slow_answer_keeps_no_other_waiting(slow: tuple[Slow, Conversation]) -> None:
    answers, client = slow
    await client.say(question(1), message("ping", 2))
    assert [one["id"] for one in client.replies] == [2]

    answers.let.set()
    await client.end()
    assert [one["id"] for one in client.replies] == [2, 1]


async def test_a_request_that_is_taken_back_is_not_answered(slow: tuple[Slow, Conversation]) -> None:
    answers, client = slow
    await client.say(question(1), question(2), message("notifications/cancelled", None, requestId=1, reason="late"))
    await client.say(message("notifications/cancelled", None, requestId=[]), message("notifications/cancelled", None))

    answers.let.set()
    await client.end()
    assert [one["id"] for one in client.replies] == [2]


async def test_no_more_are_worked_at_once_than_there_is_room_for_and_all_are_answered(
    slow: tuple[Slow, Conversation],
) -> None:
    answers, client = slow
    await client.say(*(question(number) for number in range(3 * MAX_AT_ONCE)))
    assert answers.at_once == MAX_AT_ONCE

    answers.let.set()
    await client.end()
    assert sorted(one["id"] for one in client.replies) == list(range(3 * MAX_AT_ONCE))
    assert answers.most == MAX_AT_ONCE


async def test_batches_are_taken_in_the_revisions_that_have_them() -> None:
    client = Conversation(Asked())
    await client.say(
        hello("2025-11-25"), [message("ping", 2)], hello("2025-03-26"), [message("ping", 4), message("ping", 5)]
    )
    await client.end()

    first, refused, third, both = client.replies
    assert (first["result"]["protocolVersion"], third["result"]["protocolVersion"]) == ("2025-11-25", "2025-03-26")
    assert refused["error"]["code"] == protocol.INVALID_REQUEST
    assert [one["id"] for one in both] == [4, 5]


async def test_a_client_without_a_handshake_is_answered_message_by_message() -> None:
    client = Conversation(Asked())
    await client.say(
        modern("server/discover", 1),
        modern("tools/call", 2, name="incidents"),
        modern("tools/list", 3, version="1900-01-01"),
    )
    await client.end()

    found = {one["id"]: one for one in client.replies}
    assert MODERN in found[1]["result"]["supportedVersions"]
    assert found[2]["result"]["resultType"] == "complete"
    assert found[3]["error"]["code"] == protocol.UNSUPPORTED_VERSION


async def test_the_database_is_read_again_once_the_reading_is_old(
    learnt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.cli.mcp._READ_AGAIN_SECONDS", 0.2)
    answers = FromDatabase(settings(learnt))
    try:
        before = await answers.answer("services", {})
        async with bot(learnt) as (_, session):
            await learn(session, [*SHOP, ("ledger", "archive")], 6)
        time.sleep(0.3)
        after = await answers.answer("services", {})
    finally:
        await answers.close()

    assert (before["total"], after["total"]) == (5, 6)
