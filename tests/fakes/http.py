"""A small, fast HTTP/1.1 server side: requests in, whole answers or event streams out. Keep-alive, no pipelining."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast


@dataclass(slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass(slots=True)
class Reply:
    """Writes one answer to one request."""

    transport: asyncio.Transport
    can_write: asyncio.Event
    streaming: bool = field(default=False)

    def json(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.whole(json.dumps(content).encode(), status, **{"content-type": "application/json"} | (headers or {}))

    def whole(self, body: bytes = b"", status: int = 200, **headers: str) -> None:
        named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.transport.write(f"HTTP/1.1 {status} -\r\n{named}content-length: {len(body)}\r\n\r\n".encode() + body)

    def begin_stream(self) -> None:
        self.streaming = True
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )

    async def send(self, piece: bytes) -> None:
        """Write a piece of the stream, when the reader keeps up."""
        if self.transport.is_closing():
            await asyncio.Event().wait()  # until we are cancelled, since the reader is gone
        if not self.can_write.is_set():
            await self.can_write.wait()
        self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def end_stream(self) -> None:
        self.transport.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Drop the connection in the middle of the answer, once what was written has left."""
        self.transport.close()


Handler = Callable[[Request, Reply], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One connection; its handler is a coroutine, cancelled when the other side goes away."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._can_write.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._take_one()

    def _take_one(self) -> None:
        request, self._buffer = _parse(self._buffer)
        if request is not None:
            self._task = asyncio.get_running_loop().create_task(self._serve(request))

    async def _serve(self, request: Request) -> None:
        await self._handler(request, Reply(self._transport, self._can_write))
        self._task = None
        if self._buffer and not self._transport.is_closing():
            self._take_one()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Have a handler answer on loopback while the block lasts; yield the address."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(handler), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def _parse(buffer: bytes) -> tuple[Request | None, bytes]:
    """Return the first whole request of the buffer, and what follows it."""
    head, found, rest = buffer.partition(b"\r\n\r\n")
    if not found:
        return None, buffer
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0))
    if len(rest) < length:
        return None, buffer
    method, path, _ = first.split(" ")
    return Request(method, path, headers, rest[:length]), rest[length:]
