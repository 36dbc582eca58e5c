"""Focus graphs for tests, from small maps."""

from __future__ import annotations

from bot.enrich.answers import Query
from bot.model import Kind, Layer
from bot.picture.choose import choose
from bot.picture.focus import Focus
from tests.kit.maps import NOW, MapMaker


def shop() -> MapMaker:
    """payments fails because of its database: web and checkout are hit, invoices and tills at risk."""
    made = MapMaker(kinds={"payments-db": Kind.DATABASE})
    well = ("invoices>payments", "payments>fraud>fraud-rules", "checkout>cart")
    made.usually("web>checkout>payments>payments-db", *well, count=50)
    made.calls("web>checkout>payments>payments-db", count=50, failed=20).calls(*well, count=50)
    made.calls("tills>payments", layer=Layer.NETWORK).calls("(entry)>web", count=50)
    made.view.firing["payments"] = NOW - 60
    return made


def trouble() -> Focus:
    """The picture of it."""
    return choose(shop().view, "payments", NOW, suspects=[("payments-db", 0.82), ("fraud", 0.12)])


def around(made: MapMaker, service: str, query: Query | None = None) -> Focus:
    """The picture of a service on a small map, with nothing suspected."""
    return choose(made.view, service, NOW, query)
