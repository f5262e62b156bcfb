"""Wires: the requests of httpx2, carried by aiohttp, for a third of what its own transport costs.

Nothing else of aiohttp's client is used: it follows no redirect, unpacks nothing, keeps no cookie, asks no environment.
"""

import asyncio
import io
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import aiohttp
import httpx2
from yarl import URL

HEAD_BYTES = 64 * 1024
"""More than the head of an answer is long."""
IDLE_SECONDS = 30
"""How long a connection is kept for the next request."""
GATHERED = "gathered"
"""The extension of a request whose answer is read in fewer pieces: a function that returns for how many seconds what
comes is left to gather after each piece. Nothing waits once all is there."""
_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What aiohttp would add by itself."""

Address = tuple[int, int, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` tells one: family, kind, protocol, name, (host, port, …)."""
SocketFor = Callable[[Address], socket.socket]
"""Makes the socket for an address, or raises an `OSError`; then the next address is tried, if the name has one."""


class Wires(httpx2.AsyncBaseTransport):
    """A transport whose connections are made by `socket_for`: one to an address that it refuses is not made."""

    def __init__(self, socket_for: SocketFor, trust: ssl.SSLContext, *, most: int) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=trust, limit=most, keepalive_timeout=IDLE_SECONDS, socket_factory=socket_for
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_ADDED,
            auto_decompress=False,
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its answer once that has begun. Raises the errors of httpx2."""
        body = await request.aread()
        headers = [(name, value) for name, value in request.headers.multi_items() if name != "transfer-encoding"]
        seconds = request.extensions.get("timeout", {})
        with _failures(request):
            async with asyncio.timeout(_until_the_head(seconds)):
                answer = await self._session.request(
                    request.method,
                    _address(request.url),
                    data=io.BytesIO(body) if body else None,
                    headers=headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(connect=seconds.get("connect"), sock_read=seconds.get("read")),
                )
        return httpx2.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer, request))

    async def aclose(self) -> None:
        await self._session.close()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse, request: httpx2.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content, seconds = self._answer.content, self._request.extensions.get(GATHERED)
        all_there = asyncio.Event()
        content.on_eof(all_there.set)
        with _failures(self._request):
            async for piece in content.iter_any():
                yield piece
                if seconds is not None and not all_there.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(seconds()):
                            await all_there.wait()

    async def aclose(self) -> None:
        self._answer.release()  # a connection on which more is to come is closed


def _address(url: httpx2.URL) -> URL:
    return URL(f"{url.scheme}://{url.netloc.decode('ascii')}{url.raw_path.decode('ascii')}", encoded=True)


def _until_the_head(seconds: dict[str, float | None]) -> float | None:
    """Return how long an answer may take to begin: aiohttp waits for ever for one who does not read."""
    waits = [seconds.get(name) for name in ("connect", "write", "read")]
    return None if None in waits else sum(wait for wait in waits if wait is not None)


@contextmanager
def _failures(request: httpx2.Request) -> Iterator[None]:
    """Turn what aiohttp raises into what httpx2 does."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, ValueError) as failure:
        raise _kind(failure)(str(failure) or type(failure).__name__, request=request) from failure


def _kind(failure: Exception) -> type[httpx2.TransportError]:
    match failure:
        case aiohttp.ConnectionTimeoutError():
            return httpx2.ConnectTimeout
        case TimeoutError():
            return httpx2.ReadTimeout
        case aiohttp.ClientConnectorError():
            return httpx2.ConnectError
        case aiohttp.InvalidURL():
            return httpx2.UnsupportedProtocol
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | aiohttp.ClientResponseError():
            return httpx2.RemoteProtocolError
        case aiohttp.ClientError():
            return httpx2.ReadError
    return httpx2.LocalProtocolError
