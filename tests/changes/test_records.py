"""Change events in our own words: what is taken, and why a line is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.changes import records
from bot.changes.records import ChangeBatch, decode
from bot.model import Change, ChangeKind

NOW = 1_795_400_000.0
OLDEST = NOW - 86_400


def line(**changes: Any) -> dict[str, Any]:
    return {"at": NOW - 60, "service": "payments", "kind": "deploy", "title": "payments 1.3"} | changes


def read(*records: object) -> ChangeBatch:
    return decode("\n".join(json.dumps(one) for one in records).encode(), NOW, OLDEST)


def one(**changes: Any) -> Change:
    batch = read(line(**changes))
    assert batch.errors == []
    return batch.changes[0]


def test_a_line_becomes_a_change() -> None:
    change = one(link="https://ci.example/17", author="ada")

    assert (change.at, change.service, change.kind, change.title) == (
        NOW - 60,
        "payments",
        ChangeKind.DEPLOY,
        "payments 1.3",
    )
    assert (change.link, change.author, change.source) == ("https://ci.example/17", "ada", "ingest")


@pytest.mark.parametrize("kind", ["deploy", "config", "flag", "scale", "other"])
def test_every_kind_is_taken(kind: str) -> None:
    assert one(kind=kind).kind == kind


def test_a_change_of_no_stated_kind_is_another() -> None:
    record = line()
    del record["kind"]
    assert read(record).changes[0].kind == ChangeKind.OTHER


def test_control_characters_do_not_get_through() -> None:
    assert one(title="a\x00b\u202e").title == "ab"


def test_a_time_may_be_rfc_3339() -> None:
    assert one(at="2026-11-23T02:13:20Z").at == NOW


@pytest.mark.parametrize(
    ("service", "identifier"),
    [("Payments", "payments"), ("payments.shop@prod", "payments.shop@prod"), (" payments\u200b ", "payments")],
)
def test_a_service_is_named_as_everywhere_else(service: str, identifier: str) -> None:
    assert one(service=service).service == identifier


def test_the_same_line_twice_is_one_change_and_an_id_tells_two_apart() -> None:
    assert one().id == one().id
    assert one().id != one(title="payments 1.4").id != one(author="ada").id
    assert one(id="17").id == one(id="17", title="another").id == "17"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"at": None}, "at: want epoch seconds"),
        ({"at": "yesterday"}, "at: want epoch seconds"),
        ({"at": "2026-11-23T02:13:20"}, "with a time zone"),
        ({"at": float("nan")}, "at: want epoch seconds"),
        ({"at": 10**400}, "at: want epoch seconds"),
        ({"at": True}, "at: want epoch seconds"),
        ({"at": -1}, "at: want epoch seconds"),
        ({"at": NOW * 1_000}, "not milliseconds"),
        ({"at": NOW + 3_600}, "in the future"),
        ({"at": OLDEST - 1}, "longer ago than changes are kept"),
        ({"service": ""}, "service: want"),
        ({"service": 7}, "service: want"),
        ({"service": "\u200b"}, "service: want"),
        ({"service": "@prod"}, "service: want"),
        ({"kind": "rollout"}, "kind 'rollout': want one of deploy, config, flag, scale, other"),
        ({"kind": ["deploy"]}, "kind"),
        ({"title": " "}, "title: want a text"),
        ({"title": {"a": 1}}, "title: want a text"),
        ({"link": "javascript:alert(1)"}, "link: want"),
        ({"author": {}}, "author: want a text"),
        ({"link": ["https://a.example"]}, "link: want"),
    ],
)
def test_a_line_that_cannot_be_used_says_why_and_costs_only_itself(changes: dict[str, Any], why: str) -> None:
    batch = read(line(title="before"), line(**changes), line(title="after"))

    assert [change.title for change in batch.changes] == ["before", "after"]
    assert (batch.rejected, batch.errors[0]["line"]) == (1, 2)
    assert why in str(batch.errors[0]["why"])


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"9" * 5_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    assert decode(body, NOW, OLDEST).errors == [{"line": 1, "why": "not a JSON object"}]


def test_only_the_first_hundred_errors_are_listed_and_empty_lines_are_none() -> None:
    batch = decode(b"\n \r\n" + b"x\n" * 500, NOW, OLDEST)

    assert (batch.rejected, len(batch.errors), batch.errors[0]["line"]) == (500, 100, 3)


def test_a_body_with_too_many_changes_is_taken_as_far_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_CHANGES", 2)
    batch = read(*(line(title=str(number)) for number in range(4)))

    assert (len(batch.changes), batch.rejected) == (2, 2)
    assert "send the rest in another" in str(batch.errors[0]["why"])


def test_long_texts_are_bounded_and_long_names_stay_two() -> None:
    change = one(title="x" * 5_000, author="y" * 5_000)

    assert (len(change.title), len(change.author)) == (300, 200)
    assert one(service="a" * 500 + "1").service != one(service="a" * 500 + "2").service


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(line() | {"link": 0, "author": 0, "id": 0}, VALUES)))
def test_any_record_whatever_is_a_change_or_an_error(record: dict[str, Any]) -> None:
    batch = read(record)

    assert len(batch.changes) + batch.rejected == 1
