"""What changed between two moments as a page shows it: drawn, and listed with the numbers before and after.

Comes in: the answer of `/api/v1/diff`. Goes out: a sketch and values for `diff.html.j2`. What is lost: changes beyond a page of them; their
number is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bot.page import address, say
from bot.page.figure import Mark
from bot.page.sketch import Box, Line, Sketch, left_out

Json = Mapping[str, Any]

_STYLES = {"new": "solid", "gone": "dashed", "changed": "solid"}
PERIODS = (("1 hour", "-1h"), ("6 hours", "-6h"), ("1 day", "-1d"), ("7 days", "-7d"))
KINDS = (("All", ""), ("New", "new"), ("Gone", "gone"), ("Changed", "changed"))


def difference(found: Json, given: Mapping[str, str]) -> tuple[Sketch, dict[str, Any]]:
    """The picture and its page. `given` are the parameters that were asked with."""
    rows = [_row(one, place) for place, one in enumerate(found["items"])]
    met = Counter(end for one in found["items"] for end in (one["caller"], one["callee"]))
    boxes = [
        Box(name, name, (), Mark(address.service(name), f"{say.name(name)}: {say.many(count, 'changed call')}"))
        for name, count in sorted(met.items(), key=lambda one: (-one[1], one[0]))
    ]
    lines = [
        Line(one["caller"], one["callee"], Mark(f"#{row['key']}", row["label"], (f"call-{one['kind']}",), row["key"]), 2.0, row["short"],
             _STYLES[one["kind"]])
        for one, row in zip(found["items"], rows, strict=True)
    ]  # fmt: skip
    sketch = Sketch.of(boxes, lines)
    counted = Counter(one["kind"] for one in found["items"])

    since = "" if given.get("to") else given.get("from", "-1d")

    def other(**changes: str) -> str:
        return address.address("/diff", {**given, **changes})

    return sketch, {
        "rows": rows,
        "total": found["total"],
        "counted": [(kind, counted[kind]) for kind in ("new", "gone", "changed") if counted[kind]],
        "since": _clock(found["from"]),
        "until": _clock(found["to"]),
        "given": {name: given.get(name, "") for name in ("from", "to", "service", "kind")},
        "periods": [(label, other(**{"from": text, "to": ""}), since == text) for label, text in PERIODS],
        "kinds": [(label, other(kind=one), given.get("kind", "") == one) for label, one in KINDS],
        "left_out": left_out(sketch, "services", "calls"),
        "next": other(cursor=found["next_cursor"]) if found["next_cursor"] else "",
    }


def _row(one: Json, place: int) -> dict[str, Any]:
    before, after = one["before"], one["after"]
    caller, callee = say.name(one["caller"]), say.name(one["callee"])
    what = ", ".join(one["what"])
    short = " ".join(filter(None, (one["kind"] if one["kind"] != "changed" else "", _first(one))))
    return {
        "key": f"change-{place}", "caller": caller, "callee": callee, "kind": one["kind"], "what": what, "short": short,
        "caller_href": address.service(one["caller"]), "callee_href": address.service(one["callee"]),
        "before": _numbers(before), "after": _numbers(after),
        "label": f"{caller} calls {callee}: {' '.join(filter(None, (one['kind'], what)))}",
    }  # fmt: skip


def _first(one: Json) -> str:
    """The most telling number that changed, before and after."""
    if one["kind"] != "changed" or not one["what"]:
        return ""
    before, after = one["before"], one["after"]
    for what, name, word, tell in (("error rate", "error_rate", "fail", say.share), ("p95", "p95_ms", "p95", say.ms),
                                   ("calls", "calls_per_minute", "calls/min", say.count)):  # fmt: skip
        if what in one["what"]:
            return f"{word} {tell(before[name])} → {tell(after[name])}"
    return ""


def _numbers(side: Json | None) -> dict[str, str] | None:
    if side is None:
        return None
    return {
        "rate": f"{say.count(side['calls_per_minute'])}/min",
        "failed": say.share(side["error_rate"]),
        "p95": say.ms(side["p95_ms"]),
    }


def _clock(iso: str) -> str:
    return say.clock(say.moment(iso))
