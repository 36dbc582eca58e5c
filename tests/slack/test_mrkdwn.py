"""Text on its way to Slack."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.mrkdwn import ELLIPSIS, code, date, escape, link, truncate

TOKEN = re.compile(r"<https://[^<>|]+\|[^<>]*>|&(?:amp|lt|gt);")


def unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


@pytest.mark.parametrize(
    "attack", ["<!channel>", "<!here|hello>", "<@U123>", "<!subteam^S1>", "<https://evil.test|bank>"]
)
def test_an_alert_title_can_neither_mention_nor_link(attack: str) -> None:
    assert "<" not in escape(f"disk full {attack}")
    assert ">" not in escape(f"disk full {attack}")


def test_exactly_three_characters_are_escaped() -> None:
    assert escape("a & b < c > d \"'*_~`") == "a &amp; b &lt; c &gt; d \"'*_~`"


def test_text_that_was_escaped_by_its_sender_is_shown_as_the_sender_wrote_it() -> None:
    assert escape("&lt;b&gt;") == "&amp;lt;b&amp;gt;"


def test_marks_that_reorder_or_hide_text_are_removed() -> None:
    assert escape("pay\u202ements\u2066!\x00\x1b[31m\x7f\ud800\ufeff") == "payments![31m"


def test_line_breaks_stay_and_become_plain_ones() -> None:
    assert escape("one\r\ntwo\u2028three\tfour") == "one\ntwo\nthree\tfour"


def test_emoji_made_of_joined_parts_stay_whole() -> None:
    assert escape("👩\u200d💻") == "👩\u200d💻"


def test_a_short_text_is_left_alone() -> None:
    assert truncate("payments", 8) == "payments"


def test_a_long_text_ends_with_an_ellipsis_at_the_limit() -> None:
    assert truncate("payments-db", 8) == "payment…"


def test_the_smallest_limit_leaves_the_ellipsis() -> None:
    assert truncate("payments", 1) == ELLIPSIS


@pytest.mark.parametrize("limit", range(3, 9))
def test_an_entity_is_never_cut_in_two(limit: int) -> None:
    assert truncate("ab&amp;cdefgh", limit) in ("ab…", "ab&amp;…", "ab&amp;c…")


def test_a_link_is_kept_whole_or_left_out() -> None:
    text = f"see {link('https://example.test/a?x=1&y=2', 'the runbook')} now or never"

    for limit in range(1, len(text)):
        cut = truncate(text, limit)
        assert len(cut) <= limit
        assert cut.count("<") == cut.count(">")


def test_a_bare_angle_bracket_in_unescaped_text_does_not_swallow_what_comes_before_the_cut() -> None:
    assert truncate("p95 < 300 ms, and then some", 12) == "p95 < 300 m…"


def test_a_code_fence_that_is_cut_is_closed() -> None:
    cut = truncate("log:\n```line one\nline two\nline three```", 24)

    assert len(cut) <= 24
    assert cut.count("```") == 2
    assert cut.endswith("```…")


@given(st.text(alphabet="ab&<>|`; \n…", max_size=80), st.integers(1, 90))
def test_however_a_text_is_cut_it_keeps_its_limit_and_its_tokens(text: str, limit: int) -> None:
    escaped = escape(text)
    cut = truncate(escaped, limit)

    assert len(cut) <= limit
    if cut == escaped:
        return
    assert cut.endswith(ELLIPSIS)
    assert cut.count("```") % 2 == 0
    assert "&" not in TOKEN.sub("", cut)
    if "`" not in text:
        assert text.startswith(unescape(cut[:-1]))


@given(st.text(max_size=60))
def test_code_is_one_span_on_one_line_whatever_is_put_in(text: str) -> None:
    span = code(text)

    assert span == "" or (span[0] == span[-1] == "`" and span.count("`") == 2 and "\n" not in span)


def test_code_keeps_its_words() -> None:
    assert code("SELECT `id`\nFROM <t>") == "`SELECT 'id' FROM &lt;t&gt;`"


def test_a_link_shows_its_label() -> None:
    assert link("https://grafana.test/d/1?a=1&b=2", "Dashboard <1>") == (
        "<https://grafana.test/d/1?a=1&amp;b=2|Dashboard &lt;1&gt;>"
    )


def test_a_link_without_a_label_shows_its_address() -> None:
    assert link("http://a.test/", "") == "<http://a.test/|http://a.test/>"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "",
        "runbook",
        "https://",
        "slack://open",
        "https://[",
        "https://a\nb",
        "!channel",
    ],
)
def test_what_is_not_a_web_page_is_not_linked(url: str) -> None:
    assert link(url, "Run<book>") == "Run&lt;book&gt;"


def test_a_target_longer_than_slack_takes_is_not_linked() -> None:
    assert link("https://a.test/" + "x" * 3_000, "Runbook") == "Runbook"


@given(st.text(alphabet='<>|&!@# "`x', max_size=30), st.text(max_size=30))
def test_no_address_and_no_label_can_break_out_of_a_link(path: str, label: str) -> None:
    made = link(f"https://a.test/{path}", label)

    assert made.count("<") == made.count(">") == 1
    assert made.startswith("<https://a.test/")
    assert made.endswith(">")
    assert "\n" not in made


def test_a_date_is_shown_in_the_readers_time_zone_with_utc_for_the_rest() -> None:
    assert date(1_700_000_000.9) == "<!date^1700000000^{date_short_pretty} {time}|2023-11-14 22:13 UTC>"


def test_a_date_takes_its_shape_and_its_fallback() -> None:
    assert date(1_700_000_000, "22:13 <Tuesday>", "{time}") == "<!date^1700000000^{time}|22:13 &lt;Tuesday&gt;>"
