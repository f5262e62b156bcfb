"""The log: one line an event, with the ids of the request, project and run it belongs to, and never a secret."""

import logging
import re
import sys
from typing import Any

import structlog

from ingram_app.core.settings import settings

_SECRET = re.compile(r"(th[aop]_live_)[\w.-]+|(\bsk-|\bAIza|whsec_)[\w+/=-]{8,}")
_MARKS = ("_live_", "sk-", "AIza", "whsec_")
"""One of them stands in every secret; looking for them takes a tenth of the time."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST = 8000
"""Characters of one line's words: visitors without a session can have some of theirs logged."""
bind = structlog.contextvars.bind_contextvars
"""Say what the lines of this task, and of those it begins, belong to."""
forget = structlog.contextvars.clear_contextvars


def without_secrets(_: object, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Blot out whatever looks like a token or a provider's key."""
    return {k: _blotted(v) if isinstance(v, str) else v for k, v in event.items()}


def _blotted(words: str) -> str:
    return _SECRET.sub(r"\1\2…", words) if any(mark in words for mark in _MARKS) else words


def on_one_line(_: object, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Spell out what would begin a line of its own, or have a terminal obey; only tracebacks keep their lines."""
    return {k: _plain(v, kept="\n" if k == "exception" else "") if isinstance(v, str) else v for k, v in event.items()}


def _plain(words: str, kept: str) -> str:
    if kept == "" and len(words) > _LONGEST:
        words = words[:_LONGEST] + "…"
    if words.isprintable():
        return words
    return _CONTROL.sub(lambda letter: letter[0] if letter[0] in kept else ascii(letter[0])[1:-1], words)


def set_up() -> None:
    """Send everything that is logged, ours and the libraries', to standard error in one form."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line tells of them
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_secrets,
        on_one_line,
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
    for chatty in ("httpx", "httpx2", "google_genai"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
