"""Finds the Debian programs that tests start: Prometheus, Alertmanager, Chromium, PostgreSQL.

A test that misses one is skipped with the package to install, or fails where `TOPOLOGY_BOT_TESTS_REQUIRE_DEBIAN=1` says
that nothing may be missing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

INSIST = "TOPOLOGY_BOT_TESTS_REQUIRE_DEBIAN"
POSTGRESQL = Path("/usr/lib/postgresql")


def require_prometheus() -> str:
    """The path of `prometheus`."""
    return _program("prometheus", "prometheus")


def require_alertmanager() -> str:
    """The path of Alertmanager, which Debian calls `prometheus-alertmanager`."""
    return _program("prometheus-alertmanager", "prometheus-alertmanager", "alertmanager")


def require_chromium() -> str:
    """The path of `chromium`."""
    return _program("chromium", "chromium")


def require_postgresql() -> Path:
    """The folder with `initdb`, `postgres` and `pg_ctl` of the newest version installed; Debian keeps them off the PATH."""
    folders = [found.parent for found in POSTGRESQL.glob("*/bin/initdb") if found.parent.parent.name.isdecimal()]
    return max(folders, key=lambda folder: int(folder.parent.name)) if folders else _missing("postgresql")


def _program(package: str, *names: str) -> str:
    return next((path for path in map(shutil.which, names) if path), None) or _missing(package)


def _missing(package: str) -> NoReturn:
    reason = f"{package} is not installed: apt-get install {package}"
    if os.environ.get(INSIST) == "1":
        pytest.fail(reason)
    pytest.skip(reason)
