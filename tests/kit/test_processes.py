"""The real programs start, do their work against a sink, and are gone afterwards."""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.alerts import alertmanager as door
from bot.model import AlertStatus
from tests.kit import processes
from tests.kit.alerts import rfc3339
from tests.kit.bots import free_port
from tests.kit.processes import alertmanager, chromium_screenshot, prometheus, webhook
from tests.kit.sink import Request, sink

LABELS = {"alertname": "HighErrorRate", "service": "payments", "severity": "critical"}


async def refused(url: str) -> bool:
    """Whether nobody listens there any more."""
    async with aiohttp.ClientSession() as session:
        try:
            await session.get(url)
        except aiohttp.ClientConnectionError:
            return True
    return False


def statuses(requests: list[Request]) -> list[str]:
    return [request.json()["status"] for request in requests]


async def test_alertmanager_posts_what_our_door_reads_and_says_when_it_is_over() -> None:
    started = float(int(time.time()) - 120)
    async with (
        sink() as receiver,
        alertmanager(webhook(f"{receiver.url}/webhooks/alertmanager", "s3cret")) as url,
        aiohttp.ClientSession(url) as session,
    ):
        alert: dict[str, Any] = {
            "labels": LABELS,
            "annotations": {"summary": "14% fail"},
            "generatorURL": "http://prometheus.example/",
            "startsAt": rfc3339(started),
        }
        async with session.post("/api/v2/alerts", json=[alert]) as answer:
            assert answer.status == 200
        await receiver.until(lambda requests: "firing" in statuses(requests))
        async with session.post("/api/v2/alerts", json=[alert | {"endsAt": rfc3339(started + 60)}]) as answer:
            assert answer.status == 200
        received = await receiver.until(lambda requests: "resolved" in statuses(requests))

    assert await refused(url)
    first, last = received[0], received[-1]
    assert (first.path, first.headers["user-agent"].split("/")[0]) == ("/webhooks/alertmanager", "Alertmanager")
    door.verify({"Authorization": first.headers["authorization"]}, first.body, ("s3cret",))
    (fired,), (ended,) = (door.parse(request.body, request.headers, 0.0).alerts for request in (first, last))
    assert (fired.status, ended.status) == (AlertStatus.FIRING, AlertStatus.RESOLVED)
    assert fired.fingerprint == ended.fingerprint
    assert (fired.starts_at, ended.starts_at, ended.ends_at) == (started, started, started + 60)
    assert (fired.title, fired.summary, fired.link) == ("HighErrorRate", "14% fail", "http://prometheus.example/")
    assert [hint.name for hint in fired.service_hints] == ["payments"]


async def test_a_retry_of_alertmanager_has_the_same_delivery_key() -> None:
    async with sink() as receiver:
        receiver.status = 503
        async with alertmanager(webhook(receiver.url, "s3cret")) as url, aiohttp.ClientSession(url) as session:
            async with session.post("/api/v2/alerts", json=[{"labels": LABELS}]):
                pass
            received = await receiver.until(lambda requests: len(requests) >= 2)

    first, second = (door.parse(request.body, request.headers, float(at)) for at, request in enumerate(received[:2]))
    assert first.key == second.key


async def test_prometheus_scrapes_evaluates_and_tells_alertmanager() -> None:
    rule = {"alert": "SinkIsUp", "expr": "up == 1", "labels": {"service": "sink"}}
    async with (
        sink() as receiver,
        sink() as target,
        alertmanager(webhook(receiver.url, "s3cret")) as alerts,
        prometheus(target.url.removeprefix("http://"), rule, alerts) as url,
    ):
        received = await receiver.until(lambda requests: "firing" in statuses(requests), 40)
        assert target.received[0].path == "/metrics"

    (found,) = door.parse(received[0].body, {}, 0.0).alerts
    assert found.title == "SinkIsUp"
    assert [(hint.name, hint.origin) for hint in found.service_hints] == [
        ("sink", "label service"),
        ("shop", "label job"),
    ]
    assert await refused(url)


async def test_chromium_draws_a_page_in_the_size_asked_for(tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    async with sink() as page:
        await chromium_screenshot(page.url, picture, 640, 480)

    assert page.received[0].path == "/"
    data = picture.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (640, 480)


async def test_a_screenshot_of_a_page_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no screenshot"):
        await chromium_screenshot("http://127.0.0.1:1/", tmp_path / "missing" / "page.png", 640, 480)


async def test_a_program_that_does_not_come_up_is_told_with_its_own_words(tmp_path: Path) -> None:
    def command(_: int) -> tuple[str, ...]:
        return ("/bin/sh", "-c", "echo the configuration is wrong; exit 3")

    with pytest.raises(TimeoutError, match="the configuration is wrong"):
        async with processes._serving(command, tmp_path):
            pass


async def test_a_port_taken_in_the_meantime_is_exchanged_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sink() as other:
        taken = int(other.url.rpartition(":")[2])
        ports = [taken, free_port()]
        monkeypatch.setattr(processes, "free_port", lambda: ports.pop(0))
        # Answers 200 to everything below its folder, and fails where somebody listens already.
        (tmp_path / "-").mkdir()
        (tmp_path / "-" / "ready").touch()

        def command(port: int) -> tuple[str, ...]:
            tried = "import socket; socket.create_server(('127.0.0.1', {0})).close()"
            script = f'python3 -c "{tried.format(port)}" 2>/dev/null || {{ echo address already in use; exit 1; }}'
            return ("/bin/sh", "-c", f"{script}; exec {sys.executable} -m http.server --bind 127.0.0.1 {port}")

        other.status = 503
        async with processes._serving(command, tmp_path) as url:
            assert url != other.url

    assert ports == []


async def test_a_program_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    process = await asyncio.create_subprocess_exec("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    await asyncio.sleep(0.2)
    monkeypatch.setattr(processes, "_PATIENCE", 0.3)
    await processes._stop(process)

    assert process.returncode == -9
