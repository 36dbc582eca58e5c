"""Slack's text languages as a person sees them, and hostile text that must stay text."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.web.mrkdwn_html import EMOJI, markdown, mrkdwn, plain
from tests.web.markup import read

HOSTILE = [
    "<script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<img src=x onerror=alert(1)>",
    "*<svg/onload=alert(1)>*",
    '"><b onclick="x">',
    "`<iframe src=//evil>`",
    "```</pre><script>alert(1)</script>```",
    "<javascript:alert(1)|click me>",
    "<JaVaScRiPt:alert(1)>",
    "<java\x00script:alert(1)|x>",
    "<data:text/html,<script>alert(1)</script>|x>",
    "<vbscript:msgbox|x>",
    '<https://ok.example/" onmouseover="alert(1)|x>',
    "<https://ok.example|<script>alert(1)</script>>",
    "<!date^1^{time}^javascript:alert(1)|x>",
    "<@U1|<script>>",
    "<!subteam^S1|<img src=x onerror=alert(1)>>",
    "[x](javascript:alert(1))",
    '[x](https://ok.example/"onclick="alert(1))',
    "{{ 7 * 7 }} {% raw %}",
]
ALLOWED = frozenset(("a", "strong", "em", "s", "code", "pre", "blockquote", "br", "span", "time"))


def test_bold_italic_strike_and_code_are_drawn() -> None:
    assert mrkdwn("*b* _i_ ~s~ `c`") == "<strong>b</strong> <em>i</em> <s>s</s> <code>c</code>"


def test_styles_nest() -> None:
    assert mrkdwn("*_both_ and `code`*") == "<strong><em>both</em> and <code>code</code></strong>"


@pytest.mark.parametrize(
    "text",
    ["snake_case_name", "2*3*4", "a * b * c", "* not bold *", "__init__", "~ 5 ms ~", "5*", "**", "_", "<>", "``"],
)
def test_delimiters_inside_words_or_around_spaces_are_text(text: str) -> None:
    shown = read(mrkdwn(text))

    assert shown.tags == []
    assert shown.text == text


def test_a_delimiter_does_not_reach_over_the_end_of_a_line() -> None:
    assert mrkdwn("*a\nb*") == "*a<br>b*"


def test_code_shows_its_content_as_it_is() -> None:
    assert mrkdwn("`*a* _b_ :x: &lt;c&gt;`") == "<code>*a* _b_ :x: &lt;c&gt;</code>"


def test_a_fenced_block_keeps_lines_and_its_first_word() -> None:
    assert mrkdwn("tree:\n```web\n  → pay```\nend") == "tree:<pre>web\n  → pay</pre>end"


def test_an_unclosed_fence_is_text() -> None:
    assert "```" in read(mrkdwn("```half")).text


def test_a_link_has_its_label_and_opens_elsewhere() -> None:
    shown = read(mrkdwn("see <https://pd.example/i?a=1&amp;b=2|PagerDuty *#1234*>"))

    assert shown.text == "see PagerDuty #1234"
    assert shown.named("a") == [
        {"href": "https://pd.example/i?a=1&b=2", "target": "_blank", "rel": "noopener noreferrer"}
    ]


def test_a_bare_link_shows_its_address_and_a_mail_address_its_name() -> None:
    shown = read(mrkdwn("<https://a.example/x_y_z> <mailto:on@call.example>"))

    assert shown.text == "https://a.example/x_y_z on@call.example"
    assert shown.links() == ["https://a.example/x_y_z", "mailto:on@call.example"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<@U123>", "@U123"),
        ("<@U123|dana>", "@dana"),
        ("<#C1|team-data>", "#team-data"),
        ("<#C1>", "#C1"),
        ("<!subteam^S1|@pay-oncall>", "@pay-oncall"),
        ("<!subteam^S1|pay-oncall>", "@pay-oncall"),
        ("<!subteam^S1>", "@S1"),
    ],
)
def test_mentions_show_the_name_they_carry_and_else_the_id(text: str, shown: str) -> None:
    document = read(mrkdwn(text))

    assert document.text == shown
    assert document.tags == [("span", {"class": "mention"})]


@pytest.mark.parametrize("word", ["here", "channel", "everyone"])
def test_mentions_that_wake_everybody_are_set_off(word: str) -> None:
    assert mrkdwn(f"<!{word}>") == f'<span class="mention broadcast">@{word}</span>'


def test_an_escaped_mention_is_text_as_in_slack() -> None:
    shown = read(mrkdwn("&lt;!channel&gt; &lt;@U1&gt; &amp;lt;"))

    assert shown.tags == []
    assert shown.text == "<!channel> <@U1> &lt;"


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("{date_num} {time_secs}", "2014-02-18 06:39:42"),
        ("Posted {date_long_pretty}", "Posted Tuesday, February 18, 2014"),
        ("{date_short} at {time}", "Feb 18, 2014 at 06:39"),
        ("{date}", "February 18, 2014"),
        ("{date_slash}", "18/02/2014"),
    ],
)
def test_a_date_is_written_out_in_utc(pattern: str, shown: str) -> None:
    document = read(mrkdwn(f"<!date^1392705582^{pattern}|fallback>"))

    assert document.text == shown
    assert document.named("time") == [{"datetime": "2014-02-18T06:39:42+00:00", "title": "2014-02-18 06:39:42 UTC"}]


@pytest.mark.parametrize("token", ["date^soon^{time}", "date^9e99^{time}", f"date^{10**30}^{{time}}", "date^1^{ago}"])
def test_a_date_that_cannot_be_written_out_shows_its_fallback(token: str) -> None:
    assert mrkdwn(f"<!{token}|3 min ago>") == "3 min ago"


def test_a_date_may_be_a_link() -> None:
    shown = read(mrkdwn("<!date^1392705582^{time}^https://a.example/|x>"))

    assert shown.links() == ["https://a.example/"]
    assert shown.text == "06:39"


def test_emoji_in_use_are_drawn_and_named() -> None:
    assert mrkdwn(":red_circle:") == '<span role="img" aria-label="red circle" title=":red_circle:">🔴</span>'


def test_other_shortcodes_and_times_stay_text() -> None:
    assert mrkdwn("at 02:51:30 :partyparrot:") == "at 02:51:30 :partyparrot:"


@pytest.mark.parametrize("name", sorted(EMOJI))
def test_every_emoji_of_the_table_works_in_every_kind_of_text(name: str) -> None:
    for language in (mrkdwn, markdown, plain):
        assert read(language(f"a :{name}: b")).text == f"a {EMOJI[name]} b"


def test_quoted_lines_become_one_quotation_raw_or_escaped() -> None:
    assert mrkdwn("before\n> one\n&gt; *two*\nafter") == (
        "before<blockquote>one<br><strong>two</strong></blockquote>after"
    )


def test_line_breaks_are_kept() -> None:
    assert mrkdwn("a\r\nb\n\nc") == "a<br>b<br><br>c"


def test_plain_text_knows_only_emoji_and_entities() -> None:
    assert read(plain("*a* <https://x.example|y> &amp; :x:")).text == "*a* <https://x.example|y> & ❌"


def test_markdown_draws_its_own_syntax_and_not_slacks() -> None:
    shown = read(markdown("# Top\n- **bold** *it* ~~gone~~ [map](https://m.example/x)\n> quote\n```py\nx = 1\n```"))

    assert [tag for tag, _ in shown.tags] == ["strong", "br", "strong", "em", "s", "a", "blockquote", "pre"]
    assert shown.text == "Top• bold it gone mapquotex = 1"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("language", [mrkdwn, markdown, plain])
def test_hostile_text_comes_out_inert(language: object, text: str) -> None:
    assert callable(language)
    shown = read(language(text))

    assert {tag for tag, _ in shown.tags} <= ALLOWED
    assert not [name for _, attributes in shown.tags for name in attributes if name.startswith("on") or name == "style"]
    assert all(re.match(r"(https?://|mailto:)", link) for link in shown.links())


def test_a_link_that_would_run_code_stays_visible() -> None:
    assert read(mrkdwn("<javascript:alert(1)|click me>")).text == "<javascript:alert(1)|click me>"


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f", "\u061c", "\x1b", "\x00", "\ud800"])
def test_marks_that_reorder_or_break_text_are_gone(mark: str) -> None:
    for language in (mrkdwn, markdown, plain):
        assert language(f"in{mark}voice{mark}.exe") == "invoice.exe"


@example("<|>")
@example("<|pay>")
@given(st.text(alphabet=st.sampled_from("*_~`<>|&;#@!^{}[]()\n :/-ahtps\u202e\"'é🔴"), max_size=80))
def test_whatever_the_text_the_markup_is_whole_and_nothing_is_a_foreign_tag(text: str) -> None:
    for language in (mrkdwn, markdown, plain):
        shown = read(language(text))
        assert {tag for tag, _ in shown.tags} <= ALLOWED
        assert all(link.startswith(("http", "mailto:")) for link in shown.links())


@given(st.text(max_size=200))
def test_any_text_can_be_sent_as_utf_8(text: str) -> None:
    mrkdwn(text).encode()
    markdown(text).encode()
    plain(text).encode()


@pytest.mark.parametrize(
    "unit", ["*a ", "_a ", "~a ", "`", "<", "```", ":x", "<!date^", "[a](", "**a ", "> ", "*_~", " *a_"]
)
def test_a_long_run_of_delimiters_takes_no_time_to_speak_of(unit: str) -> None:
    text = (unit * 40_000)[:40_000]
    started = time.perf_counter()

    mrkdwn(text)
    markdown(text)

    assert time.perf_counter() - started < 2.0
