"""One open session with an MCP server, in a task of its own, as the SDK wants it."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

import httpx2
from mcp.client import Client
from mcp.client.session import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, ElicitResult, Implementation
from pydantic import ValidationError

from ingram_app.gateways import outbound
from ingram_app.gateways.mcp import reading
from ingram_app.gateways.mcp.peer import Answer, Asked, McpFailed, Peer, Question
from ingram_app.gateways.outbound import ForbiddenTarget

OPEN_SECONDS = 10
READ_SECONDS = 150
CLOSE_SECONDS = 2
_REFUSALS = (401, 403, 404, 429)
"""What is said of us. Other statuses below 500 are said of what we asked, and explained in the answer."""
US = Implementation(name="ingram-cloud", version="1")
Done = TypeVar("Done")


class Session:
    """Used by one call at a time."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.client: Client
        self.is_new = True
        self.used_at = monotonic()
        self._auth = _Signed(peer)
        self._answers: Sequence[Answer] = ()
        self._asked: asyncio.Future[Question] = asyncio.get_running_loop().create_future()
        self._open = asyncio.Event()
        self._over = asyncio.Event()
        self._living = asyncio.create_task(self._live())

    async def open(self) -> None:
        """Return once the server has taken us in. Raises `McpFailed`."""
        await self.do(self._open.wait(), OPEN_SECONDS)

    def expect(self, answers: Sequence[Answer]) -> None:
        """Have these answers at hand during the next call."""
        self._answers, self._asked = answers, asyncio.get_running_loop().create_future()

    async def do(self, work: Coroutine[Any, Any, Done], seconds: float) -> Done:
        """Return what comes of one request. Raises `Asked`, `MCPError`, `McpFailed`."""
        doing = asyncio.ensure_future(work)
        try:
            waiting: set[asyncio.Future[Any]] = {doing, self._living, self._asked}
            done, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise McpFailed(f"it did not answer in {seconds:g} seconds")
            if doing not in done and self._asked in done:
                raise Asked(self._asked.result())
            if self._living in done:
                raise self._failure()
            if _is_cut_off(doing):
                await asyncio.wait({self._living}, timeout=CLOSE_SECONDS)  # it says why
                raise self._failure()
            return self._result_of(doing)
        finally:
            doing.cancel()
            await asyncio.wait({doing})

    async def close(self) -> None:
        self._over.set()
        await asyncio.wait({self._living}, timeout=CLOSE_SECONDS)
        self._living.cancel()
        with suppress(BaseException):
            await asyncio.wait({self._living})

    @property
    def is_alive(self) -> bool:
        return not self._living.done()

    async def _live(self) -> None:
        timeout = httpx2.Timeout(READ_SECONDS, connect=OPEN_SECONDS)
        way = streamable_http_client(
            self.peer.url, http_client=outbound.bounded_client(auth=self._auth, timeout=timeout)
        )
        async with Client(way, client_info=US, elicitation_callback=self._elicit, cache=None) as self.client:
            self._open.set()
            await self._over.wait()

    async def _elicit(self, context: ClientRequestContext, params: Any) -> ElicitResult:
        """Give the server the answer that is at hand, or tell whoever makes the call that there is none yet."""
        question = reading.question(params)
        for answer in self._answers:
            if answer.question == question:
                return ElicitResult(action=answer.action, content=answer.content)
        if not self._asked.done():
            self._asked.set_result(question)
        await self._over.wait()
        return ElicitResult(action="cancel")

    def _result_of(self, doing: "asyncio.Future[Done]") -> Done:
        try:
            return doing.result()
        except MCPError:
            status = self._auth.refused_with
            if status == 404 and not self.is_new:
                raise McpFailed("it has forgotten the session", status, unheard=True) from None
            if status is not None and (status in _REFUSALS or status >= 500):
                raise McpFailed(f"it answered {status}", status) from None
            raise
        except (ValidationError, RuntimeError) as odd:
            raise McpFailed(f"its answer makes no sense: {reading.cut(str(odd), 200)}") from None

    def _failure(self) -> McpFailed:
        """Return why the session has ended, or why its last request has."""
        over = self._living.done() and not self._living.cancelled()
        cause = self._living.exception() if over else None
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, ForbiddenTarget):
            return McpFailed(cause.sentence)
        if isinstance(cause, MCPError):
            status = self._auth.refused_with
            return McpFailed(f"it answered {status}" if status else reading.cut(cause.error.message, 200), status)
        if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
            return McpFailed("it can not be reached", unheard=not self.is_new)
        return McpFailed(f"the connection broke ({reading.cut(str(cause), 200)})" if cause else "the connection broke")


def _is_cut_off(doing: "asyncio.Future[Any]") -> bool:
    failure = doing.exception()
    return isinstance(failure, MCPError) and failure.error.code == CONNECTION_CLOSED


class _Signed(httpx2.Auth):
    """Puts on each request who asks, and remembers with what the last was refused."""

    requires_request_body = True

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.refused_with: int | None = None

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        if self._peer.bearer is not None:
            request.headers["Authorization"] = f"Bearer {self._peer.bearer}"
        request.headers.update(self._peer.headers(await request.aread()))
        answer = yield request
        if request.method == "POST":
            self.refused_with = answer.status_code if answer.status_code >= 400 else None
