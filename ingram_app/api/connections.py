"""/v1/smiths/{smith_id}/connections: accounts in other services; /v1/oauth/callback: the way back from a consent."""

from datetime import datetime
from html import escape
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.shapes import In, ListOut, Out, When
from ingram_app.domain import authorizations, connections, credentials
from ingram_app.domain.authorizations import ConsentFailed, InvalidState, Outcome, Return
from ingram_app.domain.connections import Connection, ConnectionStatus
from ingram_app.domain.designs import Name

router = APIRouter(prefix="/smiths/{smith_id}/connections", tags=["connections"], route_class=Route)
way_back = APIRouter(prefix="/oauth", tags=["connections"])
Metadata = dict[str, Any]
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<body style="font: 16px system-ui; margin: 20vh auto; padding: 0 1em; max-width: 24em">
<h1 style="font-size: 1.2em">{title}</h1><p>{words}</p></body></html>"""


class AuthorizeIn(In):
    provider: Name
    return_url: str | None = None
    mcp_server: Name | None = None


class AuthorizeOut(Out):
    authorize_url: str
    provider: str


class CredentialIn(In):
    kind: Literal["oauth_tokens"]
    access_token: str
    refresh_token: str | None = None
    expires_at: When | None = None
    token_uri: str | None = None


class ConnectionIn(In):
    provider: Name
    scopes: Annotated[list[Name], Field(max_length=100)] = []
    credential: CredentialIn
    metadata: Metadata | None = None


class ConnectionChange(In):
    metadata: Metadata | None = None


class ConnectionOut(Out):
    """That there is a connection, never its tokens."""

    id: str
    provider: str
    scopes: list[str]
    status: ConnectionStatus
    expires_at: datetime | None
    metadata: Metadata
    created_at: datetime

    @classmethod
    def of(cls, connection: Connection) -> "ConnectionOut":
        shown = {name: getattr(connection, name) for name in cls.model_fields if name != "metadata"}
        return cls(**shown, metadata=connection.about)


@router.post("/authorize", response_model=AuthorizeOut)
async def authorize(smith_id: str, body: AuthorizeIn, caller: Caller, session: InTransaction) -> AuthorizeOut:
    """Make a link at which the smith's person consents; it holds for ten minutes and for one consent."""
    url = await authorizations.begin(session, caller, smith_id, **body.model_dump())
    return AuthorizeOut(authorize_url=url, provider=body.provider)


@router.post("", status_code=201, response_model=ConnectionOut)
async def bring_connection(smith_id: str, body: ConnectionIn, caller: Caller, session: InTransaction) -> ConnectionOut:
    """Keep tokens that you have got yourself, in place of any for the same provider."""
    return ConnectionOut.of(await connections.bring(session, caller, smith_id, **body.model_dump()))


@router.get("", response_model=ListOut[ConnectionOut])
async def list_connections(smith_id: str, caller: Caller, session: InTransaction) -> ListOut[ConnectionOut]:
    """List the smith's connections, one a provider."""
    found = await connections.browse(session, caller, smith_id)
    return ListOut(data=[ConnectionOut.of(connection) for connection in found])


@router.get("/{connection_id}", response_model=ConnectionOut)
async def get_connection(smith_id: str, connection_id: str, caller: Caller, session: InTransaction) -> ConnectionOut:
    """Show one connection."""
    return ConnectionOut.of(await connections.find(session, caller, smith_id, connection_id))


@router.patch("/{connection_id}", response_model=ConnectionOut)
async def change_connection(
    smith_id: str, connection_id: str, body: ConnectionChange, caller: Caller, session: InTransaction
) -> ConnectionOut:
    """Change what you note of a connection; null empties it."""
    changes = body.model_dump(exclude_unset=True)
    return ConnectionOut.of(await connections.change(session, caller, smith_id, connection_id, changes))


@router.delete("/{connection_id}", status_code=204)
async def delete_connection(smith_id: str, connection_id: str, caller: Caller) -> None:
    """Take a connection back, at its service too where that offers it, and forget its tokens."""
    await credentials.disconnect(caller, smith_id, connection_id)


@router.post("/{connection_id}/refresh", response_model=ConnectionOut)
async def refresh_connection(smith_id: str, connection_id: str, caller: Caller) -> ConnectionOut:
    """Have the service give fresh tokens now, instead of when these are about to end."""
    return ConnectionOut.of(await credentials.refresh(caller, smith_id, connection_id))


@way_back.get("/callback", response_model=None)
async def come_back(
    request: Request, state: str = "", code: str | None = None, error: str | None = None, iss: str | None = None
) -> Response | dict[str, str]:
    """Take in a person who comes back from a service; the `state` is all they are known by. Needs no token.

    With a `return_url` they are sent there, `connection=ok` or `connection=error` added; without one, they are told.
    """
    return await _take_in(request, Return(state, code, error, iss))


@way_back.get("/callback/{provider_id}", response_model=None)
async def come_back_registered(
    provider_id: str,
    request: Request,
    state: str = "",
    code: str | None = None,
    error: str | None = None,
    iss: str | None = None,
) -> Response | dict[str, str]:
    """The same, for a service that has registered us by itself: no two of those share an address."""
    return await _take_in(request, Return(state, code, error, iss, provider_id))


async def _take_in(request: Request, back: Return) -> Response | dict[str, str]:
    is_browser = "text/html" in request.headers.get("accept", "")
    try:
        outcome = await authorizations.complete(back)
    except InvalidState as invalid:
        if not is_browser:
            raise
        return _page("Not connected", invalid.sentence, invalid.status)
    if outcome.return_url is not None:
        return RedirectResponse(_address(outcome.return_url, outcome), 302, {"Referrer-Policy": "no-referrer"})
    if outcome.connection is None:
        failure = ConsentFailed(provider=outcome.provider, error=outcome.error)
        if not is_browser:
            raise failure
        return _page("Not connected", failure.sentence, failure.status)
    if is_browser:
        return _page(
            "Connected", f"Your assistant can now use your {outcome.provider} account. You can close this page."
        )
    return {"connection": "ok", "provider": outcome.provider, "connection_id": outcome.connection.id}


def _address(return_url: str, outcome: Outcome) -> str:
    facts = {"connection": "ok" if outcome.connection else "error", "provider": outcome.provider}
    if outcome.error is not None:
        facts["error"] = outcome.error
    return f"{return_url}{'&' if '?' in return_url else '?'}{urlencode(facts)}"


def _page(title: str, words: str, status: int = 200) -> HTMLResponse:
    """Return a page of words that are ours."""
    return HTMLResponse(_PAGE.format(title=title, words=escape(words)), status, {"Referrer-Policy": "no-referrer"})
