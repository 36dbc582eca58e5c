"""Which channel an incident goes to, and that it stays there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.incidents.routing import destination, parse_route
from tests.incidents.test_path import alert, learn, message, roots, thread
from tests.kit.alerts import alertmanager
from tests.kit.bots import bot, get, until

KNOWN = {
    "owner": ("Payments",), "service": ("payments", "checkout"), "environment": ("prod",), "severity": ("critical",),
    "source": ("alertmanager",), "tier": ("1",), "domain": ("",),
}  # fmt: skip


@pytest.mark.parametrize(
    ("route", "channel"),
    [
        ("owner=payments -> #pay", "#pay"), ("service=check* severity=critical -> C0123", "C0123"),
        ("tier=1 environment=prod -> owner", "#team-pay"), ("severity=warning -> #pay", "#incidents"),
        ("owner=payments severity=warning -> #pay", "#incidents"), ('owner="Pay*" -> #pay', "#pay"), ("domain=? -> #pay", "#incidents"),
    ],
)  # fmt: skip
def test_the_first_route_that_fits_has_it(route: str, channel: str) -> None:
    assert destination([parse_route(route)], KNOWN, "#team-pay", "#incidents")[0] == channel


def test_a_route_to_an_owner_without_a_channel_is_passed_over() -> None:
    routes = [parse_route("tier=1 -> owner"), parse_route("tier=1 -> #tier-one")]
    assert destination(routes, KNOWN, "", "#incidents") == ("#tier-one", "route tier=1 -> #tier-one")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("#pay", "want CONDITION"), ("-> #pay", "want CONDITION"), ("owner=a ->", "is no channel"), ("owner=a -> #a b", "is no channel"),
        ("color=red -> #pay", "'color' is not one of owner"), ("owner = a -> #pay", "NAME=PATTERN"),
    ],
)  # fmt: skip
def test_a_route_that_cannot_be_read_says_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="route") as caught:
        parse_route(text)
    assert why in str(caught.value)


async def test_message_and_thread_go_where_the_route_says_and_stay_there(tmp_path: Path) -> None:
    routes = "service=payments severity=critical -> #pay; environment=staging -> #staging"
    async with bot(tmp_path, routes=routes, rethink_seconds=1.0) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments"))
        await message(running)

        async def evidence() -> bool:
            return bool(await thread(running))

        await until(evidence, "there is no thread", 20)
        await alert(session, alertmanager("checkout", fingerprint="00000000000000c1", group="g2"))
        await message(running, revision=2)
        rows = await running.outbox.latest(20)
        decisions = (await get(session, "/api/v1/incidents/1"))["decisions"]
        await alert(session, alertmanager("elsewhere", fingerprint="00000000000000e1", group="g3"))
        await message(running, index=1)
        channels = [row.channel for row in await roots(running)]

    assert {row.channel for row in rows} == {"#pay"}
    routed = [(one["verdict"], one["reason"]) for one in decisions if one["step"] == "route"]
    assert routed == [("#pay", "route service=payments severity=critical -> #pay")]
    assert sorted(channels) == ["#incidents", "#pay"]
