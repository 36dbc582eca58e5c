"""The map from afar as a page shows it: groups as a picture and as a table, and one group's services.

Comes in: the answers of `bot.enrich.group_answer`. Goes out: values for `groups.html.j2` and `group.html.j2`, and what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.page import address, say
from bot.page.figure import Mark
from bot.page.sketch import Box, Line, Sketch, heavier, left_out
from bot.page.start import row

Json = Mapping[str, Any]

_LINES = 32
"""Lines between groups that are drawn, the heaviest: with more of them nothing is seen any more."""

NOBODY = {"domain": "no domain known", "team": "no owner known"}


def group_address(by: str, name: str) -> str:
    """Where one group is shown; the one of services that nobody speaks for is `-`."""
    return address.address("/groups", {"by": by, "group": name or "-"})


def overview(found: Json) -> tuple[Sketch, dict[str, Any]]:
    """Groups and the calls between them."""
    by = found["by"]
    named = {one["name"]: say.name(one["name"]) if one["name"] else NOBODY[by] for one in found["items"]}
    boxes = [_box(one, named[one["name"]], by) for one in found["items"]]
    most = max((one["calls"] for one in found["calls"]), default=0.0)
    lines = [
        Line(
            one["caller"], one["callee"], _line_mark(one, named, place), heavier(one["calls"], most),
            say.count(one["calls"]) if one["calls"] else "",
        )
        for place, one in enumerate(found["calls"])
    ]  # fmt: skip
    sketch = Sketch.of(boxes, lines, _LINES)
    values = {
        "by": by,
        "switch": [("Domain", address.address("/groups", {"by": "domain"}), by == "domain"),
                   ("Team", address.address("/groups", {"by": "team"}), by == "team")],
        "groups": [
            {"key": f"group-{place}", "name": named[one["name"]], "href": group_address(by, one["name"]), "services": one["services"],
             "failing": one["failing"], "inside": say.count(one["calls_inside"]),
             "failing_services": [(say.name(name), address.service(name)) for name in one["failing_services"]]}
            for place, one in enumerate(found["items"])
        ],
        "calls": [
            {"key": f"between-{place}", "caller": named[one["caller"]], "callee": named[one["callee"]], "calls": say.count(one["calls"]),
             "edges": one["edges"]}
            for place, one in enumerate(found["calls"][:200])
        ],
        "left_out": left_out(sketch, "groups", "lines"),
    }  # fmt: skip
    return sketch, values


def _box(one: Json, name: str, by: str) -> Box:
    lines = [say.many(one["services"], "service")]
    if one["failing"]:
        lines.append(f"{one['failing']} unhealthy")
    classes = ("group-box", *(("state-hit",) if one["failing"] else ()))
    label = f"{name}: {', '.join(lines)}"
    return Box(
        one["name"],
        name,
        tuple(lines),
        Mark(group_address(by, one["name"]), label, classes),
        rounded=not one["failing"],
    )


def _line_mark(one: Json, named: Mapping[str, str], place: int) -> Mark:
    between = say.many(one["edges"], "dependency", "dependencies")
    label = f"{named[one['caller']]} calls {named[one['callee']]}: {say.count(one['calls'])} calls in the last hour over {between}"
    return Mark(f"#between-{place}", label, (), f"between-{place}")


def inside(found: Json, now: float) -> tuple[Sketch, dict[str, Any]]:
    """One group's services, and the calls among them."""
    by, name = found["by"], found["name"]
    boxes = [_service(one) for one in found["items"]]
    lines = [
        Line(caller, callee, Mark(address.service(callee), f"{say.name(caller)} calls {say.name(callee)}"))
        for caller, callee in found["calls"]
    ]
    sketch = Sketch.of(boxes, lines)
    return sketch, {
        "by": by,
        "name": say.name(name) if name else NOBODY[by].capitalize(),
        "back": address.address("/groups", {"by": by}),
        "rows": [row(one, now) for one in found["items"]],
        "total": found["total"],
        "left_out": left_out(sketch, "services", "calls"),
    }


def _service(one: Json) -> Box:
    failing = one["state"] == "failing"
    lines = tuple(
        filter(None, ("failing: " + one["why"] if failing else "", one["kind"] if one["kind"] != "service" else ""))
    )
    label = ", ".join((say.name(one["id"]), *lines))
    mark = Mark(address.service(one["id"]), label, ("state-failing",) if failing else ())
    return Box(one["id"], say.name(one["name"] or one["id"]), lines, mark, "octagon" if failing else "box")
