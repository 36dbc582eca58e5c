"""What logs show of a failure: where it was, and no secret that was at hand."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import structlog

from bot import logs


@pytest.fixture
def as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.usefixtures("as_before")
def test_a_traceback_shows_where_it_failed_and_no_value_of_a_variable(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(log_format, "info")
    secret = secrets.token_hex(16)
    try:
        _connect(secret)
    except RuntimeError:
        structlog.get_logger("test").exception("it failed")

    shown = capsys.readouterr().err
    assert "it failed" in shown
    assert "in _connect" in shown
    assert secret not in shown


def _connect(token: str) -> None:
    raise RuntimeError("no connection")
