"""Faults of every kind in a made-up company: the true cause is among the first three, and innocent services are not blamed."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.outages import FAULTS
from tests.outages.__main__ import INNOCENT, not_named, shares
from tests.outages.playing import Answer, ask, drawn, founded


@pytest.fixture(scope="module")
def answers() -> list[Answer]:
    """Two outages of each kind, as far as the company has place for them."""

    async def asked() -> list[Answer]:
        scene = await founded(seed=21, services=60)
        return [await ask(scene, outage) for fault in FAULTS for outage in drawn(scene, fault, 2)]

    return asyncio.run(asked())


def test_the_true_cause_is_among_the_first_three_and_mostly_the_first(answers: list[Answer]) -> None:
    guilty = [one for one in answers if one.outage.fault != INNOCENT]
    first, three = shares(guilty)

    assert len(guilty) >= 10
    assert three >= 0.9
    assert first >= 0.75


def test_nobody_is_blamed_for_an_alert_without_a_fault(answers: list[Answer]) -> None:
    innocent = [one for one in answers if one.outage.fault == INNOCENT]

    assert len(innocent) == 2
    assert not_named(innocent) == 1.0
