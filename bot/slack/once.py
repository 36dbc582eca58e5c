"""Each event once: Slack sends one again where it was not sure that it arrived (docs.slack.dev/apis/events-api, "Retries")."""

from __future__ import annotations

from collections import OrderedDict

_REMEMBERED, _REMEMBERED_SECONDS = 5_000, 3_600.0


class Once:
    """Keeps the ids of the last hour, 5,000 at most."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()

    def first(self, event_id: str, now: float) -> bool:
        """Whether this is the first time."""
        while self._seen and (
            len(self._seen) >= _REMEMBERED or next(iter(self._seen.values())) < now - _REMEMBERED_SECONDS
        ):
            self._seen.popitem(last=False)
        if event_id in self._seen:
            return False
        self._seen[event_id] = now
        return True
