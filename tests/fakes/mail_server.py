"""A mail server: a real SMTP server on loopback, by aiosmtpd, that keeps what it is given, or refuses it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope


class MailServer:
    def __init__(self) -> None:
        self.url = ""
        self.heard: list[tuple[list[str], EmailMessage]] = []
        """To whom, and what."""
        self.refuses: dict[str, str] = {}
        """What is said to whom instead."""
        self.answers = "250 OK"
        """What is said to a message."""
        self.hangs = False
        self.hanging = 0

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if self.hangs:
            self.hanging += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.hanging -= 1
        if self.answers.startswith("2"):
            message = message_from_bytes(envelope.content or b"", policy=policy.default)  # type: ignore[arg-type]
            self.heard.append((list(envelope.rcpt_tos), message))  # type: ignore[arg-type]
        return self.answers


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """Serve on loopback."""
    made = MailServer()
    listening = await asyncio.get_running_loop().create_server(lambda: SMTP(made), "127.0.0.1", 0)
    made.url = f"smtp://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        listening.close()
