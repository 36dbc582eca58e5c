"""One trace laid over the map as a page shows it: its calls drawn and listed beside what is usual.

Comes in: the answer of `/api/v1/overlay`. Goes out: a sketch and values for `trace.html.j2`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bot.page import address, say
from bot.page.figure import Mark
from bot.page.sketch import Box, Line, Sketch, left_out

Json = Mapping[str, Any]

_WORDS = {"new": "never seen before", "error": "fails", "slower": "slower than usual"}


def trace(found: Json) -> tuple[Sketch, dict[str, Any]]:
    """The picture and its page."""
    rows = [_row(one, place) for place, one in enumerate(found["items"])]
    troubled = Counter(one["callee"] for one in found["items"] if one["errors"] or one["slower"])
    order = dict.fromkeys(end for one in found["items"] for end in (one["caller"], one["callee"]))
    boxes = [
        Box(name, name, (), Mark(address.service(name), say.name(name), ("state-hit",) if troubled[name] else ()))
        for name in order
    ]
    lines = [
        Line(
            one["caller"], one["callee"], Mark(f"#{row['key']}", row["label"], row["classes"], row["key"]),
            2.0 if row["classes"] else 1.4, row["took"], "dashed" if one["edge"] is None else "solid",
        )
        for one, row in zip(found["items"], rows, strict=True) if one["caller"] != one["callee"]
    ]  # fmt: skip
    sketch = Sketch.of(boxes, lines)
    return sketch, {
        "rows": rows, "traces": found["traces"], "spans": found["spans"], "rejected": found["rejected"], "new": found["new"],
        "left_out": left_out(sketch, "services", "calls"), "shown": True,
    }  # fmt: skip


def _row(one: Json, place: int) -> dict[str, Any]:
    said = [word for name, word in _WORDS.items() if _is(one, name)]
    caller, callee = say.name(one["caller"]), say.name(one["callee"])
    took = say.ms(one["duration_ms"]) if one["duration_ms"] is not None else ""
    classes = (
        ("call-new",)
        if one["edge"] is None
        else ("call-gone",)
        if one["errors"]
        else ("call-changed",)
        if one["slower"]
        else ()
    )
    return {
        "key": f"span-{place}", "caller": caller, "callee": callee, "caller_href": address.service(one["caller"]),
        "callee_href": address.service(one["callee"]), "calls": one["calls"], "errors": one["errors"], "took": took,
        "usual": say.ms(one["usual_p95_ms"]), "said": said, "classes": classes,
        "label": ", ".join(filter(None, (f"{caller} calls {callee}", took, *said))),
    }  # fmt: skip


def _is(one: Json, name: str) -> bool:
    return bool(one["edge"] is None if name == "new" else one["errors"] if name == "error" else one["slower"])
