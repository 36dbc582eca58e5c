"""Change events as they are sent, and as they are kept in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.changes.log import SPAN_SECONDS, ChangeLog
from bot.changes.records import decode
from bot.model import Change

NOW = 1_700_000_000.0


def record(**more: Any) -> dict[str, Any]:
    return {"at": NOW - 60, "service": "payments", "kind": "deploy", "title": "v2"} | more


def lines(*records: Any) -> bytes:
    return b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in records)


def change(at: float, service: str = "payments") -> Change:
    return Change(f"{service} {at}", at, service, "deploy", "v2")


def test_a_record_is_read_whole_and_the_same_one_again_has_the_same_id() -> None:
    sent = record(link="https://ci.example/7", author="ada")
    found = decode(lines(sent, sent, record(at="2023-11-14T22:12:20Z", service="Payments", kind="config")), NOW)

    first, again, other = found.changes
    assert (first.at, first.service, first.kind, first.title, first.link, first.author) == (
        NOW - 60, "payments", "deploy", "v2", "https://ci.example/7", "ada",
    )  # fmt: skip
    assert first == again
    assert (other.at, other.service, other.id != first.id) == (NOW - 60, "payments", True)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"nonsense", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b'{"at": 1\xff}', "not a JSON object"),
        (record(at=None), "at: want epoch seconds"),
        (record(at=0), "at: want epoch seconds"),
        (record(at=float("nan")), "at: want epoch seconds"),
        (record(at="yesterday"), "at: want epoch seconds"),
        (record(at="2023-11-14T22:12:20"), "with a time zone"),
        (record(at=NOW + 9_000), "in the future"),
        (record(kind="party"), "kind 'party'"),
        (record(kind=[]), "kind '[]'"),
        (record(service=""), "service: want a text"),
        (record(service=7), "service: want a text"),
        (record(service="x" * 2_000), "service: want a name"),
        (record(title=None), "title: want a text"),
        (record(link="javascript:alert(1)"), "link: want an http(s) address"),
        (record(author={}), "author: want a text"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_costs_only_itself(bad: Any, why: str) -> None:
    found = decode(lines(record(), bad, b"", record(title="v3")), NOW)

    assert [one.title for one in found.changes] == ["v2", "v3"]
    assert (found.rejected, found.errors[0]["line"]) == (1, 2)
    assert why in str(found.errors[0]["why"])


def test_control_characters_and_length_do_not_get_through() -> None:
    (found,) = decode(lines(record(title="a\x00b\u202e" + "x" * 900)), NOW).changes
    assert len(found.title) <= 300
    assert "\x00" not in found.title
    assert "\u202e" not in found.title


def test_only_the_first_hundred_errors_are_listed() -> None:
    found = decode(b"x\n" * 150, NOW)
    assert (found.rejected, len(found.errors)) == (150, 100)


def test_the_log_is_in_order_of_time_whatever_order_it_is_told_in() -> None:
    log = ChangeLog()
    log.add([change(NOW - 10), change(NOW - 30), change(NOW - 20), change(NOW - 30)])

    assert [one.at for one in log.between(NOW - 30, NOW - 20)] == [NOW - 30, NOW - 20]
    assert len(log) == 3


def test_the_log_keeps_the_latest_and_counts_what_it_lets_go() -> None:
    log = ChangeLog(most=2)
    log.add([change(NOW - 30), change(NOW - 10), change(NOW - 20)])
    assert [one.at for one in log.between(0, NOW)] == [NOW - 20, NOW - 10]
    assert log.dropped == 1
    log.expire(NOW - 15 + SPAN_SECONDS)
    assert [one.at for one in log.between(0, NOW)] == [NOW - 10]
    log.add([change(NOW - 20)])  # what was let go may come again
    assert len(log) == 2
