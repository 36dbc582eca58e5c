"""The demo sets up logging for its whole process; other tests of the same process want it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what the demo does to the logs."""
    yield
    structlog.reset_defaults()
