"""Acknowledges and resolves PagerDuty's incidents in a person's name.

The person's own name is used where PagerDuty knows the e-mail address, so that the incident shows who has it; else the
configured user's. Nothing is kept.
"""

from __future__ import annotations

from bot.errors import PermanentDeliveryError
from bot.pagerduty.client import PagerDuty, identifier

SOURCE = "pagerduty"


class PagerDutyHand:
    """An `Acknowledger` (see `bot.actions`)."""

    def __init__(self, api: PagerDuty) -> None:
        self._api = api

    async def acknowledge(self, source: str, reference: str, who: str) -> str:
        """See `Acknowledger.acknowledge`. An incident that is resolved stays so: PagerDuty refuses (`pd_refused`)."""
        return await self._set(source, reference, who, "acknowledged")

    async def resolve(self, source: str, reference: str, who: str) -> None:
        """See `Acknowledger.resolve`."""
        await self._set(source, reference, who, "resolved")

    async def _set(self, source: str, reference: str, who: str, status: str) -> str:
        if source != SOURCE:
            raise PermanentDeliveryError("pd_other_source")
        path = f"/incidents/{identifier(reference)}"
        body = {"incident": {"type": "incident_reference", "status": status}}
        if "@" in who and not any(character.isspace() or not character.isprintable() for character in who):
            try:
                await self._api.put(path, body, requester=who)
            except PermanentDeliveryError as error:
                if error.code != "pd_requester_not_found":
                    raise
            else:
                return who
        await self._api.put(path, body)
        return self._api.requester
