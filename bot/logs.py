"""Structured logs on standard error: one line an event, JSON where a program reads them."""

from __future__ import annotations

import sys

import structlog


def configure(log_format: str, log_level: str) -> None:
    """Structured logs on standard error: text on a terminal, JSON elsewhere."""
    as_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    # The renderer's own choice shows the values of local variables with a traceback, and some of them are secrets.
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: structlog.typing.Processor = plain if as_text else structlog.processors.JSONRenderer()
    levels = {"debug": 10, "info": 20, "warning": 30, "error": 40}
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([] if as_text else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels[log_level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
