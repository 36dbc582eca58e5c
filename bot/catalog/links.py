"""Links out: where a service's logs, traces and metrics are at a time, from templates of addresses.

Comes in: `name=template` with `{service}`, `{namespace}`, `{environment}`, `{from}`, `{to}` in it. Goes out: links. What is
lost: a link whose template wants a namespace or environment that the service's id does not have; it would show nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from bot.catalog.entries import Link, parts
from bot.catalog.facts import is_web_address

MAX_TEMPLATES = 20
_BEFORE, _AFTER = 1_800.0, 600.0
_PLACE = re.compile(r"\{([^{}]*)\}")
_FROM_ID = ("service", "namespace", "environment")
_MOMENTS = ("from", "to", "from_s", "to_s", "from_iso", "to_iso")


@dataclass(frozen=True, slots=True)
class LinkTemplate:
    """One named template; made by `parse`, so that it can be filled in."""

    name: str
    url: str

    def link(self, service: str, since: float, until: float) -> Link | None:
        """The link of a service from `since` until `until` (epoch s). `{from}` and `{to}` are epoch milliseconds, as most
        tools take them; `_s` gives seconds and `_iso` ISO 8601. None where the service has not what the template wants."""
        values = dict(zip(_FROM_ID, parts(service), strict=True))
        for name, moment in (("from", since), ("to", until)):
            values[name], values[f"{name}_s"] = str(round(moment * 1_000)), str(round(moment))
            values[f"{name}_iso"] = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if not all(values[place] for place in _PLACE.findall(self.url)):
            return None
        return Link(self.name, _PLACE.sub(lambda found: quote(values[found[1]], safe=""), self.url))


def parse(text: str) -> LinkTemplate:
    """Read `name=template`. Raises ValueError with what is wrong."""
    name, mark, url = (part.strip() for part in text.partition("="))
    if not mark or not name:
        raise ValueError(f"want name=address, not {text[:60]!r}")
    unknown = sorted(set(_PLACE.findall(url)) - {*_FROM_ID, *_MOMENTS})
    if unknown:
        raise ValueError(
            f"{name}: there is no {{{unknown[0][:40]}}}; there are {', '.join(f'{{{one}}}' for one in (*_FROM_ID, *_MOMENTS))}"
        )
    if re.search(r"[{}]", _PLACE.sub("", url)):
        raise ValueError(f"{name}: a brace stands alone; write it as %7B or %7D")
    if not is_web_address(_PLACE.sub("x", url)):
        raise ValueError(f"{name}: want an http(s) address without blanks")
    return LinkTemplate(name[:60], url)


def links_at(
    templates: Iterable[LinkTemplate], service: str, at: float, until: float | None = None
) -> tuple[Link, ...]:
    """The links of a service (by its id) around a moment: half an hour before `at` to ten minutes after it, or to `until`."""
    end = at + _AFTER if until is None else until
    made = (one.link(service, at - _BEFORE, end) for one in templates)
    return tuple(link for link in made if link is not None)
