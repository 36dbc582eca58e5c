"""The last day's changes in memory: found by service and time, each once, and never too many."""

from __future__ import annotations

import random

from bot.changes.log import KEPT_SECONDS, ChangeLog
from bot.model import Change, ChangeKind

NOW = 1_795_400_000.0


def change(ago: float = 60.0, service: str = "payments", number: int | str = 1) -> Change:
    return Change(NOW - ago, service, ChangeKind.DEPLOY, f"deploy {number}", "test", str(number))


def log_of(*changes: Change, **limits: int) -> ChangeLog:
    log = ChangeLog(**limits)
    for one in changes:
        log.add(one, NOW)
    return log


def test_changes_are_found_by_service_and_time_oldest_first_whatever_order_they_came_in() -> None:
    changes = [change(ago, number=number) for number, ago in enumerate((500, 400, 300, 200, 100))]
    shuffled = random.Random(1).sample(changes, len(changes))
    log = log_of(*shuffled, change(250, "web"))

    assert log.of("payments", NOW - 400, NOW - 200) == tuple(changes[1:4])
    assert log.of("payments", NOW - 50, NOW) == ()
    assert log.of("ledger", 0, NOW) == ()


def test_a_change_told_of_twice_is_there_once() -> None:
    assert len(log_of(change(), change(), change(number=2))) == 2


def test_a_change_without_an_environment_concerns_the_service_in_each() -> None:
    log = log_of(change(300, "payments"), change(200, "payments@prod", 2), change(100, "payments@staging", 3))

    assert [one.id for one in log.of("payments@prod", 0, NOW)] == ["1", "2"]
    assert [one.id for one in log.of("payments", 0, NOW)] == ["1"]


def test_what_is_older_than_a_day_is_not_taken_and_goes() -> None:
    log = log_of(change(KEPT_SECONDS + 1), change(KEPT_SECONDS - 1, number=2), change(60, number=3))

    assert len(log) == 2
    log.expire(NOW + 10)
    assert [one.id for one in log.of("payments", 0, NOW)] == ["3"]
    log.expire(NOW + KEPT_SECONDS)
    assert log.services() == ()


def test_of_too_many_changes_of_one_service_the_oldest_go_and_are_counted() -> None:
    log = log_of(*(change(1_000 - number, number=number) for number in range(10)), per_service=3)

    assert [one.id for one in log.of("payments", 0, NOW)] == ["7", "8", "9"]
    assert log.dropped == {"too many of one service": 7}


def test_services_beyond_the_cap_are_left_out_and_counted() -> None:
    log = log_of(*(change(service=f"s{number}") for number in range(5)), services=3)

    assert (len(log), log.dropped) == (3, {"too many services": 2})


def test_a_service_that_has_another_id_by_now_keeps_its_changes() -> None:
    log = log_of(change(), change(number=2, service="payments.shop@prod"))

    log.rename("payments", "payments.shop@prod", NOW)
    assert {one.service for one in log.of("payments.shop@prod", 0, NOW)} == {"payments.shop@prod"}
    assert (len(log), log.services()) == (2, ("payments.shop@prod",))
