"""The Slack app: its shape (https://docs.slack.dev/reference/app-manifest), its scopes, and why each is asked for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.files import load, texts

TEXT = texts()["deploy/slack-manifest.yaml"]
NEEDED = {
    "chat:write": "posting and editing",
    "chat:write.public": "public channels without an invitation",
    "commands": "/topology",
    "channels:read": "channel names to ids",
    "groups:read": "the same for private channels",
    "channels:history": "looking up whether a post arrived",
    "groups:history": "the same in private channels",
    "metadata.message:read": "recognising one's own post",
}


@pytest.fixture
def manifest() -> dict[str, Any]:
    found: dict[str, Any] = load("slack-manifest.yaml")
    return found


def test_it_asks_for_what_the_bot_needs_and_no_more(manifest: dict[str, Any]) -> None:
    assert manifest["oauth_config"] == {"scopes": {"bot": list(NEEDED)}}


@pytest.mark.parametrize("scope", NEEDED)
def test_every_scope_says_why_it_is_asked_for(scope: str) -> None:
    assert re.search(rf"^ +- {re.escape(scope)} +# .{{8,}}$", TEXT, re.MULTILINE)


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
    assert "event_subscriptions" not in settings


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
