"""Wires: HTTP/1.1 straight on the event loop, for a third of what the usual transport costs.

What arrives together is parsed at once, by the parser of Node.js, and read at once.
"""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import httptools
import httpx2

HELD_BYTES = 256 * 1024
"""What has come and was not read yet: past it the other side has to wait."""
HEAD_BYTES = 64 * 1024
_LAST_INTERIM = 199
_SWITCHING = 101

Origin = tuple[str, str, int]
Connect = Callable[[Callable[[], "Wire"], str, int, ssl.SSLContext | None], Awaitable["Wire"]]


class Wires(httpx2.AsyncBaseTransport):
    """A transport that keeps its connections for `idle_seconds`; `connect` makes them."""

    def __init__(
        self, connect: Connect, trust: Callable[[], ssl.SSLContext], *, most: int, idle_seconds: float
    ) -> None:
        self._connect = connect
        self._trust = trust
        self._idle_seconds = idle_seconds
        self._free = asyncio.Semaphore(most)
        self._idle: defaultdict[Origin, list[Wire]] = defaultdict(list)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its answer once that has begun. Raises the errors of httpx2."""
        head, patience = _head(request), request.extensions.get("timeout", {})
        async with _within(patience.get("pool"), httpx2.PoolTimeout, httpx2.ReadError):
            await self._free.acquire()
        wire = None
        try:
            wire = await self._wire(request.url, patience.get("connect"))
            await wire.send(request, head, patience.get("write"))
            status, headers, reason = await wire.hear(patience.get("read"))
        except BaseException:
            self._free.release()
            if wire is not None:
                wire.abort()
            raise
        stream = _Body(wire, patience.get("read"), self._take_back)
        extensions = {"http_version": b"HTTP/1.1", "reason_phrase": reason}
        return httpx2.Response(status, headers=headers, stream=stream, extensions=extensions)

    async def aclose(self) -> None:
        for idle in self._idle.values():
            for wire in idle:
                wire.abort()
        self._idle.clear()

    async def _wire(self, url: httpx2.URL, seconds: float | None) -> "Wire":
        secret = url.scheme == "https"
        origin = (url.scheme, url.host, url.port or (443 if secret else 80))
        idle = self._idle[origin]
        while idle:
            if (wire := idle.pop()).wakes():
                return wire
        async with _within(seconds, httpx2.ConnectTimeout, httpx2.ConnectError):
            context = self._trust() if secret else None
            return await self._connect(lambda: Wire(origin), origin[1], origin[2], context)

    def _take_back(self, wire: "Wire") -> None:
        self._free.release()
        if wire.sleeps(self._idle_seconds):
            self._idle[wire.origin].append(wire)
        else:
            wire.abort()


class Wire(asyncio.Protocol):
    """One connection; one request and its answer at a time."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.over = False
        """No more of the answer will come."""
        self._transport: asyncio.Transport | None = None
        self._failure: Exception | None = None
        self._heard: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._bedtime: asyncio.TimerHandle | None = None
        self._await_answer(bodyless=False)

    def _await_answer(self, *, bodyless: bool) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._bodyless = bodyless
        self._headers: list[tuple[bytes, bytes]] = []
        self._reason = b""
        self._status = 0
        self._came: list[bytes] = []
        self._held = self._read = 0
        self._framed = self._keeps = False
        self.over = False

    async def send(self, request: httpx2.Request, head: bytes, seconds: float | None) -> None:
        """Send a request. Raises `WriteError`, `WriteTimeout`."""
        self._await_answer(bodyless=request.method == "HEAD")
        chunked = "transfer-encoding" in request.headers
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        async for piece in request.stream:
            if piece:
                head += b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
                await self._write(head, seconds)
                head = b""
        if rest := head + (b"0\r\n\r\n" if chunked else b""):
            await self._write(rest, seconds)

    async def hear(self, seconds: float | None) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Return status, headers and reason of the answer. Raises `ReadError`, `ReadTimeout`, `RemoteProtocolError`."""
        while not self._status:
            await self._more(seconds)
        return self._status, self._headers, self._reason

    async def read(self, seconds: float | None) -> bytes:
        """Return what has come of the body, nothing at its end. Raises as `hear`."""
        while not self._came and not self.over:
            await self._more(seconds)
        came, self._came = b"".join(self._came), []
        if self._held > HELD_BYTES and self._transport is not None:
            self._transport.resume_reading()
        self._held = 0
        return came

    def sleeps(self, seconds: float) -> bool:
        """Tell whether the connection can be used again within so many seconds; then it closes itself."""
        if not (self.over and self._keeps) or self._transport is None or self._transport.is_closing():
            return False
        self._bedtime = asyncio.get_running_loop().call_later(seconds, self.abort)
        return True

    def wakes(self) -> bool:
        """Tell whether the connection is still there."""
        if self._bedtime is not None:
            self._bedtime.cancel()
            self._bedtime = None
        return self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _write(self, data: bytes, seconds: float | None) -> None:
        if self._transport is None or self._transport.is_closing():
            raise httpx2.WriteError(f"the connection is closed: {self._failure or 'by the other side'}")
        self._transport.write(data)
        if self._drained is not None:
            async with _within(seconds, httpx2.WriteTimeout, httpx2.WriteError):
                await asyncio.shield(self._drained)

    async def _more(self, seconds: float | None) -> None:
        """Return once more of the answer has come, or its end."""
        if self._failure is not None:
            raise self._failure
        loop = asyncio.get_running_loop()
        self._heard = loop.create_future()
        alarm = None if seconds is None else loop.call_later(seconds, self._fail, httpx2.ReadTimeout("nothing came"))
        try:
            await self._heard
        finally:
            if alarm is not None:
                alarm.cancel()

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        self._wake()

    def _wake(self) -> None:
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(None)

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        if self._bedtime is not None:
            return self.abort()  # it speaks without being asked
        self._read += len(data)
        try:
            self._parser.feed_data(data)
            if not self._status and self._read > HEAD_BYTES:
                raise httptools.HttpParserError("its headers have no end")
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as nonsense:
            self._fail(httpx2.RemoteProtocolError(str(nonsense)))
            return self.abort()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._fail(httpx2.ReadError(str(exc)))
        elif self._status and not self._framed:
            self.over = True  # the end of the connection is that of the answer
            self._wake()
        elif not self.over:
            broke = "in the middle of its answer" if self._status else "without an answer"
            self._fail(httpx2.RemoteProtocolError(f"it closed the connection {broke}"))
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(exc or ConnectionResetError("the connection is closed"))
            self._drained.exception()  # perhaps nobody waits

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # what the parser calls

    def on_message_begin(self) -> None:
        if self.over:
            raise httptools.HttpParserError("it says more than it was asked for")

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        self._framed = self._framed or name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == _SWITCHING:
            raise httptools.HttpParserError("it goes over to another protocol")
        if status <= _LAST_INTERIM:
            self._headers, self._reason, self._framed = [], b"", False
            return
        self._status = status
        self._framed = self._framed or status in (204, 304)
        if self._bodyless:
            self.over = self._framed = True

    def on_body(self, piece: bytes) -> None:
        self._came.append(piece)
        if self._held <= HELD_BYTES < self._held + len(piece) and self._transport is not None:
            self._transport.pause_reading()
        self._held += len(piece)

    def on_message_complete(self) -> None:
        if self._status and not self.over:
            self.over, self._keeps = True, self._parser.should_keep_alive()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, wire: Wire, seconds: float | None, take_back: Callable[[Wire], None]) -> None:
        self._wire: Wire | None = wire
        self._seconds = seconds
        self._take_back = take_back

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._wire is not None and (piece := await self._wire.read(self._seconds)):
            yield piece

    async def aclose(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            self._take_back(wire)


def _head(request: httpx2.Request) -> bytes:
    """Return the beginning of a request. Raises `LocalProtocolError`: nobody's value may become another header."""
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%b: %b" % pair for pair in request.headers.raw]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise httpx2.LocalProtocolError("a header holds what no header may hold")
    return head + b"\r\n\r\n"


@asynccontextmanager
async def _within(
    seconds: float | None, late: type[httpx2.TimeoutException], failed: type[httpx2.TransportError]
) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except OSError as error:  # those of TLS as well
        raise failed(str(error)) from error
