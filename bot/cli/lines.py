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
    """What is new, gone or changed on the map, edge by edge (see `bot.web.api`)."""
    lines = [f"{answer['total']} changes from {answer['from']} to {answer['to']}"]
    for item in answer["items"]:
        what = f" ({', '.join(item['what'])})" if item["what"] else ""
        layer = f" [{item['layer']}]" if item["layer"] else ""
        lines.append(f"  {item['kind']:8}{item['caller']} → {item['callee']}{what}{layer}")
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
