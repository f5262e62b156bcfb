"""Mail: one message to some people, over SMTP, by the server that `IC_SMTP_URL` names.

A password is only said where nobody listens: over `smtps://`, or after STARTTLS, without which it is not said at all.
The library takes 3 MB and is loaded with the first message.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

from ingram_app.core.settings import settings

SECONDS = 20
"""For each word of the server's."""
LONGEST_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of it."""

    unreached: list[str] = field(default_factory=list)
    """Addresses that the server refused, all of them when nothing was sent."""
    error: str | None = None
    """What went wrong, for one address at least."""
    is_final: bool = False
    """Whether the server will never take it, so that trying again is in vain."""


async def send(id: str, to: Sequence[str], subject: str, text: str) -> Sent:
    """Send a message; the same `id` makes it the same message to whoever gets it twice."""
    import aiosmtplib

    sender = settings().mail_from or ""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, ", ".join(to), subject
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = f"<{id}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    try:
        async with _connected() as server:
            refused, _ = await server.send_message(message, recipients=list(to))
    except aiosmtplib.SMTPRecipientsRefused as failed:
        final = all(one.code >= 500 for one in failed.recipients)
        return Sent(list(to), _said(failed.recipients[0]), is_final=final)
    except (aiosmtplib.SMTPException, OSError, ValueError) as failed:
        return Sent(list(to), _said(failed))
    said = [f"{answer.code} {answer.message}" for answer in refused.values()]
    return Sent(list(refused), said[0][:500] if said else None, is_final=True)


async def knock() -> str | None:
    """Return why the server would take no mail from us; none when it would."""
    import aiosmtplib

    try:
        async with _connected() as server:
            await server.noop()
    except (aiosmtplib.SMTPException, OSError, ValueError) as failed:
        return _said(failed)
    return None


@asynccontextmanager
async def _connected() -> AsyncIterator[Any]:
    """Sign in at the server. Whoever is cancelled meanwhile leaves without a word, and does not wait for one."""
    import aiosmtplib

    server = aiosmtplib.SMTP(**_server())
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            await server.connect()
            yield server
        with suppress(aiosmtplib.SMTPException, OSError):
            await server.quit()
    finally:
        server.close()


def _server() -> dict[str, Any]:
    url = settings().smtp_url
    parts = urlsplit(url.get_secret_value() if url else "")
    at_once = parts.scheme == "smtps"
    return {
        "hostname": parts.hostname,
        "port": parts.port or (465 if at_once else 587),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "use_tls": at_once,
        "start_tls": None if at_once else (True if parts.username else None),
        "timeout": SECONDS,
    }


def _said(failed: Any) -> str:
    code = getattr(failed, "code", None)
    return f"{f'{code} ' if code else ''}{getattr(failed, 'message', None) or failed}"[:500]
