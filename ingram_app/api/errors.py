"""One envelope for everything that goes wrong: `{"error": {"message", "type", "param", "code"}}`."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError, DBAPIError, TimeoutError as PoolIsEmpty
from starlette.exceptions import HTTPException
from starlette.routing import Match

from ingram_app.api.deps import Replay, SchemaError
from ingram_app.core.errors import BadRequest, IngramError, Unavailable

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Those that are told apart; whoever calls makes up no others."""
log = logging.getLogger(__name__)


_CHANGED = ("42703", "42P01", "0A000")
"""SQLSTATE of a column, a table or a plan that is not there any more as it was."""


class InvalidInput(BadRequest):
    """The request holds what can not be stored: a NUL, half of a surrogate pair, or a number that is not finite."""


class ServiceOverloaded(Unavailable):
    """More is asked at once than can be answered. Try again a little later."""


class DatabaseAway(Unavailable):
    """The database does not answer. Nothing was changed; try again a little later."""

    code = "storage_unavailable"


class DatabaseAhead(Unavailable):
    """The database was changed by a newer version than this process is of. Nothing was changed; try again a little
    later, when it has been replaced."""

    code = "storage_unavailable"


class RouteNotFound(BadRequest):
    """There is no route {method} {path}. The reference at /docs lists all."""

    status = 404
    code = "not_found"


class MethodNotAllowed(BadRequest):
    """{path} does not take {method}; it takes {allowed}."""

    status = 405


def answer(error: IngramError, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the answer that says so."""
    body = {"message": error.sentence, "type": error.kind, "param": error.param, "code": error.code}
    headers = dict(headers or {})
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": body}, error.status, headers)


def handle_all(api: FastAPI) -> None:
    """Have every failure of `api` answered in the envelope."""
    api.add_exception_handler(IngramError, _ours)
    api.add_exception_handler(RequestValidationError, _schema)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(DBAPIError, _database)
    api.add_exception_handler(PoolIsEmpty, _overloaded)
    api.add_exception_handler(UnicodeEncodeError, _unwritable)
    api.add_exception_handler(Replay, _replay)


async def _ours(_: Request, error: Any) -> Response:
    if error.status >= 500:
        log.warning("answered %s: %s", error.code, error.sentence)
    return answer(error)


async def _schema(_: Request, error: Any) -> Response:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if first["type"] == "json_invalid":
        return answer(SchemaError(field="body", reason=f"it is not JSON ({first['ctx']['error']})"))
    field = ".".join(place[1:]) or place[0]
    if field == "body" and isinstance(first.get("input"), bytes):
        return answer(SchemaError(field=field, reason="send it as `Content-Type: application/json`"))
    return answer(SchemaError(field=field, reason=_reason(first), param=field))


def _reason(first: dict[str, Any]) -> str:
    if first["type"] == "extra_forbidden":
        return "there is no such field here"
    got = repr(first.get("input"))
    reason = str(first["msg"]).removeprefix("Value error, ")
    return reason if first["type"] == "missing" or "api_key" in first["loc"] else f"{reason}, not {got[:80]}"


async def _http(request: Request, error: Any) -> Response:
    if error.status_code == 405:
        allowed = _allowed(request)
        refusal = MethodNotAllowed(path=request.url.path, method=request.method, allowed=allowed)
        return answer(refusal, {"Allow": allowed})
    if error.status_code == 404:
        return answer(RouteNotFound(path=request.url.path[:200], method=request.method))
    return answer(SchemaError(field="body", reason="it can not be read as JSON in UTF-8"))


def _allowed(request: Request) -> str:
    """Return the methods of all routes that go by the request's path."""
    wishes = ({**request.scope, "method": method} for method in METHODS)
    taken = (wish for wish in wishes if any(route.matches(wish)[0] is Match.FULL for route in request.app.routes))
    return ", ".join(wish["method"] for wish in taken)


async def _database(_: Request, error: Any) -> Response:
    if isinstance(error, DataError):
        return answer(InvalidInput())
    if getattr(error.orig, "sqlstate", None) in _CHANGED:
        log.error("the tables are not those that this version knows: %s", error.orig)
        return answer(DatabaseAhead())
    if not error.connection_invalidated and type(error).__name__ != "OperationalError":
        raise error
    log.error("the database failed: %s", error.orig)
    return answer(DatabaseAway())


async def _overloaded(_: Request, __: Any) -> Response:
    log.error("no connection to the database was free in time")
    return answer(ServiceOverloaded())


async def _unwritable(_: Request, __: Any) -> Response:
    return answer(InvalidInput())


async def _replay(_: Request, replay: Any) -> Response:
    headers = {"Idempotency-Replayed": "true"}
    return Response(replay.body, replay.status, headers, media_type="application/json" if replay.body else None)
