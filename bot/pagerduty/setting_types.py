"""The settings of what the bot does at the alerts' sources, and how they are written: PagerDuty's account, Alertmanager's silences."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, SecretStr

from bot.catalog.pagerduty_api import DEFAULT_URL
from bot.pagerduty.fields import pairs
from bot.setting_types import Secret

Email = Annotated[str, Field(pattern=r"^([^@\s]+@[^@\s]+)?$")]
"""An e-mail address, or nothing."""

FieldFacts = Annotated[tuple[tuple[str, str], ...], BeforeValidator(pairs)]
"""Custom field's name and fact, in pairs."""


class PagerSettings(BaseModel):
    """A part of `bot.config.Settings`. A description is the text of its row in the README's table."""

    pagerduty_api_token: Secret | None = Field(
        None,
        description="PagerDuty REST API key, to read services, teams, who is on call and incidents' alerts; also `PAGERDUTY_API_TOKEN`",
    )
    pagerduty_api_url: Secret = Field(
        SecretStr(DEFAULT_URL), description="where PagerDuty's REST API is; also `PAGERDUTY_API_URL`"
    )
    pagerduty_from: Email = Field(
        "",
        description="e-mail of the PagerDuty user to write notes and acknowledge as; none: PagerDuty is only read; also `PAGERDUTY_FROM`",
    )
    pagerduty_fields: FieldFacts = Field(
        (),
        description="`field=fact,…` of custom fields to fill; facts: `services`, `likely_cause`, `hit_now`, `at_risk`, `owners`",
    )
    pagerduty_dependencies: bool = Field(
        False, description="push discovered dependencies to PagerDuty's service graph; needs a key that may write"
    )
    pagerduty_dependencies_confidence: float = Field(
        0.8, ge=0.5, le=1, description="how sure the map has to be of a dependency for that"
    )
    pagerduty_dependencies_remove: bool = Field(
        False, description="also take back those that the bot itself made and that are gone from the map"
    )
    alertmanager_url: Secret | None = Field(
        None, description="an Alertmanager (what comes before `/api/v2`) to create silences in"
    )
    alertmanager_api_token: Secret | None = Field(None, description="bearer token for it")
