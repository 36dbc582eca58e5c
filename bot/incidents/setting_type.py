"""How the settings of routes, mentions and quiet hours are written: lists of rules, separated by `;`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from bot.incidents import mentions, quiet
from bot.incidents.conditions import Conditions
from bot.incidents.mentions import NEVER, parse_mention
from bot.incidents.quiet import QuietHours, parse_quiet_hours
from bot.incidents.routing import MAX_ROUTES, Route, parse_route


def _rules(what: str, most: int, parse: Callable[[str], Any]) -> Callable[[object], object]:
    def read(value: object) -> object:
        texts = [one.strip() for one in value.split(";") if one.strip()] if isinstance(value, str) else value
        if not isinstance(texts, tuple | list):
            return value
        if len(texts) > most:
            raise ValueError(f"at most {most} {what}")
        return tuple(parse(one) if isinstance(one, str) else one for one in texts)

    return read


def _mentions(value: object) -> object:
    return () if value == NEVER else _rules("rules", mentions.MAX_RULES, parse_mention)(value)


Routes = Annotated[tuple[Route, ...], BeforeValidator(_rules("routes", MAX_ROUTES, parse_route))]
Mentions = Annotated[tuple[Conditions, ...], BeforeValidator(_mentions)]
QuietRules = Annotated[tuple[QuietHours, ...], BeforeValidator(_rules("rules", quiet.MAX_RULES, parse_quiet_hours))]


class EtiquetteSettings(BaseModel):
    """A part of `bot.config.Settings`. A description is the text of its row in the README's table."""

    mentions: Mentions = Field(
        ((("severity", "critical"),),),
        description="`CONDITION…`, separated by `;`: for which incidents the first post calls the owner by Slack id; `none`: for none",
    )
    quiet_hours: QuietRules = Field(
        (),
        description="`CONDITION… DAYS TIMES ZONE`, separated by `;`: when incidents wait that say they are less than critical",
    )
    courtesy: bool = Field(
        False, description="tell owners of services at risk in their own channels: one quiet line, once an incident"
    )
    courtesy_channels: int = Field(3, ge=1, le=50, description="how many channels one incident tells at most")
    courtesy_tier: int = Field(2, ge=0, le=99, description="services of this tier or a better one are worth it")
    courtesy_share: float = Field(
        0.5, gt=0, le=1, description="or those of which this share of requests needs what fails"
    )
