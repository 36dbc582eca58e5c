"""What people type about digests, read as they mean it, and refused in words where it means nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.digest.wish import Wish, clock, of_what, read
from bot.errors import BadRequest
from bot.model import Subscription


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("", Wish("list")),
        ("list", Wish("list")),
        ("subscribe", Wish("subscribe")),
        ("SUBSCRIBE me Team=Payments tier = 1", Wish("subscribe", mine=True, team="Payments", tier="1")),
        ('subscribe team="Big Team" at 7:30 in Europe/Berlin always',
         Wish("subscribe", team="Big Team", minute=450, zone="Europe/Berlin", always=True)),
        ("subscribe at=07:30 in=UTC quiet", Wish("subscribe", minute=450, zone="UTC", always=False)),
        ("subscribe domain=“money laundry” service=pay.shop@prod",
         Wish("subscribe", domain="money laundry", service="pay.shop@prod")),
        ("preview", Wish("preview")),
        ("preview 3", Wish("preview", number=3)),
        ("preview service=shop", Wish("preview", service="shop")),
        ("unsubscribe #12", Wish("unsubscribe", number=12)),
    ],
)  # fmt: skip
def test_it_is_read_as_it_is_meant(typed: str, meant: Wish) -> None:
    assert read(typed) == meant


@pytest.mark.parametrize(
    "typed",
    ["subscribe 3", "subscribe at", "subscribe in", "subscribe team=", "subscribe team", "subscribe maybe", "subscribe in Mars", "stop",
     "unsubscribe", "unsubscribe all", "unsubscribe 3 team=x", "preview 3 team=x", "list 3", "subscribe at 24:00", "subscribe ==", '"'],
)  # fmt: skip
def test_what_means_nothing_is_refused(typed: str) -> None:
    with pytest.raises(BadRequest):
        read(typed)


@given(st.text(max_size=60) | st.text('abst="“” 0123#:mein/', max_size=60).map("subscribe {}".format))
def test_whatever_is_typed_is_read_or_refused(typed: str) -> None:
    try:
        wish = read(typed)
    except BadRequest:
        return
    assert wish.action in ("subscribe", "preview", "unsubscribe", "list")


def test_what_a_subscription_is_of_can_be_typed_again() -> None:
    asked = Subscription(1, "C1", "U1", 0.0, 540, "UTC", team="Big Team", service="shop")
    wish = read(f"preview {of_what(asked)}")

    assert (wish.team, wish.service, clock(asked.minute)) == ("Big Team", "shop", "09:00")
