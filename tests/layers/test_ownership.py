"""Who owned an address when: claims that overlap, end early, come again, or are poison."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from bot.layers.ownership import LEASE, QUIET, TTL, Ownership
from bot.model import Node
from bot.telemetry.identities import Claim

NOW = 1_760_000_040.0
IP = "10.0.0.1"


def claim(service: str, start: float, end: float | None = None, *, ip: str = IP, kind: str = "service") -> Claim:
    """A claim; times are seconds from NOW."""
    return Claim(ip, Node(service), kind, NOW + start, None if end is None else NOW + end)


def known(*claims: Claim, now: float = 0) -> Ownership:
    ownership = Ownership(Counter())
    for one in claims:
        assert ownership.add(one, NOW + now)
    return ownership


def owners(ownership: Ownership, *moments: float) -> list[str | None]:
    """Who owned the address at each moment, in seconds from NOW."""
    found = [ownership.owner(IP, NOW + at) for at in moments]
    return [one.node.id if one is not None else None for one in found]


# -- overlaps and ends ---------------------------------------------------------------------------------------------------


def test_a_range_begins_with_its_start_and_is_over_at_its_end() -> None:
    assert owners(known(claim("cart", -60, -10)), -61, -60, -10.001, -10) == [None, "cart", "cart", None]


def test_an_owner_that_never_said_goodbye_is_closed_by_its_successor() -> None:
    assert owners(known(claim("cart", -60), claim("pay", -30)), -31, -30, 0) == ["cart", "pay", "pay"]


def test_of_two_that_overlap_the_later_has_what_they_share_and_nobody_what_comes_after_it() -> None:
    """The first said it would last longer; but an address that was given away is not had back by an old promise."""
    ownership = known(claim("cart", -60, 60), claim("pay", -30, -10))
    assert owners(ownership, -31, -30, -11, -10, 30) == ["cart", "pay", "pay", None, None]


def test_whatever_order_claims_are_heard_in_the_answer_is_the_same() -> None:
    claims = [claim("cart", -60), claim("pay", -50, -40), claim("cart", -30, -20), claim("web", -20), claim("pay", -5)]
    moments = [-60, -55, -50, -45, -40, -35, -30, -25, -20, -10, -5, 0, 60]
    answers = {tuple(owners(known(*order), *moments)) for order in itertools.permutations(claims)}
    assert len(answers) == 1


def test_an_end_told_later_ends_the_range_and_says_that_something_changed() -> None:
    ownership = known(claim("cart", -60))
    ownership.take_changed()
    ownership.add(claim("cart", -60, -20), NOW)
    assert owners(ownership, -21, -20) == ["cart", None]
    assert ownership.take_changed() == {IP: NOW - 20}
    assert len(ownership) == 1


def test_an_end_before_the_start_owns_nothing_and_harms_nobody() -> None:
    """The door refuses such a claim; a range that is over before it begins would be none here either."""
    ownership = known(claim("cart", -60), claim("pay", -30, -40))
    assert owners(ownership, -35, -30, 0) == ["cart", None, None]


def test_two_that_claim_the_same_moment_are_settled_by_the_later_word() -> None:
    ownership = known(claim("cart", -60), claim("nat", -60, 10, kind="nat"))
    assert owners(ownership, -60, 0) == ["nat", "nat"]
    assert (len(ownership), ownership.between()) == (1, {IP})


# -- heartbeats ----------------------------------------------------------------------------------------------------------


def test_a_claim_without_an_end_lapses_when_nobody_repeats_it() -> None:
    ownership = known(claim("cart", -60))
    assert owners(ownership, TTL - 1, TTL) == ["cart", None]
    ownership.add(claim("cart", -60), NOW + 60)
    assert owners(ownership, TTL, TTL + 60) == ["cart", None]


def test_a_heartbeat_after_a_silence_fills_it_and_says_so() -> None:
    ownership = known(claim("cart", -60))
    ownership.take_changed()
    ownership.add(claim("cart", -60), NOW + 2 * TTL)
    assert owners(ownership, 1.5 * TTL) == ["cart"]
    assert ownership.take_changed() == {IP: NOW}


def test_heartbeats_change_nothing_else() -> None:
    ownership = known(claim("cart", -60), claim("pay", -30, -10))
    ownership.take_changed()
    restless = ownership.restless()
    for beat in range(1, 10):
        ownership.add(claim("cart", -60), NOW + beat * 20)
        ownership.add(claim("pay", -30, -10), NOW + beat * 20)
    assert ownership.take_changed() == {}
    assert ownership.restless() is restless
    assert owners(ownership, -5, 100) == [None, None]


def test_an_address_that_flaps_between_two_belongs_to_each_in_its_turn() -> None:
    ownership = known(*(claim(("cart", "pay")[turn % 2], -100 + turn * 10) for turn in range(10)))
    assert owners(ownership, *range(-95, 5, 10)) == ["cart", "pay"] * 5


# -- poison --------------------------------------------------------------------------------------------------------------


def test_an_address_claimed_once_by_somebody_else_comes_back_to_the_owner_who_goes_on_repeating_it() -> None:
    ownership = known(claim("cart", -600))
    ownership.add(claim("thief", 0), NOW)
    ownership.take_changed()
    for beat in range(1, 120):
        ownership.add(claim("cart", -600), NOW + beat * 60)
    assert owners(ownership, -1, 0, TTL - 1, TTL, 2 * TTL) == ["cart", "thief", "thief", "cart", "cart"]
    assert ownership.take_changed() == {IP: NOW + TTL}


def test_a_guest_that_said_goodbye_gives_the_address_back_to_an_owner_who_is_still_repeated() -> None:
    ownership = known(claim("cart", -600))
    ownership.add(claim("guest", 0, 60), NOW + 60)
    ownership.add(claim("cart", -600), NOW + 60 + QUIET)
    assert owners(ownership, 61) == [None]
    ownership.add(claim("cart", -600), NOW + 61 + QUIET)
    assert owners(ownership, 59, 60, 400) == ["guest", "cart", "cart"]


def test_old_records_told_again_with_their_successors_bring_nobody_back() -> None:
    """A file of who had the address in the past, without goodbyes, that is sent again and again in two bodies."""
    ownership = known()
    for beat in range(100):
        ownership.add(claim("cart", -600), NOW + beat * 60)
        ownership.add(claim("pay", -300, -100), NOW + beat * 60 + 1)
        assert owners(ownership, -50, 0, 5_000) == [None, None, None]


def test_an_owner_who_came_back_is_kept_as_long_as_it_is_repeated() -> None:
    ownership = known(claim("cart", -600))
    ownership.add(claim("thief", 0), NOW)
    for beat in range(1, 200):
        ownership.add(claim("cart", -600), NOW + beat * 600)
    ownership.expire(NOW + 100_000)
    assert [one.node.id for one in ownership.claims()] == ["cart"]
    assert owners(ownership, 110_000) == ["cart"]


def test_an_end_in_the_year_5000_holds_no_address_for_ever() -> None:
    ownership = known(claim("cart", -60, 9e10))
    assert owners(ownership, LEASE - 1, LEASE) == ["cart", None]
    ownership.expire(NOW + LEASE + 1)
    assert len(ownership) == 0


# -- caps ----------------------------------------------------------------------------------------------------------------


def test_beyond_the_cap_claims_are_refused_and_leave_nothing_behind() -> None:
    ownership = Ownership(Counter(), max_ranges=10)
    for number in range(1_000):
        ownership.add(claim("cart", -60, ip=f"10.0.1.{number}", kind="nat"), NOW)
    assert (len(ownership), ownership.dropped) == (10, {"identity: too many ranges": 990})
    assert (len(ownership.between()), len(ownership.take_changed())) == (10, 10)
    assert ownership.add(claim("cart", -60, ip="10.0.1.0", kind="nat"), NOW)
    ownership.expire(NOW + TTL + 1)
    assert (len(ownership), ownership.between()) == (0, set())


def test_an_address_that_changes_hands_all_the_time_keeps_its_latest_owners() -> None:
    ownership = Ownership(Counter(), max_owners=10)
    for number in range(100):
        ownership.add(claim(f"job-{number}", number), NOW + number)
    assert len(ownership) == 10
    assert owners(ownership, 89, 90, 99) == [None, "job-90", "job-99"]
    assert ownership.dropped == {"identity: too many owners of one address": 90}


def test_an_end_taken_back_and_said_anew_over_and_over_takes_no_more_memory() -> None:
    ownership = Ownership(Counter(), max_ranges=10)
    for number in range(10_000):
        ownership.add(claim("cart", -60, number * 60), NOW)
    assert len(ownership.restless()) <= 80


def test_the_cap_comes_down_again_once_ranges_are_over() -> None:
    ownership = known(*(claim("cart", -600, -500, ip=f"10.0.1.{number}") for number in range(100)))
    ownership.expire(NOW - 500)
    assert len(ownership) == 100
    ownership.expire(NOW - 499)
    assert (len(ownership), ownership.take_changed() != {}) == (0, True)


# -- steadiness ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_what_is_called_steady_has_one_owner_at_every_moment(seed: int) -> None:
    chance = random.Random(seed)
    ownership = Ownership(Counter(), ttl=50)
    for _ in range(30):
        start = chance.randrange(-300, 0)
        end = chance.choice([None, start + chance.randrange(0, 100)])
        ownership.add(claim(f"s{chance.randrange(4)}", start, end), NOW + chance.randrange(0, 600))
    for _ in range(200):
        since = chance.randrange(-320, 700)
        until = since + chance.randrange(0, 40)
        if ownership.steady(IP, NOW + since, NOW + until):
            assert len(set(owners(ownership, *range(since, until + 1)))) == 1
