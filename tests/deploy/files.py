"""Where the deploy folder is, and how its files are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def load(name: str) -> Any:
    """The YAML document `name`, relative to the deploy folder."""
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def texts() -> dict[str, str]:
    """Every text that is shipped for deploying, by its path from the repository's top."""
    paths = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in (*paths, ROOT / "Dockerfile", ROOT / ".dockerignore")
    }
