"""Which version of the tables this program's migrations lead to."""

from __future__ import annotations

from pathlib import Path

from bot.storage import migrations

HEAD = max(one.name[:4] for one in (Path(migrations.__file__).parent / "versions").glob("[0-9]*.py"))
