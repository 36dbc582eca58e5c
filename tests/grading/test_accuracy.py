"""How right the bot was: shares with the counts they rest on, and no share where nothing counts."""

from __future__ import annotations

from typing import Any

from bot.grading.accuracy import Graded, accuracy

AT = 1_764_000_000.0
WEEK = 7 * 86_400.0


def graded(confirmed: str = "", at: float = AT, **outcome: Any) -> Graded:
    causes = outcome.pop("causes", [["db", 0.8, ["effect", "change"]], ["cache", 0.1, ["traffic"]]])
    said = {
        "predicted": ["web", "cart"],
        "hit": ["web"],
        "missed": [],
        "causes": causes,
        "named": "db",
        "layers": ["ipc"],
    }
    return Graded(at, said | outcome, confirmed)


def test_nothing_over_is_nothing_to_grade() -> None:
    found = accuracy([])

    assert found["incidents"] == 0
    assert found["radius"]["precision"] is found["radius"]["recall"] is found["causes"]["first"] is None
    assert found["says"].startswith("no incident is over")


def test_a_radius_is_graded_by_who_was_hit_and_a_miss_is_never_hidden() -> None:
    found = accuracy([graded(), graded(hit=["web", "cart"], missed=["mail", "chat"])])["radius"]

    assert found == {"predicted": 4, "hit": 3, "missed": 2, "precision": 0.75, "recall": 0.6}


def test_causes_are_graded_only_where_somebody_has_confirmed_one() -> None:
    found = accuracy([graded(), graded("db"), graded("cache"), graded("none")])["causes"]

    assert found == {"confirmed": 3, "first": 0.333, "among_three": 0.667, "named": 3, "named_right": 0.333}


def test_what_was_said_to_be_likely_is_held_against_how_often_it_was_right() -> None:
    sure = [graded("db"), graded("db"), graded("cache")]
    unsure = [graded("db", causes=[["db", 0.2, []]], named="")]
    found = {(one["from"], one["to"]): one for one in accuracy([*sure, *unsure])["calibration"]}

    assert found[0.7, 0.9] == {"from": 0.7, "to": 0.9, "count": 3, "said": 0.8, "right": 0.667}
    assert found[0.0, 0.3] == {"from": 0.0, "to": 0.3, "count": 1, "said": 0.2, "right": 1.0}
    assert found[0.9, 1.0] == {"from": 0.9, "to": 1.0, "count": 0, "said": None, "right": None}


def test_shares_are_given_by_week_by_layer_and_by_family_of_evidence() -> None:
    found = accuracy([graded("db"), graded("cache", at=AT - WEEK, layers=["trace", "ipc"])])

    assert [one["causes"]["first"] for one in found["weeks"]] == [0.0, 1.0]
    assert found["layers"]["trace"]["causes"] | {} == {
        "confirmed": 1, "first": 0.0, "among_three": 1.0, "named": 1, "named_right": 0.0,
    }  # fmt: skip
    assert found["layers"]["ipc"]["incidents"] == 2
    assert found["evidence"]["change"]["confirmed"] == 2
    assert "traffic" not in found["evidence"]


def test_few_confirmations_are_said_to_be_too_few() -> None:
    assert "too few" in accuracy([graded("db")] * 19)["says"]
    assert "too few" not in accuracy([graded("db")] * 20)["says"]


def test_an_incident_of_which_nothing_is_known_is_counted_all_the_same() -> None:
    found = accuracy([Graded(AT, {}, "db")])

    assert found["incidents"] == 1
    assert found["causes"]["first"] == 0.0
