"""Enrolling: how a resource says who gives tokens for it, and how we become a client there without anybody's help.

resource ──RFC 9728──▶ authorization server ──RFC 8414──▶ its addresses ──RFC 7591──▶ us, as it knows us

What servers say is bounded, and believed only where it can be true: a resource speaks for itself, an issuer for the
very address that it was asked at, and every address is one that we may call.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp.client.auth import OAuthFlowError, OAuthRegistrationError, utils
from mcp.client.auth.oauth2 import check_registration_usable
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthMetadata, ProtectedResourceMetadata
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from mcp_types import LATEST_PROTOCOL_VERSION
from pydantic import AnyUrl

from ingram_app.gateways import oauth, outbound
from ingram_app.gateways.oauth_presets import AuthMethod
from ingram_app.gateways.offices import Client, EnrolmentFailed, NotOffered, Office
from ingram_app.gateways.outbound import ForbiddenTarget

SECONDS = 30
OUR_NAME = "Ingram Cloud"
_MOST_SCOPES = 100
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,300}")
_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,500}")
_METHODS: tuple[AuthMethod, ...] = ("client_secret_post", "client_secret_basic", "none")
"""The first is the one that servers of the official SDK take at all of their addresses."""
_HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": LATEST_PROTOCOL_VERSION,
        "capabilities": {},
        "clientInfo": {"name": "ingram-cloud", "version": "1"},
    },
}


async def find(url: str) -> Office:
    """Return who gives tokens for the MCP server at an address. Raises `NotOffered`, `EnrolmentFailed`."""
    async with _asking():
        refusal = await _knock(url)
        told = await _resource(url, refusal)
        issuer = str(told.authorization_servers[0]) if told else None
        known = await _metadata(issuer, url)
    if "S256" not in (known.code_challenge_methods_supported or []):
        raise NotOffered("its authorization server does not say that it takes PKCE (S256)")
    asked = utils.extract_scope_from_www_auth(refusal)
    wants = asked is not None or (told is not None and told.scopes_supported is not None)
    scopes = utils.get_client_metadata_scopes(asked, told, known, ["refresh_token"]) if wants else None
    fitting = [scope for scope in (scopes or "").split() if _SCOPE.fullmatch(scope)]
    resource = str(told.resource) if told else resource_url_from_server_url(url)
    return Office(resource, fitting[:_MOST_SCOPES], known)


async def register(office: Office, redirect_uri: str) -> Client:
    """Become a client of an authorization server (RFC 7591). Raises `NotOffered`, `EnrolmentFailed`."""
    if office.known.registration_endpoint is None:
        raise NotOffered("its authorization server registers nobody by itself")
    offered = office.known.token_endpoint_auth_methods_supported or ["client_secret_basic"]
    method = next((one for one in _METHODS if one in offered), None)
    if method is None:
        raise NotOffered("its authorization server wants clients to prove themselves in a way that is not known here")
    asked = OAuthClientMetadata(
        redirect_uris=[AnyUrl(redirect_uri)],
        client_name=OUR_NAME,
        token_endpoint_auth_method=method,
        scope=" ".join(office.scopes) or None,
        application_type="web",
    )
    request = utils.create_client_registration_request(office.known, asked, office.issuer)
    async with _asking():
        answer = await _sent(request)
    try:
        made = await utils.handle_registration_response(answer)
        check_registration_usable(made)
    except OAuthRegistrationError:
        raise EnrolmentFailed(f"registration was refused: {_refusal(answer)}") from None
    return _client(made, method)


def _client(made: OAuthClientInformationFull, asked: AuthMethod) -> Client:
    method: Any = made.token_endpoint_auth_method or asked
    secret = "" if method == "none" else made.client_secret or ""
    is_told = bool(secret) or method == "none"
    if not is_told or not _CLIENT_ID.fullmatch(made.client_id) or not re.fullmatch(r"[\x21-\x7e]{0,4000}", secret):
        raise EnrolmentFailed("registration was answered with something else than a client")
    try:
        end = datetime.fromtimestamp(made.client_secret_expires_at, UTC) if made.client_secret_expires_at else None
    except (ValueError, OverflowError, OSError):
        end = None
    return Client(made.client_id, secret, method, end)


async def _knock(url: str) -> httpx2.Response:
    """Return the head of what a server answers to somebody without a token."""
    accepts = {"Accept": "application/json, text/event-stream"}
    async with outbound.bounded_client().stream("POST", url, json=_HELLO, headers=accepts) as answer:
        return answer


async def _resource(url: str, refusal: httpx2.Response) -> ProtectedResourceMetadata | None:
    """Return what a server says of itself; none, when it says nothing."""
    hint = utils.extract_field_from_www_auth(refusal, "resource_metadata") if refusal.status_code == 401 else None
    for place in utils.build_protected_resource_metadata_discovery_urls(hint, url):
        told = await utils.handle_protected_resource_response(await _got(place))
        if told is not None:
            if not check_resource_allowed(resource_url_from_server_url(url), str(told.resource)):
                raise EnrolmentFailed("it says that it is another server than the one that was asked")
            return told
    return None


async def _metadata(issuer: str | None, url: str) -> OAuthMetadata:
    """Return what an authorization server says of itself: the one that is named, or the one beside the server."""
    parts = urlsplit(url)
    expected = issuer or f"{parts.scheme}://{parts.netloc}".lower()
    for place in utils.build_oauth_authorization_server_metadata_discovery_urls(issuer, url):
        goes_on, known = await utils.handle_auth_metadata_response(await _got(place))
        if known is not None:
            try:
                utils.validate_metadata_issuer(known, expected)
            except OAuthFlowError:
                raise EnrolmentFailed("its authorization server says that it is another") from None
            _check(known)
            return known
        if not goes_on:
            break
    raise NotOffered("it does not say where accounts are connected")


def _check(known: OAuthMetadata) -> None:
    """Refuse addresses that nobody may be sent to."""
    for name in ("issuer", "authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"):
        address = getattr(known, name)
        if address is not None and not outbound.is_callable(str(address)):
            raise EnrolmentFailed(f"its authorization server names an address that can not be used as {name}")


async def _got(url: str) -> httpx2.Response:
    if not outbound.is_callable(url):
        raise EnrolmentFailed("it names an address that can not be asked")
    return await _sent(utils.create_oauth_metadata_request(url))


async def _sent(request: httpx2.Request) -> httpx2.Response:
    return await outbound.bounded_client(timeout=oauth.SECONDS).send(request)


def _refusal(answer: httpx2.Response) -> str:
    """Return why nobody was registered, if it is said in such a word (RFC 7591, 3.2.2)."""
    try:
        said = answer.json()
    except (ValueError, RecursionError):
        said = None
    code = oauth.word(said.get("error")) if isinstance(said, dict) else "refused"
    return f"{answer.status_code}, {code}"


@asynccontextmanager
async def _asking() -> AsyncIterator[None]:
    """Tell what goes wrong on the way. Raises `EnrolmentFailed`."""
    try:
        async with asyncio.timeout(SECONDS):
            yield
    except ForbiddenTarget as forbidden:
        raise EnrolmentFailed(forbidden.sentence) from None
    except TimeoutError:
        raise EnrolmentFailed(f"nothing came of it in {SECONDS} seconds") from None
    except (httpx2.HTTPError, httpx2.InvalidURL):
        raise EnrolmentFailed("it, or its authorization server, can not be reached") from None
    except (ValueError, RecursionError):
        raise EnrolmentFailed("it, or its authorization server, said something that makes no sense") from None
