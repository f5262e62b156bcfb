"""What a route may ask for: a caller, a transaction, a place in a list. And what every route under /v1 does first."""

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import log
from ingram_app.core.database import transaction
from ingram_app.core.errors import BadRequest, Invalid, Unauthenticated
from ingram_app.domain import access, idempotency, paging, tokens
from ingram_app.domain.idempotency import IdempotencyKey

VERSION = "2026-05-01"
DEPTH = 64
_BRACKETS = re.compile(rb"[\[\]{}]")
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_bearer = HTTPBearer(auto_error=False, description="A token: `tha_live_…`, `thp_live_…` or `tho_live_…`.")
_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class UnsupportedApiVersion(BadRequest):
    """There is no API version {version}. Send `IC-Api-Version: 2026-05-01`, or leave the header out."""


class SchemaError(Invalid):
    """{field}: {reason}"""


class Replay(Exception):
    """The request has been answered before: this is the answer."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class Route(APIRoute):
    """A route under /v1: asks who is calling before it reads anything else, and keeps its answer for whoever repeats
    the request with the same Idempotency-Key."""

    def get_route_handler(self) -> _Handler:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            version = request.headers.get("ic-api-version", VERSION)
            if version != VERSION:
                raise UnsupportedApiVersion(version=version[:40], param="IC-Api-Version")
            request.state.caller = await authenticate(request)
            # Here a body that is too long, or too deep, says so itself; FastAPI would only say that it is wrong.
            _refuse_depth(await request.body())
            response = await handle(request)
            known = getattr(request.state, "known", None)
            if known is not None and known.status is None and response.status_code < 400:
                await idempotency.keep(request.state.session, known, response.status_code, bytes(response.body))
            return response

        return guarded


def _refuse_depth(body: bytes) -> None:
    """Raises `SchemaError` for JSON whose lists and objects stand in each other deeper than anything needs."""
    if body.count(b"[") + body.count(b"{") <= DEPTH:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH:
            raise SchemaError(field="body", reason=f"it is nested too deep: at most {DEPTH} levels are taken")


async def authenticate(request: Request) -> access.Caller:
    """Return who asks. Raises `Unauthenticated`, `InvalidToken`."""
    scheme, _, words = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not words:
        raise Unauthenticated()
    caller = await tokens.authenticate(words.strip())
    log.bind(project_id=caller.project_id or None, token_id=caller.actor.token_id)
    return replace(caller, address=request.client.host if request.client else "")


async def _caller(request: Request, _: Annotated[object, Depends(_bearer)]) -> access.Caller:
    caller: access.Caller = request.state.caller
    return caller


Caller = Annotated[access.Caller, Depends(_caller)]


async def claim(request: Request, caller: access.Caller, session: AsyncSession) -> IdempotencyKey | None:
    """Return what is known of a POST that carries an Idempotency-Key. Raises `Replay` when it has been answered."""
    key = request.headers.get("idempotency-key")
    if key is None or request.method != "POST":
        return None
    known = await idempotency.claim(session, caller, request.url.path, key, await request.body())
    if known.status is not None:
        raise Replay(known.status, await idempotency.answer(session, known))
    return known


async def _session(request: Request, caller: Caller) -> AsyncIterator[AsyncSession]:
    async with transaction(caller.tenancy) as session:
        request.state.known = await claim(request, caller, session)
        request.state.session = session
        yield session


InTransaction = Annotated[AsyncSession, Depends(_session, scope="function")]


def _place(
    limit: Annotated[str | None, Query(description="1 to 200, default 50.", examples=["50"])] = None,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> paging.Place:
    if limit is None:
        return paging.Place(cursor=cursor)
    if not (limit.isascii() and limit.isdigit() and len(limit) < 5):
        raise paging.InvalidLimit(limit=repr(limit[:40]), param="limit")
    return paging.Place(int(limit), cursor)


Place = Annotated[paging.Place, Depends(_place)]
