"""The gate: what every request passes: it gets an id, a bound on its size, a line in the log, a count."""

import asyncio
import logging
import re
import time
from contextlib import suppress
from urllib.parse import quote, unquote

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingram_app.api.errors import METHODS, answer
from ingram_app.core import log
from ingram_app.core.errors import IngramError, TooLarge
from ingram_app.core.ids import new_id

SLASH = "\ue02f"
"""What stands in a path for a slash that belongs to a name, not to the path; nobody may use it in a name."""
BODY_BYTES = 2 * 1024 * 1024
RUN_BYTES = 12 * 1024 * 1024
"""Of a request that starts a run: it may bring pictures and files."""
LINGER_SECONDS = 2
_RUNS = re.compile(r"/v1/smiths/[^/]+/runs")
_logger = logging.getLogger(__name__)
_requests = Counter("ingram_requests_total", "Requests answered.", ["method", "route", "status"])
_seconds = Histogram("ingram_request_seconds", "Time until the answer began.", ["method", "route"])


class PayloadTooLarge(TooLarge):
    """The request has more than {most} bytes."""


class Gate:
    """The outermost layer of the API."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        scope = _with_slashes(scope)
        request_id = new_id("req")
        log.forget()
        log.bind(request_id=request_id)
        begun = time.perf_counter()
        started = False

        async def stamped(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
                _count(scope, message["status"], time.perf_counter() - begun)
            await send(message)

        try:
            most = RUN_BYTES if scope["method"] == "POST" and _RUNS.fullmatch(scope["path"]) else BODY_BYTES
            await _refuse_large(Headers(scope=scope), receive, most)
            await self.app(scope, _bounded(receive, most), stamped)
        except PayloadTooLarge as error:
            await answer(error)(scope, receive, stamped)
        except Exception:
            _logger.exception("the request failed")
            if started:
                raise
            await answer(IngramError())(scope, receive, stamped)


def _with_slashes(scope: Scope) -> Scope:
    """Tell a slash that was sent as `%2F` from those that part the path."""
    raw: bytes = scope.get("raw_path", b"").partition(b"?")[0]
    if b"%2f" not in raw.lower():
        return scope
    names = [unquote(name).replace("/", SLASH) for name in raw.decode("ascii", "replace").split("/")]
    return {**scope, "path": "/".join(names)}


async def _refuse_large(headers: Headers, receive: Receive, most: int) -> None:
    length = headers.get("content-length", "0")
    if length.isdecimal() and (len(length) > 20 or int(length) > most):
        await _let_finish(receive)
        raise PayloadTooLarge(most=most)


def _bounded(receive: Receive, most: int) -> Receive:
    read = 0

    async def bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            if message.get("more_body"):
                await _let_finish(receive)
            raise PayloadTooLarge(most=most)
        return message

    return bounded


async def _let_finish(receive: Receive) -> None:
    """Drop what a client is still sending, within bounds: one that is cut off while it sends never reads the answer."""
    dropped = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while dropped < RUN_BYTES:
                message = await receive()
                dropped += len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def _count(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in METHODS else "other"
    _requests.labels(method, route, status).inc()
    _seconds.labels(method, route).observe(seconds)
    level = logging.INFO if status < 500 else logging.WARNING
    _logger.log(level, "%s %s %s %.1f ms", method, quote(scope["path"]), status, seconds * 1000)
