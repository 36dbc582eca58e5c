"""The settings of pictures."""

from __future__ import annotations

from pydantic import BaseModel, Field


class PictureSettings(BaseModel):
    """A part of `bot.config.Settings`. A description is the text of its row in the README's table."""

    picture_layouts: int = Field(1, ge=1, le=8, description="pictures laid out at once, each in a process of its own")
    thread_pictures: bool = Field(True, description="a picture in every incident's thread")
    picture_seconds: float = Field(10.0, gt=0, le=60, description="how long laying out one picture may take")
