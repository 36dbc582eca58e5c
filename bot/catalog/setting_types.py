"""How the catalogue's settings are written: where its files are, and the templates of links out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from bot.catalog.links import MAX_TEMPLATES, LinkTemplate, parse

# An address may have commas itself: a new link starts where a name and an address follow one.
_BETWEEN_LINKS = re.compile(r",\s*(?=[^,=/?&]+=\s*https?://)")


def _paths(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return (value,) if isinstance(value, Path) else value


def _links(value: object) -> object:
    texts = _BETWEEN_LINKS.split(value) if isinstance(value, str) else value
    if not isinstance(texts, tuple | list):
        return value
    if len(texts) > MAX_TEMPLATES:
        raise ValueError(f"at most {MAX_TEMPLATES} links")
    return tuple(parse(one) if isinstance(one, str) else one for one in texts)


Paths = Annotated[tuple[Path, ...], BeforeValidator(_paths)]
LinkTemplates = Annotated[tuple[LinkTemplate, ...], BeforeValidator(_links)]
