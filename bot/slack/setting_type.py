"""The settings of Slack."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

from bot.setting_types import Secret


class SlackSettings(BaseModel):
    """A part of `bot.config.Settings`. A description is the text of its row in the README's table."""

    slack_bot_token: Secret | None = Field(
        None, description="`xoxb-…`; none: messages go to the preview page; also `SLACK_BOT_TOKEN`"
    )
    slack_signing_secret: Secret | None = Field(
        None, description="verifies Slack's requests; none: `/slack/events` refuses all; also `SLACK_SIGNING_SECRET`"
    )
    slack_app_token: Secret | None = Field(
        None,
        description="`xapp-…` with `connections:write`: Slack's requests come over a socket the bot opens; also `SLACK_APP_TOKEN`",
    )
    slack_api_url: str = Field("https://slack.com/api/", description="where the Slack API is; also `SLACK_API_URL`")
    slack_burst: int = Field(
        120, ge=1, description="messages a channel may get at once before the pace falls to one a second"
    )

    public_url: str = Field(
        "",
        description="under which people open the pages, such as `https://topology.example.org`: links to them are shown in Slack",
    )

    @field_validator("public_url")
    @classmethod
    def _pages(cls, value: str) -> str:
        address = urlsplit(value)
        if value and (address.scheme not in ("http", "https") or not address.hostname or "@" in address.netloc):
            raise ValueError("want an http(s) URL without a user in it")
        if address.query or address.fragment:
            raise ValueError("want the address alone, without ? and #")
        return value.rstrip("/")

    @field_validator("slack_api_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("want an http(s) URL")
        return value
