"""Answers as lines of text for a terminal. Pure."""

from __future__ import annotations

from bot.cli.terminal import Answer


def overlay_lines(answer: Answer) -> list[str]:
    """One trace laid over the map, call by call (see `bot.enrich.overlay`)."""
    lines = [f"{answer['spans']} spans, {len(answer['items'])} calls, {answer['new']} of them new to the map"]
    for item in answer["items"]:
        took = "" if item["duration_ms"] is None else f" {item['duration_ms']:.0f} ms"
        usual = "" if item["usual_p95_ms"] is None else f" (usually up to {item['usual_p95_ms']:.0f} ms)"
        marks = [
            *(["failed"] if item["errors"] else []), *(["slower than usual"] if item["slower"] else []),
            *(["new to the map"] if item["edge"] is None else []),
        ]  # fmt: skip
        marked = f"  ← {', '.join(marks)}" if marks else ""
        lines.append(f"  {item['caller']} → {item['callee']}{took}{usual}{marked}")
    return lines


def diff_lines(answer: Answer) -> list[str]:
    """What is new, gone or changed on the map, edge by edge (see `bot.web.questions`)."""
    lines = [f"{answer['total']} changes from {answer['from']} to {answer['to']}"]
    for item in answer["items"]:
        what = f" ({', '.join(item['what'])})" if item["what"] else ""
        layer = f" [{item['layer']}]" if item["layer"] else ""
        lines.append(f"  {item['kind']:8}{item['caller']} → {item['callee']}{what}{layer}")
    return lines


def digest_lines(answer: Answer) -> list[str]:
    """What a daily digest would tell (see `bot.web.digest`)."""
    lines = [f"{answer['total']} new, gone or changed from {answer['from']} to {answer['to']}"]
    for item in answer["items"]:
        counts = ", ".join(f"{layer} {part['calls']:,.0f}" for layer, part in item["layers"].items())
        inversion = f"tier {item['tier_inversion']}" if item["tier_inversion"] else ""
        marks = ["other team's" * item["cross_team"], "external" * item["external"], inversion]
        facts = [*item["what"], *marks, counts, f"owner {item['owner']}" if item["owner"] else "no owner known"]
        lines.append(f"  {item['kind']:8}{item['caller']} → {item['callee']}  {' · '.join(filter(None, facts))}")
    more = answer["total"] - len(answer["items"])
    lines += [f"  and {more} more"] if more else []
    if answer["unattributed"] is not None:
        lines.append(f"{_percent(answer['unattributed'])} of connections have an end that nobody could attribute")
    return lines


def change_lines(answer: Answer) -> list[str]:
    """Change events, newest first (see `bot.web.changes`)."""
    more = " and more" if answer["next_cursor"] else ""
    lines = [f"{len(answer['items'])} changes{more} from {answer['from']} to {answer['to']}"]
    for item in answer["items"]:
        author = f", by {item['author']}" if item["author"] else ""
        link = f"  {item['link']}" if item["link"] else ""
        lines.append(
            f"  {item['at']}  {item['kind']:7}{item['service']}: {item['title']}{author} [{item['source']}]{link}"
        )
    return lines


def accuracy_lines(answer: Answer) -> list[str]:
    """How right the bot was (see `bot.grading.accuracy`)."""
    lines = [f"since {answer['from']}: {answer['says']}"]
    if not answer["incidents"]:
        return lines
    radius, causes = answer["radius"], answer["causes"]
    lines.append(
        f"blast radius: {radius['hit']} of {radius['predicted']} predicted were hit ({_percent(radius['precision'])}), "
        f"{radius['missed']} hit and not predicted (recall {_percent(radius['recall'])})"
    )
    lines.append(_causes("likely causes", causes))
    for one in answer["calibration"]:
        if one["count"]:
            lines.append(f"  said {_percent(one['said'])}: right {_percent(one['right'])} of {one['count']}")
    lines += [_causes(f"  evidence {name}", found) for name, found in answer["evidence"].items()]
    lines += [_causes(f"  layer {name}", found["causes"]) for name, found in answer["layers"].items()]
    lines += [_causes(f"  {one['week']}", one["causes"]) for one in answer["weeks"]]
    return lines


def _causes(title: str, found: Answer) -> str:
    if not found["confirmed"]:
        return f"{title}: none confirmed"
    return (
        f"{title}: first {_percent(found['first'])}, among three {_percent(found['among_three'])} of {found['confirmed']}; "
        f"named {found['named']} times, right {_percent(found['named_right'])}"
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}%"
