"""OAuth 2: other services' accounts, by authorization code with PKCE, through Authlib.

What is known of well-known services stands in `oauth_presets`. What a service answers is bounded, and only the parts
that are known are kept.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx2
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from ingram_app.core.clock import now
from ingram_app.gateways import outbound
from ingram_app.gateways.oauth_presets import AuthMethod, TakesBack
from ingram_app.gateways.outbound import ForbiddenTarget

SECONDS = 20
TOKEN_LETTERS = 16_000
_AS_JSON = {"Accept": "application/vnd.github+json"}
_CODE = re.compile(r"[a-z0-9_.-]{1,60}")


@dataclass(frozen=True, slots=True)
class Application:
    """Us, as a service knows us."""

    client_id: str
    client_secret: str = field(repr=False)
    authorize_url: str
    token_uri: str
    revoke_uri: str | None
    auth_method: AuthMethod
    redirect_uri: str
    resource: str | None = None
    """What tokens are for (RFC 8707), if that is to be said."""
    asked_besides: dict[str, str] = field(default_factory=dict)
    takes_back: TakesBack = "rfc7009"


@dataclass(frozen=True, slots=True)
class Tokens:
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    scopes: list[str] | None = None
    """Those that were granted, when the service says so."""


class OAuthFailed(Exception):
    """A service gave no tokens; the text says why."""

    def __init__(self, why: str, code: str = "unreachable") -> None:
        super().__init__(why)
        self.code = code
        """As the service calls it (RFC 6749, 5.2), or `unreachable`, or `malformed`."""

    @property
    def is_final(self) -> bool:
        """Trying again would not help: somebody has to consent anew."""
        return self.code in ("invalid_grant", "bad_refresh_token", "invalid_refresh_token", "token_revoked")


def new_verifier() -> str:
    """Return what proves, when a code is exchanged, that we began (RFC 7636)."""
    return str(generate_token(64))


def authorize_url(application: Application, state: str, verifier: str, scopes: list[str]) -> str:
    """Return the address at which a person consents."""
    url, _ = _client(application).create_authorization_url(
        application.authorize_url,
        state=state,
        code_verifier=verifier,
        **({"scope": " ".join(scopes)} if scopes else {}),
        **_for(application),
        **application.asked_besides,
    )
    return str(url)


async def exchange(application: Application, code: str, verifier: str) -> Tokens:
    """Return the tokens for a code that a person brought back. Raises `OAuthFailed`."""
    answer = await _asking(
        _client(application).fetch_token(
            application.token_uri,
            code=code,
            code_verifier=verifier,
            grant_type="authorization_code",
            **_for(application),
        )
    )
    return read(answer)


async def refresh(application: Application, refresh_token: str) -> Tokens:
    """Return new tokens for a refresh token; the old one is kept where the service gives no other.

    Raises `OAuthFailed`.
    """
    client = _client(application)
    asking = client.refresh_token(application.token_uri, refresh_token=refresh_token, **_for(application))
    fresh = read(await _asking(asking))
    return Tokens(fresh.access_token, fresh.refresh_token or refresh_token, fresh.expires_at, fresh.scopes)


async def revoke(application: Application, tokens: Tokens) -> bool:
    """Have a service take its tokens back (RFC 7009, or its own way); tell whether it said that it did."""
    if application.revoke_uri is None:
        return False
    taken_back = True
    for token, kind in ((tokens.refresh_token, "refresh_token"), (tokens.access_token, "access_token")):
        if token is not None and (application.takes_back == "rfc7009" or kind == "access_token"):
            try:
                answer = await _asking(_revoking(application, application.revoke_uri, token, kind))
                taken_back = answer.is_success and not _says_no(answer) and taken_back
            except OAuthFailed:
                taken_back = False
    return taken_back


def _revoking(application: Application, address: str, token: str, kind: str) -> Any:
    if application.takes_back == "rfc7009":
        return _client(application).revoke_token(address, token=token, token_type_hint=kind)
    client, us = outbound.bounded_client(timeout=SECONDS), (application.client_id, application.client_secret)
    if application.takes_back == "github":
        url = address.replace("{client_id}", quote(application.client_id, safe=""))
        return client.request("DELETE", url, json={"access_token": token}, auth=us, headers=_AS_JSON)
    if application.takes_back == "notion":
        return client.post(address, json={"token": token}, auth=us, headers={"Notion-Version": "2022-06-28"})
    return client.post(address, headers={"Authorization": f"Bearer {token}"})


def _says_no(answer: httpx2.Response) -> bool:
    """Tell whether a success is none: some services say so in the body alone."""
    try:
        said = answer.json()
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("ok") is False


def word(error: Any) -> str:
    """Return what a service calls a failure, if it is such a word."""
    return error if isinstance(error, str) and _CODE.fullmatch(error) else "refused"


def read(answer: Any) -> Tokens:
    """Return what a token endpoint, or one that stands in for it, has answered. Raises `OAuthFailed`."""
    if not isinstance(answer, dict):
        raise OAuthFailed("it answered something else than tokens", "malformed")
    answer = _of_the_person(answer)
    access, later = answer.get("access_token"), answer.get("refresh_token")
    if not _is_token(access) or not (later is None or _is_token(later)):
        raise OAuthFailed("it answered something else than tokens", "malformed")
    scope = answer.get("scope")
    scopes = re.split(r"[ ,]+", scope.strip())[:100] if isinstance(scope, str) and scope.strip() else None
    return Tokens(str(access), later, _end(answer.get("expires_in")), scopes)


def _for(application: Application) -> dict[str, str]:
    return {"resource": application.resource} if application.resource else {}


def _of_the_person(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the part that is the person's, of an answer that has another for a bot, as Slack's does."""
    person = answer.get("authed_user")
    if not isinstance(person, dict):
        return answer
    if "access_token" in person:
        return person
    return answer if answer.get("token_type") != "user" else {**answer, "scope": person.get("scope")}


def _client(application: Application) -> AsyncOAuth2Client:
    """Return a client that need not be closed: its connections are shared."""
    return AsyncOAuth2Client(
        application.client_id,
        application.client_secret,
        token_endpoint_auth_method=application.auth_method,
        revocation_endpoint_auth_method=application.auth_method,
        redirect_uri=application.redirect_uri,
        code_challenge_method="S256",
        transport=outbound.bounded_transport(),
        trust_env=False,
        timeout=SECONDS,
    )


async def _asking(asking: Any) -> Any:
    try:
        return await asking
    except OAuthError as refused:
        code = word(refused.error)
        raise OAuthFailed(f"it refused: {code}", code) from None
    except ForbiddenTarget as forbidden:
        raise OAuthFailed(forbidden.sentence) from None
    except (httpx2.HTTPError, httpx2.InvalidURL):
        raise OAuthFailed("it can not be reached") from None
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        raise OAuthFailed("it answered something else than tokens", "malformed") from None


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= TOKEN_LETTERS and value.isascii() and value.isprintable()


def _end(seconds: Any) -> datetime | None:
    """Return when a token ends, as far as the service says."""
    try:
        return now() + timedelta(seconds=min(max(0, int(seconds)), 10 * 365 * 86_400))
    except (TypeError, ValueError, OverflowError):
        return None
