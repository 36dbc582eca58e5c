"""Background loops outlive their failures and show them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.loops import Loops
from tests.kit.bots import until


@pytest.fixture
async def loops() -> AsyncIterator[Loops]:
    """Loops that are stopped in the end."""
    made = Loops()
    yield made
    await made.stop()


async def test_a_loop_that_fails_is_started_again_and_named(loops: Loops) -> None:
    ticks: list[int] = []

    async def tick() -> None:
        ticks.append(1)
        if len(ticks) == 1:
            raise ZeroDivisionError

    loops.every("sweep", 0.01, tick)

    async def recovered() -> bool:
        return len(ticks) > 3

    await until(recovered, "the loop was not started again")
    assert loops.failing() == {"sweep": "ZeroDivisionError"}


async def test_one_failing_loop_does_not_stop_another(loops: Loops) -> None:
    ticks: list[int] = []

    async def broken() -> None:
        raise ZeroDivisionError

    async def tick() -> None:
        ticks.append(1)

    loops.keep("broken", broken)
    loops.every("works", 0.01, tick)
    await asyncio.sleep(0.2)

    assert len(ticks) > 5
    assert set(loops.failing()) == {"broken"}


async def test_stop_ends_every_loop(loops: Loops) -> None:
    ticks: list[int] = []

    async def tick() -> None:
        ticks.append(1)

    loops.every("works", 0.01, tick)
    await asyncio.sleep(0.05)
    await loops.stop()
    seen = len(ticks)
    await asyncio.sleep(0.05)

    assert len(ticks) == seen > 0
