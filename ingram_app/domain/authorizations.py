"""Authorizations: a person on the way to a service, to consent that their smith acts for them there, and back.

asked for ──▶ brought back, once, within ten minutes

The `state` that comes back is all that the way back is known by: it names the project, and its hash stands for a smith,
a provider as it was, and the token that asked. When that token has been revoked meanwhile, the way back is closed.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, Tenancy, execute, transaction
from ingram_app.core.errors import BadRequest, Invalid, NotFound, UpstreamFailed
from ingram_app.core.ids import is_id
from ingram_app.core.secrets import digest
from ingram_app.domain import connections, keyrings, oauth_providers, smiths, tokens
from ingram_app.domain.access import Actor, Caller, platform
from ingram_app.domain.connections import Connection
from ingram_app.domain.oauth_providers import OAuthProvider
from ingram_app.gateways import oauth, outbound
from ingram_app.gateways.oauth import Application, OAuthFailed

LIFETIME = timedelta(minutes=10)


class Authorization(SQLModel, table=True):
    __tablename__ = "authorizations"
    __table_args__ = (Index("ix_authorizations_expiry", "project_id", "expires_at"),)

    id: str = Field(primary_key=True)
    """The SHA-256 of the state."""
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    smith_id: str = Field(foreign_key="smiths.id", ondelete="CASCADE")
    provider: str
    fingerprint: str
    """Of the provider, as it was when it was asked for."""
    sealed_verifier: bytes
    return_url: str | None = None
    mcp_server: str | None = None
    actor: dict[str, str | None] = Field(sa_type=JSONB)
    """Who asked, and with which token."""
    expires_at: datetime = Field(default_factory=lambda: now() + LIFETIME, sa_type=Moment)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended for a person who came back."""

    provider: str
    return_url: str | None
    error: str | None
    """A word of the service's or ours, when nothing came of it."""
    connection: Connection | None = None


class InvalidState(BadRequest):
    """This link does not hold any more: it was used, is older than ten minutes, or was asked for with a token that has
    been revoked. Ask for a new one."""


class InvalidReturnUrl(Invalid):
    """A person can be sent back to https:// addresses (http:// on their own machine), by a smith's own token only to
    origins that the provider lists as `return_origins`."""


class ConsentFailed(UpstreamFailed):
    """Nothing came of it: {provider} says {error}."""


async def begin(
    session: AsyncSession,
    caller: Caller,
    smith_id: str,
    provider: str,
    *,
    return_url: str | None = None,
    mcp_server: str | None = None,
) -> str:
    """Return the address at which the smith's person consents. Raises `SmithMismatch`, `NotFound`, `InvalidReturnUrl`.

    It holds for ten minutes, and for one consent.
    """
    caller.require("connections:write")
    await smiths.embody(session, caller, smith_id, stays=True)
    row = await oauth_providers.known(session, caller.project_id, provider)
    _check_return(caller, row, return_url)
    state, verifier = f"{caller.project_id}.{secrets.token_urlsafe(32)}", oauth.new_verifier()
    ring = await keyrings.find(session, caller.project_id)
    await execute(session, sa.delete(Authorization).where(*_over(caller.project_id)))
    session.add(
        Authorization(
            id=digest(state),
            project_id=caller.project_id,
            smith_id=smith_id,
            provider=row.provider,
            fingerprint=row.fingerprint,
            sealed_verifier=ring.seal(verifier.encode()),
            return_url=return_url,
            mcp_server=mcp_server,
            actor=caller.actor.as_json(),
        )
    )
    await session.flush()
    return oauth.authorize_url(await oauth_providers.application(session, row), state, verifier, row.asked_for)


@dataclass(frozen=True, slots=True)
class Return:
    """What a person brings back from a service."""

    state: str
    code: str | None = None
    error: str | None = None
    issuer: str | None = None
    """Who says to have sent them (RFC 9207)."""
    door: str | None = None
    """The provider's id in the address they came to, if there was one."""


async def complete(back: Return) -> Outcome:
    """Make a connection of what a person has brought back. Opens transactions of its own. Raises `InvalidState`."""
    state, code = back.state, back.code
    project_id = state.partition(".")[0]
    if not is_id(project_id, "proj"):
        raise InvalidState(param="state")
    async with transaction(Tenancy(project_id=project_id)) as session:
        way = await _take(session, project_id, state)
    if way is None or not way.leads_from(back):
        raise InvalidState(param="state")
    if code is None:
        return way.outcome(error=oauth.word(back.error))
    try:
        granted = await oauth.exchange(way.application, code, way.verifier)
    except OAuthFailed as failed:
        return way.outcome(error=failed.code)
    try:
        async with transaction(way.caller.tenancy) as session:
            smith_id, scopes = way.asked.smith_id, way.provider.asked_for
            await smiths.embody(session, way.caller, smith_id, stays=True)
            made = await connections.keep(session, way.caller, smith_id, way.provider, granted, scopes)
    except NotFound:  # the smith has gone meanwhile: nobody needs them
        await oauth.revoke(way.application, granted)
        raise InvalidState(param="state") from None
    return way.outcome(connection=made)


@dataclass(frozen=True, slots=True)
class _Way:
    """What was asked for, and what the way back needs."""

    asked: Authorization
    provider: OAuthProvider
    application: Application
    verifier: str

    @property
    def caller(self) -> Caller:
        actor: Any = self.asked.actor
        return Caller(Actor(**actor), frozenset(), project_id=self.asked.project_id)

    def leads_from(self, back: Return) -> bool:
        """Tell whether a person comes from where they were sent to, and through the door that is for it."""
        registered = self.provider.registered
        if registered is None:
            return back.door is None
        is_named = back.issuer == registered.issuer or (back.issuer is None and not registered.names_itself)
        return back.door == self.provider.id and is_named

    def outcome(self, error: str | None = None, connection: Connection | None = None) -> Outcome:
        return Outcome(self.asked.provider, self.asked.return_url, error, connection)


async def _take(session: AsyncSession, project_id: str, state: str) -> _Way | None:
    """Take an authorization away, so that nobody comes back on it twice; return it if it still holds."""
    mine: list[Any] = [Authorization.id == digest(state), Authorization.project_id == project_id]
    asked = (await session.exec(select(Authorization).where(*mine).with_for_update())).first()
    if asked is None:
        return None
    session.expunge(asked)
    await execute(session, sa.delete(Authorization).where(*mine))
    if asked.expires_at <= now() or not await tokens.still_holds(session, asked.actor["token_id"]):
        return None
    try:
        row = await oauth_providers.known(session, project_id, asked.provider)
        await smiths.embody(session, platform(project_id), asked.smith_id)
    except NotFound:
        return None
    if row.fingerprint != asked.fingerprint:
        return None
    ring = await keyrings.find(session, project_id)
    application = await oauth_providers.application(session, row)
    return _Way(asked, row, application, ring.unseal(asked.sealed_verifier).decode())


def _over(project_id: str) -> tuple[Any, Any]:
    return col(Authorization.project_id) == project_id, col(Authorization.expires_at) <= now()


def _check_return(caller: Caller, row: OAuthProvider, url: str | None) -> None:
    if url is None:
        return
    origin = oauth_providers.origin_of(url) if len(url) <= outbound.URL_LETTERS else None
    if origin is None or "#" in url or (caller.smith_id and origin not in row.return_origins):
        raise InvalidReturnUrl(param="return_url")
