"""The agent's log: one line an event on stderr, for people or as JSON."""

import logging
import sys
from typing import Any

import structlog

log: Any = structlog.get_logger()


def configure_logs(*, as_json: bool) -> None:
    """Send every event to stderr, as JSON or as key=value, coloured on a terminal."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
