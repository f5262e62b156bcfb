"""Connections: the accounts that a smith's person has in other services, and the tokens to act there.

active ⇄ error      by the last refresh that failed or succeeded: `connection.broken`, `connection.recovered`
   ├───▶ expired    its token has ended, and there is nothing to refresh it with
   └───▶ revoked    it is being taken back, and then gone

A smith has one connection with a provider; a new consent takes its place. Tokens are sealed, and shown to nobody but
the service itself and the servers of the tools that work with it.
"""

import json
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import Moment, alone, execute, one_of
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain import audit, event_types, events, keyrings, oauth_providers, smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import NothingToUpdate
from ingram_app.domain.oauth_providers import OAuthProvider
from ingram_app.gateways.oauth import TOKEN_LETTERS, Tokens


class ConnectionStatus(StrEnum):
    active = "active"
    expired = "expired"
    revoked = "revoked"
    error = "error"


class Connection(SQLModel, table=True):
    __tablename__ = "connections"
    __table_args__ = (
        UniqueConstraint("smith_id", "provider"),
        Index("ix_connections_page", "project_id", "created_at", "id"),
    )

    id: str = Field(default_factory=lambda: new_id("con"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    smith_id: str = Field(foreign_key="smiths.id", ondelete="CASCADE")
    provider: str
    scopes: list[str] = Field(default_factory=list, sa_type=JSONB)
    kept_status: ConnectionStatus = Field(
        default=ConnectionStatus.active, sa_column=sa.Column("status", one_of(ConnectionStatus), nullable=False)
    )
    sealed_tokens: bytes
    """`access_token` and `refresh_token`, as JSON."""
    can_refresh: bool = False
    expires_at: datetime | None = Field(default=None, sa_type=Moment)
    last_error: str | None = None
    refreshing_until: datetime | None = Field(default=None, sa_type=Moment)
    """Somebody is refreshing it until then; nobody else does meanwhile."""
    about: dict[str, Any] = Field(default_factory=dict, sa_column=sa.Column("metadata", JSONB, nullable=False))
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)

    @property
    def status(self) -> ConnectionStatus:
        is_over = self.expires_at is not None and self.expires_at <= now() and not self.can_refresh
        return ConnectionStatus.expired if is_over and self.kept_status is ConnectionStatus.active else self.kept_status


class InvalidTokenUri(Invalid):
    """{provider} gives its tokens at {token_uri} and nowhere else. Leave `token_uri` out, or give that."""


class InvalidCredential(Invalid):
    """A token is of 1 to {most} printable ASCII characters."""


async def find(session: AsyncSession, caller: Caller, smith_id: str, connection_id: str) -> Connection:
    """Return one of a smith's connections. Raises `SmithMismatch`, `NotFound`."""
    caller.require("connections:read")
    return await one(session, caller, smith_id, connection_id)


async def browse(session: AsyncSession, caller: Caller, smith_id: str) -> list[Connection]:
    """Return a smith's connections, by provider. Raises `SmithMismatch`, `NotFound`."""
    caller.require("connections:read")
    await smiths.embody(session, caller, smith_id)
    return list((await session.exec(_whose(caller, smith_id).order_by(Connection.provider))).all())


async def bring(session: AsyncSession, caller: Caller, smith_id: str, provider: str, **given: Any) -> Connection:
    """Keep tokens that somebody else has got for the smith's person. `given` are `credential`, `scopes`, `metadata`.

    Raises `SmithMismatch`, `NotFound`, `InvalidProvider`, `InvalidTokenUri`, `InvalidCredential`.
    """
    caller.require("connections:write")
    await smiths.embody(session, caller, smith_id, stays=True)
    if not oauth_providers.NAME.fullmatch(provider):
        raise oauth_providers.InvalidProvider(param="provider")
    credential = given["credential"]
    known: OAuthProvider | None = None
    with suppress(NotFound):
        known = await oauth_providers.known(session, caller.project_id, provider)
    if known is not None and credential.get("token_uri") not in (None, known.token_uri):
        raise InvalidTokenUri(provider=provider, token_uri=known.token_uri, param="credential.token_uri")
    for name in ("access_token", "refresh_token"):
        token = credential.get(name)
        if token is not None and not (1 <= len(token) <= TOKEN_LETTERS and token.isascii() and token.isprintable()):
            raise InvalidCredential(most=TOKEN_LETTERS, param=f"credential.{name}")
    tokens = Tokens(credential["access_token"], credential.get("refresh_token"), credential.get("expires_at"))
    scopes = given.get("scopes") or []
    return await keep(session, caller, smith_id, known or provider, tokens, scopes, given.get("metadata"))


async def keep(
    session: AsyncSession,
    caller: Caller,
    smith_id: str,
    of: OAuthProvider | str,
    tokens: Tokens,
    scopes: list[str],
    about: dict[str, Any] | None = None,
) -> Connection:
    """Keep the tokens of a consent, in place of any from before. The smith has been looked for by who asks."""
    provider = of if isinstance(of, str) else of.provider
    fresh = Connection(project_id=caller.project_id, smith_id=smith_id, provider=provider, sealed_tokens=b"")
    _put_in(fresh, await keyrings.find(session, caller.project_id), tokens)
    fresh.can_refresh |= not isinstance(of, str) and of.refresh_webhook is not None
    await alone(session, f"{smith_id} {provider}")
    old = await of_provider(session, caller.project_id, smith_id, provider, held=True)
    connection = old or fresh
    was_broken = old is not None and old.status is not ConnectionStatus.active
    if old is not None:
        for name in ("sealed_tokens", "can_refresh", "expires_at"):
            setattr(old, name, getattr(fresh, name))
        old.kept_status, old.last_error, old.refreshing_until = ConnectionStatus.active, None, None
        old.updated_at = now()
    connection.scopes = tokens.scopes if tokens.scopes is not None else scopes
    connection.about = connection.about if about is None else about
    session.add(connection)
    await session.flush()
    told: event_types.AnyEvent = event_types.ConnectionCreated(connection.id, provider, connection.scopes)
    if was_broken:
        told = event_types.ConnectionRecovered(connection.id, provider)
    await events.tell(session, caller, told, smith_id=smith_id)
    await audit.note(session, caller, "connection.created", connection.id, provider=provider, smith_id=smith_id)
    changed(session, connection)
    return connection


async def change(
    session: AsyncSession, caller: Caller, smith_id: str, connection_id: str, changes: dict[str, Any]
) -> Connection:
    """Change what is noted of a connection: its `metadata`. Raises `SmithMismatch`, `NotFound`, `NothingToUpdate`."""
    caller.require("connections:write")
    if not changes:
        raise NothingToUpdate()
    connection = await one(session, caller, smith_id, connection_id)
    connection.about, connection.updated_at = changes["metadata"] or {}, now()
    await audit.note(session, caller, "connection.changed", connection.id, provider=connection.provider)
    return connection


async def retire(session: AsyncSession, caller: Caller, smith_id: str, connection_id: str) -> Connection:
    """Have nobody use a connection any more, before it is taken back. Raises `SmithMismatch`, `NotFound`."""
    caller.require("connections:write")
    connection = await one(session, caller, smith_id, connection_id)
    connection.kept_status, connection.updated_at = ConnectionStatus.revoked, now()
    await session.flush()
    return connection


async def forget(session: AsyncSession, caller: Caller, connection: Connection, *, taken_back: bool) -> None:
    """Delete a connection that is retired, unless a new consent has taken its place meanwhile."""
    mine: Any = (col(Connection.id) == connection.id) & (col(Connection.project_id) == caller.project_id)
    gone = sa.delete(Connection).where(mine, col(Connection.kept_status) == ConnectionStatus.revoked)
    if (await execute(session, gone)).rowcount:
        deleted = event_types.ConnectionDeleted(connection.id, connection.provider)
        await events.tell(session, caller, deleted, smith_id=connection.smith_id)
        facts = {"provider": connection.provider, "smith_id": connection.smith_id, "taken_back": taken_back}
        await audit.note(session, caller, "connection.deleted", connection.id, **facts)
        changed(session, connection)


async def one(session: AsyncSession, caller: Caller, smith_id: str, connection_id: str) -> Connection:
    """Return a connection, held, for one who may do something with it. Raises `SmithMismatch`, `NotFound`."""
    await smiths.embody(session, caller, smith_id, stays=True)
    query = _whose(caller, smith_id).where(Connection.id == connection_id)
    connection: Connection | None = (await session.exec(query.with_for_update())).first()
    if connection is None:
        raise NotFound(noun="connection", id=connection_id)
    return connection


async def of_provider(
    session: AsyncSession, project_id: str, smith_id: str, provider: str, *, held: bool = False
) -> Connection | None:
    """Return a smith's connection with a provider, for one who acts as it; `held`, nobody else changes it meanwhile."""
    mine = select(Connection).where(Connection.project_id == project_id, Connection.smith_id == smith_id)
    query = mine.where(Connection.provider == provider)
    return (await session.exec(query.with_for_update() if held else query)).first()


async def tokens_of(session: AsyncSession, connection: Connection) -> Tokens:
    """Return what was sealed."""
    ring = await keyrings.find(session, connection.project_id)
    sealed = json.loads(ring.unseal(connection.sealed_tokens))
    return Tokens(sealed["access_token"], sealed["refresh_token"], connection.expires_at)


async def renewed(session: AsyncSession, connection: Connection, tokens: Tokens) -> None:
    """Keep what a refresh has brought."""
    _put_in(connection, await keyrings.find(session, connection.project_id), tokens)


def changed(session: AsyncSession, connection: Connection) -> None:
    """Wake whoever waits for a connection, or looks at the smith's."""
    signals.send(session, topic(connection.smith_id))


def topic(smith_id: str) -> str:
    """Return what to listen to for changes of a smith's connections."""
    return f"connections:{smith_id}"


def _put_in(connection: Connection, ring: keyrings.Keyring, tokens: Tokens) -> None:
    held = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
    connection.sealed_tokens = ring.seal(json.dumps(held).encode())
    connection.can_refresh |= tokens.refresh_token is not None
    connection.expires_at = tokens.expires_at


def _whose(caller: Caller, smith_id: str) -> Any:
    return select(Connection).where(Connection.project_id == caller.project_id, Connection.smith_id == smith_id)
