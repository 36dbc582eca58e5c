"""Named situations as plays on a stage: what a channel reads in each is kept in `golden/`, word for word.

Every play drives the real path (`tests.kit.stage`) over a made-up map; none calls a view with facts of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from bot.model import Change, ChangeKind, Layer
from tests.kit.maps import NOW, MapMaker
from tests.kit.stage import Stage, catalog, stage

CATALOG = catalog(
    """
services:
  - {id: web, team: Web, slack: "#team-web", tier: 1, entry_point: true}
  - {id: checkout, team: Checkout, slack: "@checkout-oncall", tier: 1, runbook: "https://runbooks.example/checkout"}
  - {id: payments, team: Payments, slack: "@pay-oncall", tier: 1, runbook: "https://runbooks.example/payments",
     pagerduty_service_id: PF9KMXH}
  - {id: payments-db, team: Data, slack: "#team-data", tier: 1, kind: database}
  - {id: invoices, team: Payments, tier: 2}
"""
)
SHOP = ("web>checkout>payments>payments-db", "invoices>payments", "checkout>cart>cart-db", "payments>fraud")

Play = Callable[[], Coroutine[Any, Any, list[dict[str, Any]]]]


def shop(**kinds: Any) -> MapMaker:
    """A shop that did well until five minutes ago."""
    made = MapMaker(catalog=CATALOG, **kinds)
    made.usually(*SHOP, count=60)
    made.usually("payments>payments-db", count=60)
    return made


def payments_db_fails(made: MapMaker) -> None:
    """payments-db has answered with errors since two minutes ago, and so has everybody who needs it."""
    for ago in (2, 1, 0):
        made.calls("web>checkout>payments", "invoices>payments", count=60, failed=42, ago=ago)
        made.calls("payments>payments-db", count=120, failed=84, ago=ago)
        made.calls("checkout>cart>cart-db", "payments>fraud", count=60, ago=ago)


def reconfigured(made: MapMaker) -> None:
    """Shortly before, somebody had changed a setting of payments-db."""
    change = Change(
        NOW - 260, "payments-db", ChangeKind.CONFIG, "max_connections 200 → 20", "github", "1", author="ada"
    )
    made.view.changes.add(change, NOW)


async def cause_known() -> list[dict[str, Any]]:
    """Errors come up from a database that was reconfigured shortly before."""
    made = shop()
    payments_db_fails(made)
    reconfigured(made)
    async with stage(made) as play:
        await play.fires("payments", labels={"env": "prod"})
        return await play.channel()


async def cause_unknown() -> list[dict[str, Any]]:
    """An alert, and nothing around it that is unusual."""
    made = shop()
    made.calls(*SHOP, count=60, ago=range(10))
    async with stage(made) as play:
        await play.fires("payments", annotations={"summary": "Synthetic check of the payment page failed 3 times"})
        return await play.channel()


async def unknown_service() -> list[dict[str, Any]]:
    """The alert's name is nobody's on the map, but close to one."""
    made = shop()
    made.calls(*SHOP, count=60, ago=range(10))
    async with stage(made) as play:
        await play.fires("paymnets", name="HighLatency", annotations={"summary": "p99 is 4 s"})
        return await play.channel()


async def storm() -> list[dict[str, Any]]:
    """Thirty-eight services alert within a minute, for one reason; there is no time to think until the last of them is in."""
    shops = [f"shop-{number:02d}" for number in range(35)]
    made = MapMaker(catalog=CATALOG)
    chains = ["web>checkout>payments", *(f"{one}>payments" for one in shops)]
    made.usually(*chains, count=20).usually("payments>payments-db", count=720)
    for ago in (2, 1, 0):
        made.calls(*chains, count=20, failed=18, ago=ago).calls("payments>payments-db", count=720, failed=648, ago=ago)
    async with stage(made) as play:
        play.hurried = True
        for number, service in enumerate(["payments", "checkout", "web", *shops]):
            await play.fires(service, fingerprint=f"{number:016x}", group=f"g{number}")
        play.hurried = False
        play.at += 60
        await play.thinks()
        return await play.channel()


async def folded() -> list[dict[str, Any]]:
    """Two incidents turn out to be one when the service that both need alerts, too."""
    made = shop()
    made.calls(*SHOP, count=60, ago=range(10))
    async with stage(made) as play:
        await play.fires(
            "checkout", fingerprint="a" * 16, group="one", name="CheckoutSlow", annotations={"summary": "p99 is 4 s"}
        )
        await play.fires(
            "invoices", fingerprint="b" * 16, group="two", name="InvoicesLate", annotations={"summary": ""}
        )
        made.calls(*SHOP, count=60, ago=(-1, -2))
        play.at += 90
        await play.fires(
            "payments",
            ago=30,
            fingerprint="c" * 16,
            group="three",
            name="PaymentsDown",
            annotations={"summary": "no successful payment for 2 min"},
        )
        play.at += 45
        await play.thinks()
        return await play.channel()


async def resolved() -> list[dict[str, Any]]:
    """It is over: what was predicted, what came of it, and the question whether the cause was right."""
    made = shop()
    payments_db_fails(made)
    async with stage(made) as play:
        await play.fires("payments")
        play.at += 600
        await play.fires("checkout", ago=500, fingerprint="c" * 16, group="other")
        play.at += 600
        await play.recovers("checkout", ago=1_100, fingerprint="c" * 16, group="other")
        await play.recovers("payments", ago=1_320)
        return await play.channel()


async def hostile() -> list[dict[str, Any]]:
    """A vendor's text that would ring everybody, break the markup and fill the screen."""
    made = shop()
    payments_db_fails(made)
    text = "<!channel> <@U123> <https://evil.example|click me> *bold* & _so_ on `code` \u202egnirts " + "long " * 200
    async with stage(made) as play:
        await play.fires(
            "payments",
            name="<!here> & co",
            annotations={"summary": text},
            labels={"severity": "<!everyone>", "env": "a & b"},
        )
        return await play.channel()


async def ruled_out() -> list[dict[str, Any]]:
    """A person says that it is not the likely cause, and the next candidate is looked at."""
    made = shop()
    payments_db_fails(made)
    reconfigured(made)
    async with stage(made) as play:
        await play.fires("payments")
        play.at += 45
        await play.rejects("payments-db")
        return await play.channel()


async def poor_coverage() -> list[dict[str, Any]]:
    """Most of those around have not reported for long: the message says how much it does not know."""
    made = MapMaker(catalog=CATALOG)
    made.usually(*SHOP, count=60)
    made.calls("checkout>payments", count=60, failed=50, ago=(2, 1, 0))
    async with stage(made) as play:
        await play.fires("payments")
        return await play.channel()


async def zone() -> list[dict[str, Any]]:
    """Everybody who is in trouble runs in one zone, and nobody else does."""
    there = [f"app-{number}" for number in range(6)]
    elsewhere = [f"job-{number}" for number in range(6)]
    chains = [*(f"web>{one}" for one in there), *(f"web>{one}" for one in elsewhere)]
    made = MapMaker(catalog=CATALOG)
    made.usually(*chains, count=60)
    for ago in (3, 2, 1, 0):
        made.calls(*(f"web>{one}" for one in there), count=60, failed=30, ago=ago)
        made.calls(*(f"web>{one}" for one in elsewhere), count=60, ago=ago)
    reports = {(one, "zone", "eu-west-1b"): NOW for one in there}
    reports |= {(one, "zone", "eu-west-1a"): NOW for one in (*elsewhere, "web")}
    made.view.places.see(reports, NOW)
    async with stage(made) as play:
        await play.fires("web", name="HighErrorRate")
        return await play.channel()


async def acknowledged() -> list[dict[str, Any]]:
    """PagerDuty's incident beside Alertmanager's alert; somebody takes it."""
    made = shop()
    payments_db_fails(made)
    async with stage(made) as play:
        await play.pages(created=NOW - 150, title="Payments: error budget burns", assignees=["Ada Lovelace"])
        await play.fires("payments")
        play.at += 60
        await play.pages(
            "incident.acknowledged", created=NOW - 150, title="Payments: error budget burns", assignees=["Ada Lovelace"]
        )
        return await play.channel()


async def late() -> list[dict[str, Any]]:
    """The alert began two days ago and reaches the bot only now."""
    made = shop()
    payments_db_fails(made)
    async with stage(made) as play:
        await play.fires(
            "payments", ago=2 * 86_400.0 + 7_200, name="SlowBurn", annotations={"summary": "error budget of 28 days"}
        )
        return await play.channel()


async def no_service() -> list[dict[str, Any]]:
    """The alert names no service at all."""
    made = shop()
    made.calls(*SHOP, count=60, ago=range(10), layer=Layer.TRACE)
    async with stage(made) as play:
        await nameless(play)
        return await play.channel()


async def nameless(play: Stage) -> None:
    """An alert whose labels name nobody."""
    labels = {"instance": "10.0.3.7:9100", "service": ""}
    await play.fires("", name="DiskFull", labels=labels, annotations={"summary": "/var is 97% full on 10.0.3.7"})


async def not_read() -> list[dict[str, Any]]:
    """The map cannot be read: the alert goes out plain, with the reason."""
    made = shop()
    async with stage(made) as play:
        made.view.graph._pred = {}
        await play.fires("payments", annotations={"summary": "Too many errors"})
        return await play.channel()


SITUATIONS: dict[str, Play] = {
    play.__name__: play
    for play in (
        cause_known, cause_unknown, unknown_service, storm, folded, resolved, hostile, ruled_out, poor_coverage, zone,
        acknowledged, late, no_service, not_read,
    )
}  # fmt: skip
"""By name, which is its file's."""
