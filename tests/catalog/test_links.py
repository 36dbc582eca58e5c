"""Links out, filled in for a service at a time."""

from __future__ import annotations

import pytest

from bot.catalog.entries import Link
from bot.catalog.links import LinkTemplate, links_at, parse

AT = 1_700_000_000.0


def url(template: str, service: str = "pay.shop@prod") -> str | None:
    found = links_at([parse(f"logs={template}")], service, AT)
    return found[0].url if found else None


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("https://l.example/?q={service}&ns={namespace}&env={environment}", "https://l.example/?q=pay&ns=shop&env=prod"),
        ("https://l.example/?from={from}&to={to}", "https://l.example/?from=1699998200000&to=1700000600000"),
        ("https://l.example/{from_s}/{to_s}", "https://l.example/1699998200/1700000600"),
        ("https://l.example/?a={from_iso}&b={to_iso}", "https://l.example/?a=2023-11-14T21%3A43%3A20Z&b=2023-11-14T22%3A23%3A20Z"),
        ("https://l.example/%7B{service}%7D?a=1,2", "https://l.example/%7Bpay%7D?a=1,2"),
        ("https://l.example/", "https://l.example/"),
    ],
)  # fmt: skip
def test_every_place_is_filled_in(template: str, filled: str) -> None:
    assert url(template) == filled


def test_values_are_quoted() -> None:
    assert url("https://l.example/?q={service}", 'a b/"&?x') == "https://l.example/?q=a%20b%2F%22%26%3Fx"


def test_a_link_that_wants_what_the_service_does_not_have_is_left_out() -> None:
    assert url("https://l.example/{namespace}", "pay") is None
    assert url("https://l.example/{service}", "pay") == "https://l.example/pay"


def test_until_may_be_said_too() -> None:
    assert links_at([parse("a=https://l.example/{to_s}")], "pay", AT, AT + 5) == (
        Link("a", "https://l.example/1700000005"),
    )


def test_a_template_is_read_with_blanks_around_it() -> None:
    assert parse(" my logs = https://l.example/?a=b ") == LinkTemplate("my logs", "https://l.example/?a=b")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://l.example", "want name=address"),
        ("=https://l.example", "want name=address"),
        ("logs=https://l.example/{pod}", r"logs: there is no \{pod\}; there are \{service\}"),
        ("logs=https://l.example/{}", r"there is no \{\}"),
        ("logs=https://l.example/{service", "a brace stands alone; write it as %7B or %7D"),
        ("logs=https://l.example/}", "a brace stands alone"),
        ("logs=l.example", r"want an http\(s\) address"),
        ("logs=javascript:alert(1)", r"want an http\(s\) address"),
        ("logs=https://l.example/a b", r"want an http\(s\) address without blanks"),
    ],
)
def test_a_bad_template_is_refused_with_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)
