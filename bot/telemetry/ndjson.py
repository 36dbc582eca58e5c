"""Bodies of one JSON object a line: what cannot be used costs only its own line, and is listed with its number and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_ERRORS = 100


class Unusable(Exception):
    """Why a line cannot be used."""


@dataclass(slots=True)
class Lines:
    """What became of a body's lines. `errors` lists the first hundred that were refused."""

    accepted: int = 0
    rejected: int = 0
    errors: list[dict[str, object]] = field(default_factory=list)

    def read(self, body: bytes, take: Callable[[dict[str, Any]], None]) -> None:
        """Give each line's object to `take`, which raises Unusable for one that it cannot use. Empty lines are nothing."""
        for number, line in enumerate(body.split(b"\n"), start=1):
            if not line or line.isspace():
                continue
            try:
                take(_object(line))
                self.accepted += 1
            except Unusable as error:
                self.rejected += 1
                if len(self.errors) < MAX_ERRORS:
                    self.errors.append({"line": number, "why": str(error)})


def _object(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise Unusable("not a JSON object") from None
    if not isinstance(record, dict):
        raise Unusable("not a JSON object")
    return record
