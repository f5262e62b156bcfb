"""Credentials: a connection's tokens at the moment of use: fresh, refreshed by one at a time, and taken back.

A refresh is claimed in the connection's row, so that of all runs and processes one makes it; who comes meanwhile waits
for what it brings. No transaction is open while a service is asked.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import execute, transaction
from ingram_app.core.errors import Conflict, NotFound
from ingram_app.domain import connections, event_types, events, keyrings, oauth_providers, signatures, smiths
from ingram_app.domain.access import Caller, platform
from ingram_app.domain.connections import Connection, ConnectionStatus
from ingram_app.domain.oauth_providers import OAuthProvider
from ingram_app.domain.signatures import Person
from ingram_app.gateways import oauth, outbound
from ingram_app.gateways.oauth import Application, OAuthFailed, Tokens
from ingram_app.gateways.outbound import ForbiddenTarget

AHEAD = timedelta(minutes=2)
CLAIMED = timedelta(seconds=45)
"""Longer than any service is waited for."""
LOOKED_EVERY_SECONDS = 0.5
ERROR_LETTERS = 300


class ConnectionBroken(Conflict):
    """The connection with {provider} gives no token: {reason}. Have the person connect again."""

    code = "refresh_failed"


class RefreshFailed(Conflict):
    """{provider} gave no fresh token: {reason}. The connection is as it was; try again a little later."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What is needed for one refresh, read before anybody is asked."""

    connection: Connection
    tokens: Tokens
    provider: OAuthProvider
    application: Application
    person: Person
    ring: keyrings.Keyring


async def token(project_id: str, smith_id: str, provider: str) -> str | None:
    """Return a token that holds for some minutes yet, or none if the smith's person has no working connection.

    Raises `ConnectionBroken`, `RefreshFailed`.
    """
    caller = platform(project_id)
    async with transaction(caller.tenancy) as session:
        connection = await connections.of_provider(session, project_id, smith_id, provider)
        if connection is None or connection.status is not ConnectionStatus.active:
            return None
        if not connection.can_refresh or connection.expires_at is None or connection.expires_at > now() + AHEAD:
            return (await connections.tokens_of(session, connection)).access_token
    try:
        fresh = await _refreshed(caller, connection)
    except RefreshFailed:
        if connection.expires_at is None or connection.expires_at <= now():
            raise
        fresh = connection  # the old one holds for a moment yet
    async with transaction(caller.tenancy) as session:
        return (await connections.tokens_of(session, fresh)).access_token


async def refresh(caller: Caller, smith_id: str, connection_id: str) -> Connection:
    """Refresh a connection now. Raises `SmithMismatch`, `NotFound`, `ConnectionBroken`, `RefreshFailed`."""
    caller.require("connections:write")
    async with transaction(caller.tenancy) as session:
        connection = await connections.one(session, caller, smith_id, connection_id)
    return await _refreshed(caller, connection)


async def disconnect(caller: Caller, smith_id: str, connection_id: str) -> None:
    """Take a connection back, at its service too where that offers it, and forget it.

    Raises `SmithMismatch`, `NotFound`.
    """
    async with transaction(caller.tenancy) as session:
        connection = await connections.retire(session, caller, smith_id, connection_id)
        tokens = await connections.tokens_of(session, connection)
        application = None
        with suppress(NotFound):
            row = await oauth_providers.known(session, caller.project_id, connection.provider)
            application = await oauth_providers.application(session, row)
    taken_back = await oauth.revoke(application, tokens) if application is not None else False
    async with transaction(caller.tenancy) as session:
        await connections.forget(session, caller, connection, taken_back=taken_back)


async def _refreshed(caller: Caller, stale: Connection) -> Connection:
    """Return a connection after a refresh, by us or by whoever is at it. Raises `ConnectionBroken`, `RefreshFailed`."""
    with signals.listening(connections.topic(stale.smith_id)) as heard:
        while True:
            async with transaction(caller.tenancy) as session:
                connection = await _current(session, stale)
                if connection.updated_at > stale.updated_at:
                    return _working(connection)
                work = await _work(session, caller, connection) if await _claim(session, connection) else None
            if work is not None:
                return await _carry_out(caller, work)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOKED_EVERY_SECONDS):
                    await heard.get()


async def _current(session: AsyncSession, stale: Connection) -> Connection:
    found = await connections.of_provider(session, stale.project_id, stale.smith_id, stale.provider)
    if found is None:
        raise NotFound(noun="connection", id=stale.id)
    return found


def _working(connection: Connection) -> Connection:
    if connection.status is not ConnectionStatus.active:
        reason = connection.last_error or connection.status.value
        raise ConnectionBroken(provider=connection.provider, reason=reason)
    if connection.last_error is not None:
        raise RefreshFailed(provider=connection.provider, reason=connection.last_error)
    return connection


async def _claim(session: AsyncSession, connection: Connection) -> bool:
    """Claim the refresh of a connection for a while; tell whether nobody else has it."""
    if connection.refreshing_until is not None and connection.refreshing_until > now():
        return False
    mine: Any = (col(Connection.id) == connection.id) & (col(Connection.project_id) == connection.project_id)
    free = sa.or_(col(Connection.refreshing_until).is_(None), col(Connection.refreshing_until) <= now())
    same = col(Connection.updated_at) == connection.updated_at
    claim = sa.update(Connection).where(mine, free, same).values(refreshing_until=now() + CLAIMED)
    return bool((await execute(session, claim)).rowcount)


async def _work(session: AsyncSession, caller: Caller, connection: Connection) -> _Work:
    try:
        row = await oauth_providers.known(session, connection.project_id, connection.provider)
    except NotFound:
        raise ConnectionBroken(provider=connection.provider, reason="the project does not know it any more") from None
    smith = (await smiths.embody(session, caller, connection.smith_id)).smith
    return _Work(
        connection=connection,
        tokens=await connections.tokens_of(session, connection),
        provider=row,
        application=await oauth_providers.application(session, row),
        person=Person(smith.id, smith.external_id),
        ring=await keyrings.find(session, connection.project_id),
    )


async def _carry_out(caller: Caller, work: _Work) -> Connection:
    try:
        tokens = await _fresh_tokens(work)
    except OAuthFailed as failed:
        return _working(await _keep_failure(caller, work, failed))
    async with transaction(caller.tenancy) as session:
        connection = await _still(session, work)
        if connection is not None:
            recovered = connection.kept_status is ConnectionStatus.error
            await connections.renewed(session, connection, tokens)
            connection.kept_status, connection.last_error = ConnectionStatus.active, None
            _let_go(connection)
            event = event_types.ConnectionRecovered if recovered else event_types.ConnectionRefreshed
            told = event(connection.id, connection.provider)
            await events.tell(session, platform(caller.project_id), told, smith_id=connection.smith_id)
            connections.changed(session, connection)
            return connection
    await oauth.revoke(work.application, tokens)  # it was taken back, or replaced, meanwhile: nobody needs them
    raise ConnectionBroken(provider=work.connection.provider, reason="it was changed meanwhile")


async def _keep_failure(caller: Caller, work: _Work, failed: OAuthFailed) -> Connection:
    async with transaction(caller.tenancy) as session:
        connection = await _still(session, work)
        if connection is None:
            raise ConnectionBroken(provider=work.connection.provider, reason="it was changed meanwhile")
        connection.last_error = str(failed)[:ERROR_LETTERS]
        _let_go(connection)
        if failed.is_final and connection.kept_status is ConnectionStatus.active:
            connection.kept_status = ConnectionStatus.error
            broken = event_types.ConnectionBroken(connection.id, connection.provider, connection.last_error)
            await events.tell(session, platform(caller.project_id), broken, smith_id=connection.smith_id)
        connections.changed(session, connection)
        return connection


async def _still(session: AsyncSession, work: _Work) -> Connection | None:
    """Return the connection as we claimed it, held, unless something has happened to it meanwhile."""
    ours = select(Connection).where(
        Connection.id == work.connection.id,
        Connection.project_id == work.connection.project_id,
        Connection.updated_at == work.connection.updated_at,
    )
    return (await session.exec(ours.with_for_update())).first()


def _let_go(connection: Connection) -> None:
    connection.refreshing_until, connection.updated_at = None, now()


async def _fresh_tokens(work: _Work) -> Tokens:
    """Raises `OAuthFailed`."""
    if work.provider.refresh_webhook is not None:
        return await _from_webhook(work, work.provider.refresh_webhook)
    if work.tokens.refresh_token is None:
        raise OAuthFailed("there is nothing to refresh it with", "invalid_grant")
    return await oauth.refresh(work.application, work.tokens.refresh_token)


async def _from_webhook(work: _Work, address: str) -> Tokens:
    """Ask the customer, who keeps the refresh token. Raises `OAuthFailed`."""
    named = {"smith_id": work.person.smith_id, "external_id": work.person.external_id}
    asked = {"connection_id": work.connection.id, "provider": work.connection.provider, **named}
    body = json.dumps(asked).encode()
    signed = signatures.signer(work.ring, address, work.person)(body)
    try:
        client = outbound.bounded_client(timeout=oauth.SECONDS)
        answer = await client.post(address, content=body, headers={"Content-Type": "application/json", **signed})
        answer.raise_for_status()
        tokens = oauth.read(answer.json())
    except ForbiddenTarget as forbidden:
        raise OAuthFailed(forbidden.sentence) from None
    except httpx2.HTTPStatusError as refused:
        raise OAuthFailed(f"the refresh webhook answered {refused.response.status_code}") from None
    except (httpx2.HTTPError, httpx2.InvalidURL):
        raise OAuthFailed("the refresh webhook can not be reached") from None
    except (ValueError, RecursionError):
        raise OAuthFailed("the refresh webhook answered something else than tokens", "malformed") from None
    return Tokens(tokens.access_token, tokens.refresh_token or work.tokens.refresh_token, tokens.expires_at)
