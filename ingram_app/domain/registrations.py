"""Registrations: a server set up with all that goes with it, also us as a client of its authorization server.

Where nobody has registered us by hand, we ask the server who gives tokens for it, and register there by ourselves.
"""

from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import later
from ingram_app.core.clock import now
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid, NotFound, UpstreamFailed
from ingram_app.core.ids import new_id
from ingram_app.core.settings import settings
from ingram_app.domain import mcp_servers, oauth_providers
from ingram_app.domain.access import Caller
from ingram_app.domain.mcp_servers import McpServer, Wanted
from ingram_app.domain.oauth_providers import CALLBACK, OAuthProvider, ProviderTaken, Registration
from ingram_app.gateways.offices import Client, EnrolmentFailed, NotOffered, Office


class RegistrationNotOffered(Invalid):
    """The server {name} does not let us register by ourselves: {reason}. Register by hand, set up a provider with what
    you get, and name it in `auth.provider`, without `client_mode`."""


class RegistrationFailed(UpstreamFailed):
    """The server {name} could not be registered with: {reason}. Nothing was changed."""


async def put(caller: Caller, name: str, given: dict[str, Any]) -> McpServer:
    """Set up a server, in place of any of that name, and ask it for its tools. Opens transactions of its own.

    Raises what `mcp_servers.checked` and `put` do, `ProviderTaken`, `RegistrationNotOffered`, `RegistrationFailed`.
    """
    wanted = mcp_servers.checked(caller, name, given)
    enrolled = await _ask(caller, name, wanted) if wanted.registers else None
    async with transaction(caller.tenancy) as session:
        await mcp_servers.put(session, caller, name, given)
        if enrolled is not None:
            await oauth_providers.enrol(session, caller, wanted.provider or "", *enrolled)
    return await mcp_servers.discover(caller, name)


async def _ask(caller: Caller, name: str, wanted: Wanted) -> tuple[Office, Client | None, Registration]:
    """Return who gives tokens for a server, us as its new client unless we are one already, and what to keep of it."""
    provider = wanted.provider or ""
    async with transaction(caller.tenancy) as session:
        kept = await _kept(session, caller, provider)
        if not oauth_providers.NAME.fullmatch(provider):
            raise oauth_providers.InvalidProvider(param="auth.provider")
        if not oauth_providers.may_enrol(kept, name):
            raise ProviderTaken(provider=provider, param="auth.provider")
    id = kept.id if kept else new_id("prv")
    redirect_uri = f"{settings().address}{CALLBACK}/{id}"
    enrolling = await later.module("ingram_app.gateways.enrolling")
    try:
        office: Office = await enrolling.find(wanted.url)
        fits = kept is not None and _fits(kept, office, redirect_uri)
        client = None if fits else await enrolling.register(office, redirect_uri)
    except NotOffered as lacking:
        raise RegistrationNotOffered(name=name, reason=str(lacking), param="auth.client_mode") from None
    except EnrolmentFailed as failed:
        raise RegistrationFailed(name=name, reason=str(failed), param="auth.client_mode") from None
    ours = Registration(
        mcp_server=name,
        issuer=office.issuer,
        resource=office.resource,
        names_itself=office.names_itself,
        redirect_uri=redirect_uri,
        secret_expires_at=_secret_end(kept, client),
    )
    return office, client, ours


async def _kept(session: AsyncSession, caller: Caller, provider: str) -> OAuthProvider | None:
    try:
        return await oauth_providers.known(session, caller.project_id, provider)
    except NotFound:
        return None


def _fits(kept: OAuthProvider, office: Office, redirect_uri: str) -> bool:
    """Tell whether we are still a client of this very server, by this very address."""
    ours = kept.registered
    assert ours is not None
    ends = ours.secret_expires_at is not None and ours.secret_expires_at <= now()
    return (ours.issuer, ours.redirect_uri) == (office.issuer, redirect_uri) and not ends


def _secret_end(kept: OAuthProvider | None, client: Client | None) -> datetime | None:
    if client is not None:
        return client.secret_expires_at
    return kept.registered.secret_expires_at if kept and kept.registered else None
