"""The settings of daily digests."""

from __future__ import annotations

from pydantic import BaseModel, Field

from bot.setting_types import ClockTime


class DigestSettings(BaseModel):
    """A part of `bot.config.Settings`. A description is the text of its row in the README's table."""

    digest_time: ClockTime = Field("09:00", description="when a daily digest comes whose subscriber named no time")
    digest_quiet: bool = Field(
        True, description="no digest on a day without news, unless its subscriber wants it always"
    )
