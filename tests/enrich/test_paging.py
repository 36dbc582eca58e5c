"""Pages of lists that change under the reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.enrich.paging import page
from bot.errors import BadRequest


def test_an_item_that_comes_or_goes_between_pages_repeats_and_skips_nothing_else() -> None:
    first, cursor = page(["b", "d", "f", "h"], 2, "", ordered=True)
    assert (first, cursor is not None) == (["b", "d"], True)
    assert page(["a", "b", "c", "d", "e", "f", "h"], 9, cursor or "", ordered=True) == (["e", "f", "h"], None)
    assert page(["b", "f", "h"], 9, cursor or "", ordered=True) == (["f", "h"], None)


def test_a_ranked_list_goes_on_after_the_last_item_wherever_it_stands_now() -> None:
    _, cursor = page(["x", "c", "m", "a"], 2, "", ordered=False)
    assert page(["m", "x", "c", "a"], 9, cursor or "", ordered=False)[0] == ["a"]
    assert page(["x", "m", "a"], 9, cursor or "", ordered=False)[0] == ["m", "a"]


@given(st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=30), st.integers(1, 7))
def test_pages_of_a_list_that_stays_are_the_list(items: list[str], limit: int) -> None:
    for ordered in (True, False):
        whole, cursor = sorted(items) if ordered else items, ""
        seen: list[str] = []
        while True:
            found, following = page(whole, limit, cursor, ordered=ordered)
            seen += found
            if following is None:
                break
            cursor = following
        assert seen == whole


@pytest.mark.parametrize("cursor", ["x", "!!", "Wy0xXQ", "e30", "W10", "é", "A" * 5_000])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        page(["a"], 1, cursor, ordered=True)
