"""Finds the Debian programs that tests start. A test that misses one is skipped with the package to install."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_PROGRAMS = {
    "prometheus": ("prometheus", "/usr/bin/prometheus"),
    "alertmanager": ("prometheus-alertmanager", "/usr/bin/prometheus-alertmanager"),
    "chromium": ("chromium", "/usr/bin/chromium"),
}


def require(name: str) -> str:
    """The path of a program; skips the test where it is not installed, or fails where the environment insists."""
    package, path = _PROGRAMS[name]
    if Path(path).exists():
        return path
    reason = f"{name} is not installed: apt-get install {package}"
    if os.environ.get("TOPOLOGY_BOT_TESTS_REQUIRE_DEBIAN"):
        pytest.fail(reason)
    pytest.skip(reason)
