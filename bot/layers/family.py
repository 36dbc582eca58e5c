"""What a metric family is, and what reading one of its series gives. Families themselves: `bot.layers.families`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bot.model import UNATTRIBUTED, Node

Labels = Mapping[str, str]


class Role(StrEnum):
    """What a metric's increase means."""

    CALLS = "calls"
    FAILED = "failed"
    BUCKET = "bucket"
    LATENCY = "latency"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Reading:
    """One series read. `caller` is None for a pseudo-caller, which `unknown` then names."""

    caller: Node | None
    callee: Node
    witness: str
    protocol: str = ""
    endpoint: str = ""
    failed: bool = False
    unknown: str = UNATTRIBUTED


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One metric of a family. `labels` are those a query has to sum by; `unit` is the microseconds in one of its units."""

    name: str
    metrics: tuple[str, ...]
    labels: tuple[str, ...]
    role: Role
    read: Callable[[Labels], Reading | None]
    unit: float = 0.0


def known(value: str | None) -> str:
    """A label's value, without the words the meshes have for "nobody"."""
    return "" if value in (None, "unknown", "", "-") else str(value)


def first(labels: Labels, *keys: str) -> str:
    """The first of some labels that names somebody."""
    return next((value for key in keys if (value := known(labels.get(key)))), "")
