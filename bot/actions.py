"""What a person can have done to an alert where it came from: acknowledged, resolved, silenced. Protocols, values and
what follows from them alone, no I/O.

Every failure is one of `bot.errors`' `DeliveryError`s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.alerts.alertmanager import hints


class Acknowledger(Protocol):
    """Says at the source that somebody has an incident."""

    async def acknowledge(self, source: str, reference: str, who: str) -> str:
        """Somebody has it; gives in whose name that is said there.

        `reference` is the source's own id of the incident (an alert's `fingerprint` where the source is
        PagerDuty); `who` an e-mail address, or any name. Can be repeated without harm."""
        ...

    async def resolve(self, source: str, reference: str, who: str) -> None:
        """It is over."""
        ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a silence: label `name` is exactly `value`."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class SilenceScope:
    """What a silence would cover now: to be shown before it is created. `examples` are names of alerts, each once."""

    matchers: tuple[Matcher, ...]
    alerts: int
    examples: tuple[str, ...] = ()


def covering(alerts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The labels that all these alerts share, for a silence to match; those of the first where the shared ones say neither what
    is wrong nor with which service: a silence of everything critical is nobody's wish."""
    first = {name: value for name, value in alerts[0].items() if value}
    shared = {name: value for name, value in first.items() if all(one.get(name) == value for one in alerts)}
    return shared if shared.get("alertname") or hints(shared) else first


class Silencer(Protocol):
    """Keeps alerts quiet at their source for a while."""

    async def scope(self, labels: Mapping[str, str]) -> SilenceScope:
        """Which alerts, firing now, a silence with these labels would cover."""
        ...

    async def silence(self, matchers: Sequence[Matcher], start: float, end: float, author: str, comment: str) -> str:
        """Create a silence from `start` to `end` (epoch s); gives its id. Raises AmbiguousDeliveryError where it may exist
        although no answer came."""
        ...

    async def expire(self, silence_id: str) -> None:
        """End a silence now; one that is over already stays so."""
        ...
