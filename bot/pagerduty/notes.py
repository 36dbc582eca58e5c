"""PagerDuty as a `Sink`: one note per incident, and the incident's custom fields beside it.

A message for `pagerduty:INCIDENT_ID` becomes a note on that incident; its one block, where there is one, holds the custom
fields to set. Notes are plain text, so the marker a lost post is looked up by is the note's last line. Fields come first,
since setting them twice does no harm; where they are refused, the sender comes again without the block.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.errors import AmbiguousDeliveryError, PermanentDeliveryError
from bot.model import PAGERDUTY_SCHEME, Message
from bot.pagerduty.client import PagerDuty, identifier
from bot.pagerduty.note import MARK
from bot.sinks import LookupFailed, Posted

_MOST_NOTES = 2_000  # PagerDuty keeps no more on one incident
_CLOCK_SKEW = 60.0


class NoteSink:
    """Writes, edits and finds the bot's notes."""

    name = "pagerduty"

    def __init__(self, api: PagerDuty) -> None:
        self._api = api

    async def post(self, *, key: str, channel: str, message: Message, thread_ts: str | None) -> Posted:
        """See `Sink.post`. The note's id is the `ts`."""
        path = _incident(channel)
        await self._set_fields(path, message)
        answer = await self._api.post(f"{path}/notes", {"note": {"content": message.text}})
        note = _note_id(answer.get("note"))
        if not note:
            raise AmbiguousDeliveryError("pd_no_id")
        return Posted(channel, note)

    async def update(self, *, channel_id: str, ts: str, message: Message) -> None:
        """See `Sink.update`."""
        path = _incident(channel_id)
        await self._set_fields(path, message)
        await self._api.put(f"{path}/notes/{identifier(ts)}", {"note": {"content": message.text}})

    async def find(self, *, key: str, channel: str, thread_ts: str | None, since: float) -> Posted | None:
        """See `Sink.find`. An incident has one note of ours: the latest that ends with our mark."""
        try:
            answer = await self._api.get(f"{_incident(channel)}/notes")
        except PermanentDeliveryError as error:
            raise LookupFailed(error.code) from None
        listed = answer.get("notes")
        if not isinstance(listed, list):
            raise LookupFailed("pd_unreadable")
        for note in sorted(filter(_ours, listed[:_MOST_NOTES]), key=_written, reverse=True):
            if _written(note) >= since - _CLOCK_SKEW and (found := _note_id(note)):
                return Posted(channel, found)
        return None

    async def check(self) -> str:
        """See `Sink.check`. An account's key is nobody's, so what it may see is asked and not who it is."""
        answer = await self._api.get("/services", {"limit": "1"})
        listed = answer.get("services")
        if not isinstance(listed, list):
            raise PermanentDeliveryError("pd_unreadable")
        return "ok: the key is taken" if listed else "ok: the key is taken, but the account has no service"

    async def _set_fields(self, path: str, message: Message) -> None:
        for block in message.blocks:
            try:
                await self._api.put(f"{path}/custom_fields/values", {"custom_fields": block["custom_fields"]})
            except PermanentDeliveryError:
                raise PermanentDeliveryError("pd_fields_refused") from None


def incident_of(channel: str) -> str:
    """`PABC` of `pagerduty:PABC`. Raises PermanentDeliveryError where that is no id."""
    return identifier(channel.removeprefix(PAGERDUTY_SCHEME))


def _incident(channel: str) -> str:
    return f"/incidents/{incident_of(channel)}"


def _ours(note: object) -> bool:
    content = note.get("content") if isinstance(note, Mapping) else None
    return isinstance(content, str) and content.rstrip().endswith(MARK)


def _note_id(note: Any) -> str:
    found = note.get("id") if isinstance(note, Mapping) else None
    return found if isinstance(found, str) else ""


def _written(note: Mapping[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(note.get("created_at"))).timestamp()
    except ValueError:
        return 0.0
