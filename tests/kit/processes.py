"""Starts real programs on free ports of this machine, waits until they are ready, and stops them."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

from tests.kit import debian
from tests.kit.bots import free_port


@asynccontextmanager
async def _running(command: Sequence[str], ready: str, folder: Path, seconds: float = 20.0) -> AsyncIterator[None]:
    log = folder / "process.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=folder, stdout=sink, stderr=sink)
    try:
        deadline = time.monotonic() + seconds
        async with aiohttp.ClientSession() as session:
            while not await _answers(session, ready):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise TimeoutError(f"{command[0]} did not come up: {log.read_text(errors='replace')[-2000:]}")
                await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


@asynccontextmanager
async def alertmanager(receiver: dict[str, object]) -> AsyncIterator[str]:
    """Debian's Alertmanager with one receiver (`webhook_configs`, `slack_configs`) and no waiting; gives its address."""
    program = debian.require("alertmanager")
    config = {
        "route": {
            "receiver": "only", "group_by": ["alertname", "service"], "group_wait": "0s", "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "only", **receiver}],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
        url = f"http://127.0.0.1:{free_port()}"
        command = [
            program, "--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address=",
            f"--web.listen-address={url.removeprefix('http://')}", "--log.level=error",
        ]  # fmt: skip
        async with _running(command, f"{url}/-/ready", folder):
            yield url


def webhook(url: str, token: str) -> dict[str, object]:
    """A webhook receiver with a bearer token, as deploy/prometheus/alertmanager.yaml has it."""
    http = {"authorization": {"type": "Bearer", "credentials": token}}
    return {"webhook_configs": [{"url": url, "send_resolved": True, "http_config": http}]}


@asynccontextmanager
async def prometheus(target: str, rules: dict[str, object], alertmanager_url: str) -> AsyncIterator[str]:
    """Debian's Prometheus scraping `target` (host:port) every second with `rules`; gives its address."""
    program = debian.require("prometheus")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]},
        "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [target]}]}],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "shop", "rules": [rules]}]}))
        url = f"http://127.0.0.1:{free_port()}"
        command = [
            program, "--config.file=prometheus.yml", "--storage.tsdb.path=data",
            f"--web.listen-address={url.removeprefix('http://')}", "--log.level=error",
        ]  # fmt: skip
        async with _running(command, f"{url}/-/ready", folder):
            yield url
