"""The log: one line an event, with the ids of the request, project and run it belongs to, and never a secret."""

import logging
import re
import sys
from typing import Any

import structlog

from ingram_app.core.settings import settings

_SECRET = re.compile(r"(th[aop]_live_)[\w.-]+|(\bsk-|\bAIza|whsec_)[\w-]{8,}")
bind = structlog.contextvars.bind_contextvars
"""Say what the lines of this task, and of those it begins, belong to."""
forget = structlog.contextvars.clear_contextvars


def without_secrets(_: object, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Blot out whatever looks like a token or a provider's key."""
    return {k: _SECRET.sub(r"\1\2…", v) if isinstance(v, str) else v for k, v in event.items()}


def set_up() -> None:
    """Send everything that is logged, ours and the libraries', to standard error in one form."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_secrets,
    ]
    last = (
        structlog.processors.JSONRenderer()
        if settings().log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for chatty in ("httpx", "httpx2", "procrastinate", "google_genai"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
