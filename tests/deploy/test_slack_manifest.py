"""The Slack app: its shape (https://docs.slack.dev/reference/app-manifest), its scopes, and why each is asked for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.files import load, texts
from tests.kit.bots import REPOSITORY

TEXT = texts()["deploy/slack-manifest.yaml"]

METHODS: dict[str, set[str]] = {
    "apps_connections_open": set(),  # of the app-level token: connections:write
    "auth_test": set(),
    "chat_getPermalink": set(),
    "chat_postMessage": {"chat:write", "chat:write.public"},
    "chat_unfurl": {"links:write"},
    "chat_update": {"chat:write"},
    "conversations_history": {"channels:history", "groups:history"},
    "conversations_list": {"channels:read", "groups:read"},
    "conversations_open": {"im:write"},
    "conversations_replies": {"channels:history", "groups:history"},
    "files_upload_v2": {"files:write"},
    "users_info": {"users:read", "users:read.email"},
    "views_open": set(),
    "views_publish": set(),
    "views_update": set(),
}
"""The methods of the Web API that the bot calls, and the scopes of each for the channels it is used in
(docs.slack.dev/reference/methods). What a direct conversation needs is asked for by its event."""

EVENTS: dict[str, tuple[str, set[str]]] = {
    "app_mention": ("app_mention", {"app_mentions:read"}),
    "app_home_opened": ("app_home_opened", set()),
    "link_shared": ("link_shared", {"links:read"}),
    "message.im": ("message", {"im:history"}),
}
"""The events that are subscribed to: the type each arrives with, and its scopes (docs.slack.dev/reference/events)."""

OTHERS = {
    "commands": "/topology itself",
    "metadata.message:read": "the metadata in what `conversations.history` gives",
}


@pytest.fixture
def manifest() -> dict[str, Any]:
    found: dict[str, Any] = load("slack-manifest.yaml")
    return found


def code() -> str:
    return "\n".join(module.read_text() for module in sorted((REPOSITORY / "bot" / "slack").rglob("*.py")))


def test_the_table_names_every_method_that_the_bot_calls() -> None:
    assert set(re.findall(r"\b(?:_web|client)\.([a-z]+_[A-Za-z0-9_]+)\(", code())) == set(METHODS)


def test_it_asks_for_the_scopes_of_what_the_bot_calls_and_hears_and_no_more(manifest: dict[str, Any]) -> None:
    scopes = manifest["oauth_config"]["scopes"]["bot"]

    needed = set().union(OTHERS, *METHODS.values(), *(needs for _, needs in EVENTS.values()))
    assert manifest["oauth_config"] == {"scopes": {"bot": scopes}}
    assert sorted(scopes) == sorted(needed)


def test_it_subscribes_to_the_events_that_the_bot_handles_and_no_others(manifest: dict[str, Any]) -> None:
    assert manifest["settings"]["event_subscriptions"]["bot_events"] == list(EVENTS)

    (handled,) = re.findall(r"for kind in \(([^)]*)\):\n +app\.event\(kind\)", code())
    by_name = re.findall(r'app\.event\("(\w+)"\)', code())
    by_name += re.findall(r'slack\.hears\("(\w+)"', (REPOSITORY / "bot" / "app.py").read_text())
    assert {*re.findall(r'"(\w+)"', handled), *by_name} == {kind for kind, _ in EVENTS.values()}


def test_every_scope_says_why_it_is_asked_for(manifest: dict[str, Any]) -> None:
    for scope in manifest["oauth_config"]["scopes"]["bot"]:
        assert re.search(rf"^ +- {re.escape(scope)} +# .{{8,}}$", TEXT, re.MULTILINE), scope


def test_the_command_is_sent_as_it_was_typed(manifest: dict[str, Any]) -> None:
    (command,) = manifest["features"]["slash_commands"]

    assert command["command"] == "/topology"
    assert command["should_escape"] is False
    assert command["usage_hint"]


def test_every_request_comes_to_the_one_door_over_https(manifest: dict[str, Any]) -> None:
    (command,) = manifest["features"]["slash_commands"]
    settings = manifest["settings"]

    assert command["url"] == settings["interactivity"]["request_url"] == "https://YOUR-HOST/slack/events"
    assert settings["interactivity"]["is_enabled"] is True
    assert settings["socket_mode_enabled"] is False
    assert settings["event_subscriptions"]["request_url"] == command["url"]
    assert TEXT.count("https://YOUR-HOST/") == 3


def test_people_can_write_to_the_bot(manifest: dict[str, Any]) -> None:
    home = manifest["features"]["app_home"]

    assert (home["messages_tab_enabled"], home["messages_tab_read_only_enabled"]) == (True, False)
    assert home["home_tab_enabled"] is True


def test_the_description_is_of_a_length_slack_takes(manifest: dict[str, Any]) -> None:
    information = manifest["display_information"]

    assert len(information["name"]) <= 35
    assert len(information["description"]) <= 140
    assert 174 <= len(information["long_description"]) <= 4000
    assert re.fullmatch(r"#[0-9a-f]{6}", information["background_color"])


def test_it_has_the_sections_of_the_schema_and_a_bot_user(manifest: dict[str, Any]) -> None:
    assert set(manifest) == {"_metadata", "display_information", "features", "oauth_config", "settings"}
    assert manifest["_metadata"]["major_version"] in (1, 2)
    assert len(manifest["features"]["bot_user"]["display_name"]) <= 80
