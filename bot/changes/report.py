"""What a door of change events makes of one body, and how a change is put together, shared by all of them.

Comes in: the fields of a vendor's event. Goes out: a `Change` with a service id, or nothing and the reason.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from bot import names
from bot.alerts.reading import identity, text, web_address
from bot.errors import BadRequest
from bot.model import Change, ChangeKind

MAX_TITLE = 300
MAX_AUTHOR = 200
MAX_ID = 300
AHEAD = 300.0
"""How far (s) a sender's clock may be ahead of ours."""


@dataclass(frozen=True, slots=True)
class Report:
    """The changes in one body. `ignored` says why there are none where that is no mistake."""

    changes: tuple[Change, ...] = ()
    ignored: str = ""


class Named(NamedTuple):
    """A service as a sender calls it."""

    name: object
    namespace: object = ""
    environment: object = ""


def change(
    source: str, at: float, service: Named, what: tuple[ChangeKind, str], identifier: str, **more: object
) -> Change:
    """A change of `service`; `what` is its kind and title, `more` may have `link` and `author`.

    Raises BadRequest where no service is named.
    """
    return Change(
        at=at,
        service=service_id(service),
        kind=what[0],
        title=text(what[1], MAX_TITLE),
        source=source,
        id=identity(identifier, MAX_ID),
        link=web_address(more.get("link")),
        author=text(more.get("author"), MAX_AUTHOR),
    )


def service_id(service: Named) -> str:
    """The id of a named service; a name may be an id (`payments.shop@prod`) already. Raises BadRequest where none is left."""
    name, namespace, environment = (part if isinstance(part, str) else text(part) for part in service)
    name, _, of_the_id = name.partition("@")
    node = names.service(name, namespace, of_the_id or environment)
    if node is None:
        raise BadRequest("the change names no service")
    return node.id


def digest(*parts: object) -> str:
    """A short name for what several values say together."""
    return hashlib.blake2b("\x00".join(map(str, parts)).encode(errors="surrogatepass"), digest_size=12).hexdigest()
