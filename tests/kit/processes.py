"""Starts real programs on free ports of this machine, waits until they are ready, and stops them."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import yaml

from tests.kit import debian
from tests.kit.bots import free_port

_ATTEMPTS = 3
_PATIENCE = 10.0


@asynccontextmanager
async def alertmanager(
    receiver: Mapping[str, object], *, group_wait: str = "0s", group_interval: str = "1s", repeat_interval: str = "1h"
) -> AsyncIterator[str]:
    """Debian's Alertmanager with one receiver (`webhook_configs`, `slack_configs`), hardly waiting; gives its address."""
    program = debian.require_alertmanager()
    config = {
        "route": {
            "receiver": "only", "group_by": ["alertname", "service"], "group_wait": group_wait,
            "group_interval": group_interval, "repeat_interval": repeat_interval,
        },
        "receivers": [{"name": "only", **receiver}],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "alertmanager.yml").write_text(yaml.safe_dump(config))

        def command(port: int) -> Sequence[str]:
            return (
                program, "--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
            )  # fmt: skip

        async with _serving(command, Path(folder)) as url:
            yield url


def webhook(url: str, token: str) -> dict[str, object]:
    """A webhook receiver with a bearer token, as deploy/prometheus/alertmanager.yaml has it."""
    http = {"authorization": {"type": "Bearer", "credentials": token}}
    return {"webhook_configs": [{"url": url, "send_resolved": True, "http_config": http}]}


@asynccontextmanager
async def prometheus(target: str, rule: Mapping[str, object], alertmanager_url: str) -> AsyncIterator[str]:
    """Debian's Prometheus, scraping `target` (host:port) and evaluating `rule` every second; gives its address."""
    program = debian.require_prometheus()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]},
        "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [target]}]}],
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "prometheus.yml").write_text(yaml.safe_dump(config))
        Path(folder, "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "shop", "rules": [dict(rule)]}]}))

        def command(port: int) -> Sequence[str]:
            return (
                program, "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
            )  # fmt: skip

        async with _serving(command, Path(folder)) as url:
            yield url


async def chromium_screenshot(url: str, path: Path, width: int, height: int, seconds: float = 60.0) -> None:
    """A PNG of a page as Chromium draws it in a window of that size. Raises RuntimeError where it does not."""
    program = debian.require_chromium()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = (
            program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={path.absolute()}", url,
        )  # fmt: skip
        log = Path(profile, "output.log")
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=output, stderr=output, env=os.environ | {"TMPDIR": profile, "HOME": profile}
            )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_stop, process)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds)
        if process.returncode != 0 or not path.exists():
            raise RuntimeError(f"no screenshot of {url}: {log.read_text(errors='replace')[-2000:]}")


@asynccontextmanager
async def _serving(command: Callable[[int], Sequence[str]], folder: Path) -> AsyncIterator[str]:
    """Run a server that answers 200 at `/-/ready` while the block runs; gives its address.

    The port is free when it is chosen, and may be taken before the program listens: then another one is tried.
    """
    log = folder / "process.log"
    async with AsyncExitStack() as stack:
        for _ in range(_ATTEMPTS):
            port = free_port()
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(*command(port), cwd=folder, stdout=output, stderr=output)
            stack.push_async_callback(_stop, process)
            url = f"http://127.0.0.1:{port}"
            if await _ready(process, f"{url}/-/ready"):
                yield url
                return
            said = log.read_text(errors="replace")
            if "address already in use" not in said:
                break
        raise TimeoutError(f"{command(0)[0]} did not come up: {said[-2000:]}")


async def _ready(process: asyncio.subprocess.Process, url: str, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    async with aiohttp.ClientSession() as session:
        while process.returncode is None and time.monotonic() < deadline:
            with suppress(aiohttp.ClientError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return True
            await asyncio.sleep(0.05)
    return False


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, and insist after a while. The loop stays free: it may be serving what the program is waiting for."""
    for asking in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(asking)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _PATIENCE)
