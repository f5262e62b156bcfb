"""A receiver of webhooks: a real HTTP server on loopback that does what the path says, and keeps what it heard.

/ok   /fail   /hang   /redirect   /huge   /trickle      anything may follow: /ok/first
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.fakes.http import Connection, Reply, Request

HUGE = 5_000_000


class Receiver:
    def __init__(self) -> None:
        self.address = ""
        self.heard: list[Request] = []
        self.instead: dict[str, str] = {}
        """What is done at a path in place of what it says."""
        self.hanging = 0

    def at(self, path: str) -> list[Request]:
        """Return what came to a path."""
        return [request for request in self.heard if request.path == path]

    def told(self, path: str) -> list[dict[str, Any]]:
        """Return the events that came to a path."""
        return [json.loads(request.body) for request in self.at(path)]

    async def handle(self, request: Request, reply: Reply) -> None:
        self.heard.append(request)
        match self.instead.get(request.path, request.path.split("/")[1]):
            case "ok":
                reply.json({"thanks": True})
            case "fail":
                reply.json({"sorry": "not today"}, 500)
            case "hang":
                await self._hang()
            case "redirect":
                location = b"location: http://169.254.169.254/latest/meta-data\r\n"
                reply.transport.write(b"HTTP/1.1 302 -\r\n" + location + b"content-length: 0\r\n\r\n")
            case "huge":
                reply.transport.write(b"HTTP/1.1 200 -\r\ncontent-length: %d\r\n\r\n" % HUGE)
                reply.transport.write(b"\x00\xff" * (HUGE // 2))
            case "trickle":
                reply.begin_stream()
                await reply.send(b"slowly")
                await self._hang()

    async def _hang(self) -> None:
        self.hanging += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.hanging -= 1


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Serve on loopback."""
    receiver = Receiver()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(receiver.handle), "127.0.0.1", 0)
    receiver.address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        listening.close()
