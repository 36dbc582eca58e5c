"""Writes what a channel reads in each situation to `golden/`, and says what changed: `make golden`."""

from __future__ import annotations

import asyncio
import difflib
import json
import logging
from pathlib import Path
from typing import Any

import structlog

from tests.slack.situations import SITUATIONS

FOLDER = Path(__file__).parent / "golden"


def written(messages: list[dict[str, Any]]) -> str:
    """As the file has it."""
    return json.dumps(messages, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Write every situation, and print the lines that are not as they were."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    FOLDER.mkdir(exist_ok=True)
    changed = 0
    for name, play in SITUATIONS.items():
        path = FOLDER / f"{name}.json"
        before, after = path.read_text() if path.exists() else "", written(asyncio.run(play()))
        if before == after:
            continue
        changed += 1
        print(f"{name}: {'changed' if before else 'new'}")
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
        print("\n".join(f"  {line}" for line in lines if before and not line.startswith(("---", "+++", "@@"))))
        path.write_text(after)
    for path in FOLDER.glob("*.json"):
        if path.stem not in SITUATIONS:
            changed += 1
            print(f"{path.stem}: gone")
            path.unlink()
    print(f"{len(SITUATIONS)} situations, {changed} changed")


if __name__ == "__main__":
    main()
