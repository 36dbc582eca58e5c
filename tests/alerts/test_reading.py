"""The pieces all alert doors read with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.alerts.reading import MAX_TEXT, first, identity, json_object, moment, text, texts, web_address
from bot.errors import BadRequest

ANY_TEXT = st.text(st.characters())


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("2026-10-31T02:51:00Z", 1_793_415_060.0),
        ("2026-10-31T02:51:00.1Z", 1_793_415_060.1),
        ("2026-10-31T02:51:00.123456789Z", 1_793_415_060.123456),
        ("2026-10-31T02:51:00.123456789+00:00", 1_793_415_060.123456),
        ("2026-10-30T21:51:00-05:00", 1_793_415_060.0),
        ("2026-10-31T02:51:00", 1_793_415_060.0),
        ("1970-01-01T00:00:00Z", 0.0),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00.000Z", None),
        ("", None),
        (None, None),
    ],
)
def test_times_as_go_ruby_and_people_write_them(stamp: str | None, at: float | None) -> None:
    assert moment(stamp, "startsAt") == at


@pytest.mark.parametrize(
    "stamp",
    ["now", "2026-13-01T00:00:00Z", "2026-10-31T02:51:00+99:00", "0001-01-01T00:00:01Z", "2243-01-01T00:00:00Z", 0, 1.5, True,
     [], {}, "2026-10-31T02:51:00Z" * 1_000, "٢٠٢٦-10-31T02:51:00Z"],
)  # fmt: skip
def test_what_is_no_time_is_refused_by_the_fields_name(stamp: object) -> None:
    with pytest.raises(BadRequest, match="startsAt"):
        moment(stamp, "startsAt")


def test_json_may_begin_with_a_byte_order_mark() -> None:
    assert json_object(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("value", [None, [], {}, ["a"], {"a": "b"}])
def test_what_is_no_text_reads_as_none(value: object) -> None:
    assert text(value) == ""


def test_the_first_field_that_says_something_is_taken() -> None:
    assert first({"a": "", "b": "B", "c": "C"}, "a", "b", "c") == "B"
    assert first({"a": ""}, "a", "z") == ""


@given(ANY_TEXT.map(lambda start: start * 300), ANY_TEXT.map(lambda start: start * 300))
def test_an_identity_is_bounded_and_differs_where_the_texts_do(one: str, other: str) -> None:
    assert len(identity(one, 100)) <= 100
    assert (identity(one, 100) == identity(other, 100)) == (identity(one, 10**6) == identity(other, 10**6))


@given(st.dictionaries(ANY_TEXT, st.one_of(ANY_TEXT, st.integers(), st.none(), st.lists(ANY_TEXT))))
def test_labels_are_texts_that_can_be_stored_anywhere(given_labels: dict[str, object]) -> None:
    for name, value in texts(given_labels).items():
        pair = name + value
        assert pair.encode().decode() == pair
        assert "\x00" not in pair


def test_an_address_at_the_limit_is_dropped_because_it_may_have_been_cut() -> None:
    fits = "https://runbooks.example/".ljust(MAX_TEXT - 1, "x")

    assert web_address(fits) == fits
    assert web_address(fits + "x") == ""
