"""How agent and collector speak to their operator: one line an event on standard error."""

import logging
import sys
from typing import Any

# structlog imports rich for tracebacks that nobody here sees, and that alone takes a trap as long as numpy.
_is_hidden = sys.modules.setdefault("rich", None) is None  # type: ignore[arg-type]
import structlog  # noqa: E402

if _is_hidden:
    del sys.modules["rich"]

log: Any = structlog.get_logger()


def configure_logs(*, as_json: bool) -> None:
    """Choose JSON, colours on a terminal, or key=value; from level info on."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(as_json=as_json, is_terminal=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _renderers(*, as_json: bool, is_terminal: bool) -> list[structlog.typing.Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if is_terminal:
        return [structlog.dev.ConsoleRenderer(pad_event_to=0)]
    order = ["timestamp", "level", "event"]
    return [structlog.processors.format_exc_info, structlog.processors.LogfmtRenderer(key_order=order)]
