"""A focus graph: what one picture shows, as plain frozen values. Everything that draws or tells it reads only this.

Comes in: what `bot.picture.choose` read off the map. Goes out: the same values to `dot`, `mermaid` and `alt`, so that the picture
and its words never disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bot.model import Kind, Layer

MAX_NODES = 25
"""Services and stubs in one picture: what is still read at the width of a message."""

MAX_ARROWS = 60


class State(StrEnum):
    """What a service is in this picture. `FOCUS` is the one asked about, where nothing is wrong with it."""

    FAILING = "failing"
    CAUSE = "likely cause"
    SUSPECTED = "also suspected"
    HIT = "hit now"
    AT_RISK = "at risk"
    FOCUS = "focus"
    OTHER = "other"


class Seen(StrEnum):
    """How well calls are seen: the line's style. Traces tell most of a call, the network least."""

    TRACED = "traced"
    COUNTED = "counted by metrics"
    NETWORK = "seen by the network alone"

    @classmethod
    def by(cls, layers: frozenset[Layer]) -> Seen:
        """The best of these layers."""
        return cls.TRACED if Layer.TRACE in layers else cls.COUNTED if Layer.IPC in layers else cls.NETWORK


@dataclass(frozen=True, slots=True)
class Spot:
    """A service in the picture. `column` counts calls from the service asked about: callers below 0, callees above.

    `name` is what it is called here: short, and nobody else's. `notes` are facts for a second line.
    """

    id: str
    name: str
    state: State
    column: int
    kind: Kind = Kind.SERVICE
    entry_point: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrow:
    """Calls from one service to another. `confidence` is 0..1; `via` the intermediaries between; `change` is `new`, `gone` or ''.

    `suspect`: it lies on the way to the likely cause. `note` is what else is to stand at it.
    """

    caller: str
    callee: str
    layers: frozenset[Layer]
    confidence: float
    via: tuple[tuple[str, ...], ...] = ()
    change: str = ""
    suspect: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Stub:
    """Services that are not drawn one by one: `count` of them, of one domain or owner (`group`, '' for any), `hit` of them.

    They stand beside `beside`, the drawn service that their calls lead to (`callers`) or come from. `more`: there are others that
    were not even counted.
    """

    id: str
    group: str
    count: int
    beside: str
    column: int
    callers: bool
    hit: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class Focus:
    """One picture. `hit` and `at_risk` count all dependents within reach, drawn or not; `arrows_left_out` calls between those drawn."""

    service: str
    as_of: float
    spots: tuple[Spot, ...]
    arrows: tuple[Arrow, ...] = ()
    stubs: tuple[Stub, ...] = ()
    cause: tuple[str, float] | None = None
    """The likely cause (id, p from 0 to 1), where one is named."""
    hit: int = 0
    at_risk: int = 0
    more: bool = False
    arrows_left_out: int = 0

    @property
    def root(self) -> Spot:
        """The service asked about."""
        return self.by_id[self.service]

    @property
    def by_id(self) -> Mapping[str, Spot]:
        """The services drawn."""
        return {spot.id: spot for spot in self.spots}

    @property
    def failing(self) -> bool:
        """Whether it is a picture of trouble."""
        return self.root.state is not State.FOCUS
