"""Pages of a list that goes on changing between one page and the next.

A cursor names the last item that was given, not a place: the next page begins after that item wherever it stands by then,
so that what did not change is neither repeated nor passed over. Where the item is gone, an ordered list goes on after
where it would stand, a ranked one where it stood.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from bot.errors import BadRequest

_LONGEST = 4_000


def page(found: Sequence[str], limit: int, cursor: str, *, ordered: bool) -> tuple[Sequence[str], str | None]:
    """(at most `limit` items after the cursor, the next cursor or None). Items are unique; `ordered`: sorted by themselves.

    Raises BadRequest for a cursor that no page gave.
    """
    start = 0
    if cursor:
        place, last = read_cursor(cursor)
        start = bisect_right(found, last) if ordered else _after(found, place, last)
    items = found[start : start + limit]
    end = start + len(items)
    return items, write_cursor(end, items[-1]) if items and end < len(found) else None


def _after(found: Sequence[str], place: int, last: str) -> int:
    if 0 < place <= len(found) and found[place - 1] == last:  # nothing has moved
        return place
    try:
        return found.index(last) + 1
    except ValueError:
        return max(0, place - 1)


def write_cursor(place: int, last: str) -> str:
    """The cursor after the item `last`, the `place`-th of the list."""
    return base64.urlsafe_b64encode(msgspec.json.encode([place, last])).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[int, str]:
    """(place, last item). Raises BadRequest for what is no cursor."""
    try:
        if len(cursor) > _LONGEST or not cursor.isascii():
            raise ValueError
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place, last = msgspec.json.decode(body, type=tuple[int, str])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise BadRequest("cursor: not one that an earlier answer gave") from None
    return place, last
