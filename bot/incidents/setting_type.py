"""How the setting of routes is written."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from bot.incidents.routing import MAX_ROUTES, Route, parse_route


def _routes(value: object) -> object:
    texts = [one.strip() for one in value.split(";") if one.strip()] if isinstance(value, str) else value
    if not isinstance(texts, tuple | list):
        return value
    if len(texts) > MAX_ROUTES:
        raise ValueError(f"at most {MAX_ROUTES} routes")
    return tuple(parse_route(one) if isinstance(one, str) else one for one in texts)


Routes = Annotated[tuple[Route, ...], BeforeValidator(_routes)]
