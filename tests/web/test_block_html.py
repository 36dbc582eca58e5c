"""Block Kit as a person sees it: each block and element in use, unknown and hostile ones, and the page around them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web import block_html
from bot.web.block_html import PreviewMessage, message_html, page
from tests.web.markup import Document, read

STATIC = Path(block_html.__file__).parent / "static"
Block = Mapping[str, object]


def mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text}


def plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": True}


def button(label: str, **more: object) -> Block:
    return {"type": "button", "text": plain(label), "action_id": label, **more}


def actions(*elements: Block) -> Block:
    return {"type": "actions", "elements": list(elements)}


def rich(*parts: Block) -> Block:
    return {"type": "rich_text", "elements": list(parts)}


def section(*elements: Block) -> Block:
    return {"type": "rich_text_section", "elements": list(elements)}


def drawn(*blocks: Block, text: str = "fallback") -> Document:
    return read(message_html(PreviewMessage("#incidents", "1795402260.000100", text, blocks)))


def message(text: str, ts: str = "1795402260.000100", channel: str = "#incidents") -> PreviewMessage:
    return PreviewMessage(channel, ts, text)


def shown(*messages: PreviewMessage, note: str = "") -> Document:
    return read(page(messages, bot_name="topology-bot", note=note))


INCIDENT = PreviewMessage(
    channel="#incidents",
    ts="1795402260.000100",
    text="payments is failing, likely cause payments-db",
    blocks=[
        {"type": "section", "text": mrkdwn(":red_circle: *payments* is failing · likely cause: *payments-db* (82%)")},
        {"type": "context", "elements": [mrkdwn("5xx 14% · <https://pd.example/1|PagerDuty #1234> · prod")]},
        actions(button("Acknowledge", style="primary"), button("Runbook ↗", url="https://run.example/p")),
    ],
    edited=True,
    replies=[
        message("*checkout* now fails, as predicted", "1795402380.000100"),
        message(":white_check_mark: Resolved", "1795403460.000100"),
    ],
)


# Blocks


def test_a_message_without_blocks_shows_its_text() -> None:
    assert drawn(text="*payments* is failing").text == "payments is failing"


def test_a_header_is_a_heading_in_plain_text() -> None:
    document = drawn({"type": "header", "text": plain("Daily *digest* :memo:")})

    assert document.classed("header") == ["h4"]
    assert document.text == "Daily *digest* 📝"


def test_a_section_shows_text_fields_and_what_stands_beside() -> None:
    document = drawn(
        {
            "type": "section",
            "text": mrkdwn("*3* changes"),
            "fields": [mrkdwn("*New*\nfraud"), plain("*Gone*")],
            "accessory": button("Expected"),
        }
    )

    assert document.text == "3 changesNewfraud*Gone*Expected"
    assert len(document.classed("accessory")) == 1


def test_a_section_of_fields_alone_has_no_empty_text() -> None:
    assert drawn({"type": "section", "fields": [mrkdwn("a")]}).classed("text") == []


def test_context_holds_texts_and_pictures_in_order() -> None:
    document = drawn(
        {
            "type": "context",
            "elements": [
                {"type": "image", "image_url": "/pictures/1.png", "alt_text": "ok"},
                mrkdwn("_fresh_"),
                plain("x"),
            ],
        }
    )

    assert document.named("img") == [{"src": "/pictures/1.png", "alt": "ok", "loading": "lazy"}]
    assert document.text == "freshx"


def test_buttons_have_their_colour_and_do_not_click() -> None:
    document = drawn(actions(button("Yes", style="primary"), button("No", style="danger"), button("Map", style="odd")))

    assert [found["class"] for found in document.named("button")] == ["button primary", "button danger", "button"]
    assert all("disabled" in found for found in document.named("button"))


def test_a_button_with_an_address_is_a_link() -> None:
    document = drawn(actions(button("Runbook ↗", url="https://run.example/?a=1&b=2", accessibility_label="Open it")))

    (link,) = document.named("a")
    assert link["href"] == "https://run.example/?a=1&b=2"
    assert link["aria-label"] == "Open it"
    assert link["rel"] == "noopener noreferrer"


def test_a_button_with_an_address_that_runs_code_stays_a_button() -> None:
    document = drawn(actions(button("Runbook", url="javascript:alert(1)")))

    assert document.links() == []
    assert len(document.named("button")) == 1


def test_a_menu_lets_its_choices_be_read_but_not_chosen() -> None:
    options = [{"text": plain("1 hour"), "value": "1h"}, {"text": plain("Until resolved"), "value": "r"}]
    document = drawn(actions({"type": "static_select", "placeholder": plain("Silence"), "options": options}))

    assert document.named("select") == [{"aria-label": "Silence"}]
    assert [("disabled" in found) for found in document.named("option")] == [False, True, True]
    assert document.text == "Silence1 hourUntil resolved"


def test_a_menu_of_groups_shows_its_initial_choice_first() -> None:
    one = {"text": plain("1 hour"), "value": "1h"}
    menu = {
        "type": "static_select",
        "option_groups": [{"label": plain("Short"), "options": [one]}],
        "initial_option": one,
    }

    assert drawn(actions(menu)).text == "1 hour1 hour"


def test_an_overflow_menu_opens_without_a_script() -> None:
    options = [
        {"text": plain("Alias…"), "value": "a"},
        {"text": plain("Map"), "value": "m", "url": "https://m.example"},
    ]
    document = drawn(actions({"type": "overflow", "options": options}))

    assert document.named("summary") == [{"class": "button", "aria-label": "More actions"}]
    assert document.links() == ["https://m.example"]
    assert document.text == "⋯Alias…Map"


def test_a_divider_is_a_rule() -> None:
    assert drawn({"type": "divider"}).tags == [("hr", {"class": "block"})]


def test_a_picture_of_this_host_is_shown_with_its_title() -> None:
    document = drawn({"type": "image", "image_url": "/map.svg", "alt_text": "focus map", "title": plain("Map")})

    assert document.named("img") == [{"src": "/map.svg", "alt": "focus map", "loading": "lazy"}]
    assert document.text == "Map"


@pytest.mark.parametrize(
    "url", ["https://cdn.example/a.png", "//cdn.example/a.png", "/\\cdn.example/a.png", "data:image/png,x"]
)
def test_a_picture_from_elsewhere_is_never_loaded(url: str) -> None:
    document = drawn({"type": "image", "image_url": url, "alt_text": "focus map"})

    assert document.named("img") == []
    assert "focus map" in document.text


def test_a_markdown_block_is_read_as_markdown() -> None:
    assert drawn({"type": "markdown", "text": "## Top\n**bold**"}).text == "Topbold"


@pytest.mark.parametrize("kind", ["carousel", "data_table", "", "<script>"])
def test_a_block_of_an_unknown_type_is_seen(kind: str) -> None:
    document = drawn({"type": kind, "elements": []})

    assert document.text == f"{kind or 'untyped'} block"
    assert document.classed("unknown") == ["span"]


def test_an_element_of_an_unknown_type_is_seen() -> None:
    assert "datepicker element" in drawn(actions({"type": "datepicker"})).text
    assert "video element" in drawn({"type": "context", "elements": [{"type": "video"}]}).text


@pytest.mark.parametrize("value", [None, 1, "text", [], [None, 1], {"type": "mrkdwn"}, {"type": "mrkdwn", "text": 5}])
@pytest.mark.parametrize("kind", sorted(block_html._BLOCKS))
def test_a_malformed_block_is_drawn_without_what_is_wrong(kind: str, value: object) -> None:
    drawn({"type": kind, **dict.fromkeys(("text", "fields", "accessory", "elements", "title", "image_url"), value)})


# Rich text


def test_rich_text_is_styled_and_links_and_lists_are_drawn() -> None:
    document = drawn(
        rich(
            section({"type": "text", "text": "Look\nhere", "style": {"bold": True, "italic": True}}),
            {
                "type": "rich_text_list",
                "style": "ordered",
                "indent": 2,
                "elements": [section({"type": "link", "url": "https://m.example", "text": "map"})],
            },
            {"type": "rich_text_list", "style": "bullet", "elements": [section({"type": "text", "text": "dot"})]},
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "a  b"}]},
            {"type": "rich_text_quote", "elements": [{"type": "text", "text": "said", "style": {"code": True}}]},
        )
    )

    names = [name for name, _ in document.tags if name not in ("div", "span")]
    assert names == ["em", "strong", "br", "ol", "li", "a", "ul", "li", "pre", "blockquote", "code"]
    assert document.named("ol") == [{"class": "indent-2"}]
    assert document.text == "Lookheremapdota  bsaid"


def test_rich_text_names_people_groups_channels_and_times() -> None:
    document = drawn(
        rich(
            section(
                {"type": "user", "user_id": "U1"},
                {"type": "usergroup", "usergroup_id": "S1"},
                {"type": "channel", "channel_id": "C1"},
                {"type": "broadcast", "range": "here"},
                {"type": "emoji", "name": "fire"},
                {"type": "date", "timestamp": 1392705582, "format": "{time}", "fallback": "then"},
                {"type": "date", "timestamp": "x", "format": "{time}", "fallback": "then"},
            )
        )
    )

    assert document.text == "@U1@S1#C1@here🔥06:39then"


def test_rich_text_of_an_unknown_kind_is_seen() -> None:
    document = drawn(rich(section({"type": "hologram"}), {"type": "rich_text_song", "elements": []}))

    assert document.text == "hologram elementrich_text_song element"


def test_rich_text_means_what_it_says_and_hostile_parts_stay_text() -> None:
    document = drawn(
        rich(
            section(
                {"type": "text", "text": "<b> &amp; *x* \u202e"},
                {"type": "link", "url": "javascript:alert(1)", "text": "click"},
                {"type": "user", "user_id": "<script>"},
            )
        )
    )

    assert document.text == "<b> &amp; *x* <javascript:alert(1)|click>@<script>"
    assert document.links() == []


# Anything at all

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "elements", "url", "style", "options", "fields"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
block_types = st.sampled_from([*block_html._BLOCKS, *block_html._ELEMENTS, "rich_text_section", "text", "mystery"])


@given(st.lists(st.fixed_dictionaries({"type": block_types, "text": json_values, "elements": json_values}), max_size=3))
def test_no_blocks_whatsoever_break_the_drawing(blocks: Sequence[Block]) -> None:
    drawn(*blocks).text.encode()


# The page


def test_the_page_shows_the_message_as_its_channel_would() -> None:
    document = shown(INCIDENT)

    assert "payments is failing · likely cause: payments-db (82%)" in document.text
    assert "APP" in document.text
    assert "(edited)" in document.text
    assert "Monday, 23 November 2026 · UTC" in document.text
    assert document.named("time")[0] == {
        "class": "time",
        "datetime": "2026-11-23T02:51:00.000+00:00",
        "title": "2026-11-23 02:51:00+00:00",
    }


def test_a_thread_is_counted_and_drawn_under_its_root() -> None:
    html = page([INCIDENT], bot_name="topology-bot", note="")

    assert "<summary>2 replies</summary>" in html
    assert html.index("likely cause:") < html.index("2 replies") < html.index("as predicted") < html.index("Resolved")


def test_one_reply_is_one_reply() -> None:
    html = page([replace(INCIDENT, replies=INCIDENT.replies[:1])], bot_name="topology-bot", note="")

    assert "<summary>1 reply</summary>" in html


def test_messages_are_grouped_by_channel_and_each_channel_can_be_jumped_to() -> None:
    document = shown(message("one", channel="#a"), message("two", channel="C2"), message("three", channel="#a"))

    assert [found["id"] for found in document.named("section")] == ["channel-1", "channel-2"]
    assert re.search(r"one.*three.*two", document.text, re.DOTALL)
    targets = {attributes["id"] for _, attributes in document.tags if "id" in attributes}
    assert {link[1:] for link in document.links() if link.startswith("#")} <= targets


def test_the_latest_message_can_be_jumped_to_in_whatever_channel_it_is() -> None:
    html = page([message("new", "1795409999.1", "#b"), message("old", "1795400000.1", "#a")], bot_name="b", note="")

    assert html.count('id="latest"') == 1
    assert html.index('id="latest"') < html.index("new") < html.index("old")


def test_the_lock_screen_text_is_there_to_be_opened() -> None:
    html = page([INCIDENT], bot_name="topology-bot", note="")

    assert "<summary>Lock-screen text</summary>" in html
    assert "payments is failing, likely cause payments-db" in html


def test_a_waiting_message_says_so() -> None:
    assert "Waiting to be sent" in shown(replace(INCIDENT, state="waiting")).text
    assert "Waiting to be sent" not in shown(INCIDENT).text


@pytest.mark.parametrize(
    ("state", "said"),
    [("failed: channel_not_found", "Not delivered channel_not_found"), ("failed", "Not delivered Slack refused it")],
)
def test_a_failed_message_says_why(state: str, said: str) -> None:
    document = shown(replace(INCIDENT, state=state))

    assert said in document.text
    assert "Waiting" not in document.text


@pytest.mark.parametrize("ts", ["", "soon", "nan", "inf", "9e99"])
def test_a_message_without_a_usable_time_is_shown_without_one(ts: str) -> None:
    document = shown(message("hello", ts))

    assert "hello" in document.text
    assert document.named("time") == []


def test_an_empty_page_says_how_to_get_a_first_message() -> None:
    document = shown(note="Send one:\n```curl -d @alert.json http://127.0.0.1:8080/webhooks/alertmanager```")

    assert "No messages yet" in document.text
    assert "curl -d @alert.json http://127.0.0.1:8080/webhooks/alertmanager" in document.text


def test_the_note_is_not_shown_beside_messages() -> None:
    assert "Send one" not in shown(INCIDENT, note="Send one").text


def test_the_same_messages_give_the_same_bytes() -> None:
    first, second = (page([INCIDENT], bot_name="topology-bot", note="x") for _ in range(2))

    assert first == second


def test_the_page_works_under_a_policy_that_allows_its_own_host_only() -> None:
    hostile = replace(INCIDENT, channel='#x"><script>', state="failed: <img src=x onerror=alert(1)>", ts='1"><b>')
    document = read(page([INCIDENT, hostile], bot_name="<i>bot</i>", note=""))

    assert document.named("script") == [{"src": "/static/preview.js", "defer": ""}]
    assert [found["href"] for found in document.named("link")] == ["/static/preview.css"]
    assert document.named("style") == document.named("b") == document.named("i") == document.named("img") == []
    attributes = {name for _, found in document.tags for name in found}
    assert not {name for name in attributes if name == "style" or name.startswith("on")}
    assert all(link == "/" or link.startswith(("/static/", "#", "https://")) for link in document.links())


def test_the_page_has_its_landmarks_a_way_past_them_and_headings_in_order() -> None:
    document = shown(INCIDENT)

    names = [name for name, _ in document.tags]
    assert names.count("main") == names.count("nav") == names.count("header") == names.count("h1") == 1
    assert document.named("a")[0] == {"class": "skip", "href": "#messages"}
    assert document.named("html") == [{"lang": "en"}]
    levels = [int(name[1]) for name in names if re.fullmatch(r"h[1-6]", name)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


# What the page loads


@pytest.mark.parametrize("name", ["preview.css", "preview.js"])
def test_what_the_page_loads_loads_nothing_else(name: str) -> None:
    text = (STATIC / name).read_text(encoding="utf-8")

    assert not re.search(r"https?:|@import|url\(|eval\(|innerHTML\s*=[^=]", text)


def test_every_class_on_the_page_that_carries_meaning_is_dressed() -> None:
    css = (STATIC / "preview.css").read_text(encoding="utf-8")
    waiting, failed = replace(INCIDENT, state="waiting"), replace(INCIDENT, state="failed: x")
    html = page([INCIDENT, waiting, failed], bot_name="b", note="") + page([], bot_name="b", note="")
    used = {word for found in re.findall(r'class="([^"]+)"', html) for word in found.split()}

    unstyled = {word for word in used if f".{word}" not in css}
    assert unstyled == {"channel-name", "item"}


def test_dark_mode_replaces_every_colour_it_must() -> None:
    css = (STATIC / "preview.css").read_text(encoding="utf-8")
    light, dark = (
        set(re.findall(r"(--[\w-]+):", part)) for part in css.split("@media (prefers-color-scheme: dark)")[:2]
    )

    assert light - dark == {"--primary", "--danger"}
