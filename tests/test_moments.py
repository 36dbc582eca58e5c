"""Moments as people write them."""

from __future__ import annotations

import pytest

from bot.errors import BadRequest
from bot.moments import parse

NOW = 1_795_428_000.0  # 2026-11-23T10:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-1h", NOW - 3_600), ("-90s", NOW - 90), ("-1.5d", NOW - 129_600), ("02:50", NOW - 7 * 3_600 - 600), ("10:00", NOW),
        ("10:01", NOW - 86_400 + 60), ("2026-11-23T09:00:00Z", NOW - 3_600), ("2026-11-23T10:00:00+01:00", NOW - 3_600),
        ("2026-11-23 09:00", NOW - 3_600), ("1795424400", NOW - 3_600), (" -1h ", NOW - 3_600),
    ],
)  # fmt: skip
def test_a_moment_is_read(text: str, expected: float) -> None:
    assert parse(text, NOW) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "1h", "-1y", "25:00", "2026-13-01", "-" + "9" * 50 + "h", "\x00", "12345"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="no time"):
        parse(text, NOW)
