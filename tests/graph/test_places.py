"""Where services run: shares, caps and lifetimes."""

from __future__ import annotations

from bot.graph import places
from bot.graph.places import Places, is_place, spoken

NOW = 1_700_000_000.0


def test_a_service_is_in_each_of_its_places_alike() -> None:
    known = Places()
    known.see({("web", "node", "n1"): NOW, ("web", "node", "n2"): NOW, ("web", "zone", "a"): NOW}, NOW)
    known.see({("pay", "node", "n1"): NOW}, NOW)

    assert known.shared(["web", "pay", "nobody"], NOW) == {
        "node:n1": {"web": 0.5, "pay": 1.0}, "node:n2": {"web": 0.5}, "zone:a": {"web": 1.0},
    }  # fmt: skip


def test_what_nobody_repeats_for_an_hour_is_over() -> None:
    known = Places()
    known.see({("web", "node", "n1"): NOW, ("web", "node", "n2"): NOW + 1_800}, NOW + 1_800)

    assert known.shared(["web"], NOW + 3_700) == {"node:n2": {"web": 1.0}}
    known.expire(NOW + 3_700)
    assert known.shared(["web"], NOW) == {"node:n2": {"web": 1.0}}
    known.expire(NOW + 9_000)
    assert len(known) == 0


def test_late_reports_and_clocks_that_are_ahead_change_nothing() -> None:
    known = Places()
    known.see({("web", "node", "old"): NOW - 4_000, ("web", "node", "ahead"): NOW + 90_000}, NOW)

    assert known.shared(["web"], NOW) == {"node:ahead": {"web": 1.0}}
    assert known.shared(["web"], NOW + 4_000) == {}


def test_what_there_is_no_room_for_is_counted() -> None:
    known = Places(services=1)
    known.see({("web", "node", f"n{number}"): NOW for number in range(places.MAX_EACH + 2)}, NOW)
    known.see({("pay", "node", "n1"): NOW, ("web", "version", "v1"): NOW}, NOW)

    assert len(known.shared(["web"], NOW)) == places.MAX_EACH
    assert known.dropped == {"too many places of one service": 2, "too many services": 1}


def test_a_place_is_told_from_a_service() -> None:
    assert is_place("node:ip-10-0-3-7")
    assert not is_place("node")
    assert not is_place("payments.shop@prod")
    assert spoken("zone:eu-1a") == "zone eu-1a"
    assert spoken("payments") == "payments"
