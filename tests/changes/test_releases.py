"""Deploys as services' own telemetry tells of them: a release that was not running before."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from bot.changes import releases
from bot.changes.releases import Releases
from bot.model import ChangeKind

NOW = 1_795_400_000.0
MINUTE = 60.0


class Reports:
    """Feeds what services say of themselves, minute by minute from `NOW`."""

    def __init__(self, **limits: int) -> None:
        self.releases = Releases(**limits)
        self.minute = 0

    def minutes(self, count: int, *values: str, by: str = "version", service: str = "payments") -> Reports:
        """Each of these is reported once in each of the next minutes."""
        for _ in range(count):
            now = NOW + self.minute * MINUTE
            self.releases.see({(service, by, value): now for value in values}, now)
            self.minute += 1
        return self

    def told(self) -> list[str]:
        return [change.title for change in self.releases.take()]


def test_a_new_release_is_a_deploy_at_its_first_sight_and_told_once() -> None:
    reports = Reports().minutes(10, "v42").minutes(3, "v42", "v43").minutes(10, "v43")
    (change,) = reports.releases.take()

    assert (change.service, change.kind, change.source) == ("payments", ChangeKind.DEPLOY, "telemetry")
    assert (change.at, change.title) == (NOW + 10 * MINUTE, "version v43, before v42")
    assert reports.told() == []


def test_what_a_service_says_in_its_first_minutes_is_how_things_are() -> None:
    assert Reports().minutes(1, "v42").minutes(1, "v43").minutes(20, "v42", "v43").told() == []


def test_old_and_new_side_by_side_for_hours_are_one_deploy() -> None:
    assert Reports().minutes(10, "v42").minutes(300, "v42", "v43").told() == ["version v43, before v42"]


def test_a_rollback_is_a_deploy_too() -> None:
    reports = Reports().minutes(10, "v42").minutes(8, "v43").minutes(5, "v42")

    assert reports.told() == ["version v43, before v42", "version v42, before v43"]


def test_a_release_that_was_silent_for_a_moment_is_none() -> None:
    assert Reports().minutes(10, "v42", "v43").minutes(4, "v43").minutes(10, "v42", "v43").told() == []


def test_a_service_that_says_little_is_not_deployed_each_time_it_speaks() -> None:
    reports = Reports()
    for _ in range(5):
        reports.minutes(1, "v42")
        reports.minute += 120

    assert reports.told() == []
    assert reports.minutes(1, "v43").told() == ["version v43, before v42"]


def test_image_version_and_revision_that_change_together_are_one_deploy() -> None:
    reports = Reports().minutes(10, "v42").minutes(10, "a1", by="image").minutes(1, "v43").minutes(5, "b2", by="image")

    assert reports.told() == ["version v43, before v42"]


def test_two_deploys_within_minutes_are_two() -> None:
    reports = Reports().minutes(10, "v42").minutes(2, "v43").minutes(2, "v44")

    assert reports.told() == ["version v43, before v42", "version v44, before v43"]


def test_a_release_that_comes_and_goes_is_told_once_in_half_an_hour_and_the_rest_counted() -> None:
    reports = Reports().minutes(10, "v42")
    for _ in range(3):
        reports.minutes(1, "v42", "canary").minutes(7, "v42")

    assert reports.told() == ["version canary, before v42"]
    assert reports.releases.dropped["a release that comes and goes"] == 2


def test_what_changes_all_the_time_names_no_release() -> None:
    reports = Reports().minutes(10, "0")
    for number in range(1, 200):
        reports.minutes(1, str(number))

    assert len(reports.told()) == releases.MAX_TOLD * 4
    assert reports.releases.dropped.total() > 150


def test_late_reports_of_the_old_release_are_no_rollback() -> None:
    reports = Reports().minutes(10, "v42").minutes(20, "v43")
    now = NOW + reports.minute * MINUTE
    reports.told()
    for late in (1_200, 400, 301):
        reports.releases.see({("payments", "version", "v42"): now - late}, now)

    assert reports.told() == []
    assert reports.releases.dropped["reported too late, or by a clock that is wrong"] == 3


@pytest.mark.parametrize("wrong", [-1e18, 0.0, NOW + 3_600, 1e300])
def test_a_clock_that_is_wrong_changes_nothing(wrong: float) -> None:
    found = Releases()
    found.see({("payments", "version", "v42"): wrong}, NOW)

    assert (len(found), found.dropped.total()) == (0, 1)


def test_reports_of_one_moment_in_any_order_say_the_same() -> None:
    def told(said: Iterable[tuple[str, float]]) -> list[str]:
        reports = Reports().minutes(10, "v42")
        now = NOW + 11 * MINUTE
        reports.releases.see({("payments", "version", value): at for value, at in said}, now)
        return reports.told()

    said = [("v43", NOW + 10 * MINUTE), ("v44", NOW + 10.5 * MINUTE)]
    assert told(said) == told(reversed(said)) == ["version v43, before v42", "version v44, before v43"]


def test_services_and_releases_are_bounded_and_what_is_left_out_is_counted() -> None:
    many = Reports(services=2)
    for number in range(5):
        many.minutes(1, "v1", service=str(number))
    one = Reports().minutes(1, *(str(number) for number in range(100)))

    assert (len(many.releases), many.releases.dropped) == (2, {"too many services": 3})
    assert one.releases.dropped == {"too many releases of one service": 100 - releases.MAX_RELEASES}


def test_services_that_report_no_more_are_let_go() -> None:
    reports = Reports().minutes(1, "v42").minutes(1, "v1", service="web")
    reports.releases.expire(NOW + releases.KEPT_SECONDS + MINUTE / 2)

    assert len(reports.releases) == 1


def test_what_could_not_be_stored_comes_first_the_next_time_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "MAX_WAITING", 2)
    reports = Reports().minutes(10, "v42").minutes(2, "v43")
    first = reports.releases.take()
    reports.minutes(1, "v44").releases.restore(first)

    assert reports.told() == ["version v43, before v42", "version v44, before v43"]
    reports.releases.restore(first * 3)
    assert len(reports.told()) == 2
    assert reports.releases.dropped["changes that nobody took"] == 1
