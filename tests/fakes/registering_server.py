"""A real MCP server that lets clients register: the official SDK's resource server and authorization server in one.

It wants PKCE, registered addresses and tokens that were made for it (RFC 8707); consent it gives at once.
"""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.fakes.mcp_server import Desk, server_of

SCOPE = "orders"


@dataclass
class Office(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """What the authorization server knows, and how it behaves."""

    address: str = ""
    desk: Desk = field(default_factory=Desk)
    clients: dict[str, OAuthClientInformationFull] = field(default_factory=dict)
    tokens: dict[str, AccessToken] = field(default_factory=dict)
    refreshes: dict[str, RefreshToken] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The paths that were asked for."""
    told: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    """What it says at a path instead of the truth; none: it is not there."""
    says_who_it_is: bool = False
    expires_in: int = 3600
    _codes: dict[str, AuthorizationCode] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.address}/mcp"

    @property
    def about_the_server(self) -> str:
        return "/.well-known/oauth-protected-resource/mcp"

    @property
    def about_the_office(self) -> str:
        return "/.well-known/oauth-authorization-server"

    async def says(self, path: str, **otherwise: Any) -> None:
        """Have it say at a path what it says, but for these."""
        async with httpx.AsyncClient() as asking:
            truth = (await asking.get(self.address + path)).json()
        self.told[path] = {name: said for name, said in {**truth, **otherwise}.items() if said is not ...}

    async def consent(self, authorize_url: str) -> str:
        """Consent as a person does; return where that sends them."""
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(authorize_url)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        code = AuthorizationCode(
            code=secrets.token_urlsafe(),
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            **params.model_dump(
                include={"code_challenge", "redirect_uri", "redirect_uri_provided_explicitly", "resource"}
            ),
        )
        self._codes[code.code] = code
        issuer = self.address if self.says_who_it_is else None
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state, iss=issuer)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self._codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self._codes[authorization_code.code]
        return self._give(client, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        return self.refreshes.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        del self.refreshes[refresh_token.token]
        return self._give(client, scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.tokens.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.revoked.append(token.token)
        self.tokens.pop(token.token, None)

    def _give(self, client: OAuthClientInformationFull, scopes: list[str], resource: str | None) -> OAuthToken:
        access, refresh = secrets.token_urlsafe(), secrets.token_urlsafe()
        known: dict[str, Any] = {"client_id": client.client_id, "scopes": scopes, "resource": resource}
        self.tokens[access] = AccessToken(token=access, expires_at=int(time.time()) + 3600, **known)
        self.refreshes[refresh] = RefreshToken(token=refresh, **known)
        said = {"access_token": access, "refresh_token": refresh, "scope": " ".join(scopes)}
        return OAuthToken(**said, expires_in=self.expires_in)


class _Door:
    """Stands before it: notes what is asked for, and says what the office is to say."""

    def __init__(self, inner: ASGIApp, office: Office) -> None:
        self.inner = inner
        self.office = office

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = Request(scope).url.path
            self.office.asked.append(path)
            if path in self.office.told:
                said = self.office.told[path]
                return await JSONResponse(said, 404 if said is None else 200)(scope, receive, send)
        return await self.inner(scope, receive, send)


@asynccontextmanager
async def running_registering_server() -> AsyncIterator[Office]:
    """Serve on loopback."""
    bound = socket.create_server(("127.0.0.1", 0))
    office = Office(address=f"http://127.0.0.1:{bound.getsockname()[1]}")
    settings: dict[str, Any] = {
        "issuer_url": office.address,
        "resource_server_url": office.url,
        "required_scopes": [SCOPE],
        "client_registration_options": ClientRegistrationOptions(enabled=True, valid_scopes=[SCOPE]),
        "revocation_options": RevocationOptions(enabled=True),
        "validate_token_resource": True,
    }
    server = server_of(office.desk, auth=AuthSettings(**settings), auth_server_provider=office)
    app = _Door(server.streamable_http_app(), office)
    served = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1))
    served.capture_signals = nullcontext  # type: ignore[method-assign]
    serving = asyncio.create_task(served.serve(sockets=[bound]))
    while not served.started:  # noqa: ASYNC110 - uvicorn sets no event
        await asyncio.sleep(0.005)
    try:
        yield office
    finally:
        served.should_exit = True
        await serving
