"""Tokens: how programs show who they are. A JSON Web Token (RFC 7519, RS256) behind a handle that people can read.

    tha_live_…  tenant-admin    sub = project            tenant:*
    thp_live_…  smith           sub = project:smith      the permissions it was given, ≤ 24 hours
    tho_live_…  organization    sub = organization       organization:*

A token verifies under the key of the owner named in its `sub` and no other: what one project signed reads no other
project, whatever its claims say. It is shown once; its hash is kept. A verified token is believed for less than a
second before the table is asked again, so that a revoked one ends everywhere within a second.
"""

import base64
import json
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import sqlalchemy as sa
from joserfc import jwt
from joserfc.errors import JoseError
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, Tenancy, execute, transaction
from ingram_app.core.errors import Invalid, NotFound, Unauthenticated
from ingram_app.core.ids import is_id, new_id
from ingram_app.core.secrets import digest
from ingram_app.core.settings import settings
from ingram_app.domain import audit, keyrings, projects
from ingram_app.domain.access import ORGANIZATION, PERMISSIONS, TENANT, Actor, ActorKind, Caller
from ingram_app.domain.keyrings import Keyring
from ingram_app.domain.paging import FIRST, Page, Place, page
from ingram_app.domain.projects import Project

SMITH_LIFETIME = timedelta(hours=24)
LONGEST = timedelta(seconds=315_360_000)
BELIEVED_SECONDS = 0.5
USED_EVERY = timedelta(minutes=1)
UNSIGNED = "its signature is not that of its project"
"""Said of a project that is not here as well: nobody learns which are."""


class Kind(StrEnum):
    admin = "admin"
    smith = "smith"
    organization = "organization"


ACTORS: dict[Kind, ActorKind] = {Kind.admin: "tenant", Kind.smith: "smith", Kind.organization: "organization"}
HANDLES = {Kind.admin: "tha_live_", Kind.smith: "thp_live_", Kind.organization: "tho_live_"}


class Token(SQLModel, table=True):
    __tablename__ = "tokens"
    __table_args__ = (
        Index("ix_tokens_page", "project_id", "created_at", "id"),
        Index("ix_tokens_sub", "project_id", "sub", "created_at", "id"),
    )

    id: str = Field(default_factory=lambda: new_id("tok"), primary_key=True)
    """The token's `jti`."""
    organization_id: str = Field(foreign_key="organizations.id", ondelete="CASCADE", index=True)
    project_id: str | None = Field(default=None, foreign_key="projects.id", ondelete="CASCADE")
    name: str | None = None
    sub: str
    scopes: list[str] = Field(sa_type=JSONB)
    hash: str
    """SHA-256 of the whole token."""
    prefix: str
    """How the token begins, for people who look for it."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    expires_at: datetime | None = Field(default=None, sa_type=Moment)
    revoked_at: datetime | None = Field(default=None, sa_type=Moment)
    last_used_at: datetime | None = Field(default=None, sa_type=Moment)

    @property
    def kind(self) -> Kind:
        """What it is for, as its scopes and subject say."""
        if self.project_id is None:
            return Kind.organization
        return Kind.smith if ":" in self.sub else Kind.admin

    @property
    def state(self) -> Literal["active", "expired", "revoked"]:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now() else "active"


@dataclass(frozen=True, slots=True)
class Minted:
    """A token at the only moment its words are known."""

    token: Token
    words: str


class InvalidToken(Unauthenticated):
    """The token is not valid: {reason}. Send a current one as `Authorization: Bearer …`."""

    code = "unauthenticated"


class PermissionsRequired(Invalid):
    """A smith token needs at least one permission, such as `runs:write`."""


class InvalidPermissions(Invalid):
    """{permission} is no permission. Permissions are: {permissions}."""


class SmithRequired(Invalid):
    """A smith token is for one smith: name it as `smith_id`, and leave `smith_id` out for an admin token."""


class InvalidLifetime(Invalid):
    """`ttl_seconds` must be from 1 to {most} for this kind of token."""

    code = "invalid_request"


async def mint(
    session: AsyncSession,
    caller: Caller,
    *,
    kind: Kind = Kind.smith,
    smith_id: str | None = None,
    permissions: list[str] | None = None,
    ttl_seconds: int | None = None,
    name: str | None = None,
) -> Minted:
    """Make a token for the caller's project. The smith is looked for by who asks.

    Raises `PermissionsRequired`, `InvalidPermissions`, `SmithRequired`, `InvalidLifetime`.
    """
    caller.require("tokens:write")
    if (kind is Kind.smith) != (smith_id is not None):
        raise SmithRequired(param="smith_id")
    scopes = _checked(permissions) if kind is Kind.smith else [TENANT]
    project = await projects.own(session, caller)
    sub = subject(project.id, smith_id) if smith_id else project.id
    return await _sign(session, caller, _row_in(project, sub, scopes, name), kind, ttl_seconds)


async def mint_for_project(
    session: AsyncSession, caller: Caller, project_id: str, *, ttl_seconds: int | None = None, name: str | None = None
) -> Minted:
    """Make a tenant-admin token of one of the organization's projects. Raises `NotFound`, `InvalidLifetime`."""
    project = await projects.stand_in(session, caller, project_id)
    return await _sign(session, caller, _row_in(project, project.id, [TENANT], name), Kind.admin, ttl_seconds)


async def mint_for_organization(session: AsyncSession, caller: Caller, *, name: str | None = None) -> Minted:
    """Make an organization key."""
    caller.require_organization()
    owner = caller.organization_id
    row = Token(organization_id=owner, name=name, sub=owner, scopes=[ORGANIZATION], hash="", prefix="")
    return await _sign(session, caller, row, Kind.organization, None)


async def browse(
    session: AsyncSession, caller: Caller, place: Place = FIRST, *, smith_id: str | None = None
) -> Page[Token]:
    """Return the project's tokens or those of one smith, newest first, revoked ones too."""
    caller.require("tokens:read")
    query = select(Token).where(Token.project_id == caller.project_id)
    if smith_id is not None:
        query = query.where(Token.sub == subject(caller.project_id, smith_id))
    return await page(session, query, Token, place)


async def revoke(session: AsyncSession, caller: Caller, token_id: str) -> None:
    """End a token of the caller's project, everywhere within a second. Raises `NotFound`."""
    caller.require("tokens:write")
    await _revoke(session, caller, select(Token).where(Token.project_id == caller.project_id), token_id)


async def revoke_of_smith(session: AsyncSession, caller: Caller, smith_id: str) -> None:
    """End every token of a smith, everywhere within a second."""
    caller.require("smiths:write")
    every = sa.update(Token).where(
        col(Token.project_id) == caller.project_id,
        col(Token.sub) == subject(caller.project_id, smith_id),
        col(Token.revoked_at).is_(None),
    )
    await execute(session, every.values(revoked_at=now()))


async def revoke_of_project(session: AsyncSession, caller: Caller, project_id: str, token_id: str) -> None:
    """End a token of one of the organization's projects. Raises `NotFound`."""
    await projects.find(session, caller, project_id)
    await _revoke(session, caller, select(Token).where(Token.project_id == project_id), token_id)


async def revoke_key(session: AsyncSession, caller: Caller, token_id: str) -> None:
    """End an organization key. Raises `NotFound`."""
    caller.require_organization()
    keys = select(Token).where(Token.organization_id == caller.organization_id, col(Token.project_id).is_(None))
    await _revoke(session, caller, keys, token_id)


async def still_holds(session: AsyncSession, token_id: str | None) -> bool:
    """Tell whether whoever did something with this token could do it again; one who had none could."""
    token = await session.get(Token, token_id) if token_id is not None else None
    return token_id is None or (token is not None and token.state == "active")


_smiths = sa.table("smiths", sa.column("id"), sa.column("project_id"), sa.column("archived_at"))
_believed: OrderedDict[str, tuple[float, Caller, datetime | None]] = OrderedDict()
_BELIEVED_AT_MOST = 4096


async def authenticate(words: str) -> Caller:
    """Return who shows this token. Raises `InvalidToken`."""
    key = digest(words)
    found = _believed.get(key)
    if found is None or found[0] < time.monotonic():
        caller, expires_at = await _verify(words, key)
        found = _believed[key] = (time.monotonic() + BELIEVED_SECONDS, caller, expires_at)
        _believed.move_to_end(key)
        if len(_believed) > _BELIEVED_AT_MOST:
            _believed.popitem(last=False)
    _, caller, expires_at = found
    if expires_at is not None and expires_at <= now():
        raise InvalidToken(reason="it has expired")
    return caller


async def _verify(words: str, key: str) -> tuple[Caller, datetime | None]:
    kind, body = _handle(words)
    owner_id, _, smith_id = _sub(body).partition(":")
    if not is_id(owner_id, "org" if kind is Kind.organization else "proj") or bool(smith_id) != (kind is Kind.smith):
        raise InvalidToken(reason="its subject is none of ours")
    tenancy = Tenancy(organization_id=owner_id) if kind is Kind.organization else Tenancy(project_id=owner_id)
    async with transaction(tenancy) as session:
        ring = await session.get(Keyring, owner_id)
        if ring is None:
            raise InvalidToken(reason=UNSIGNED)
        claims = _claims(body, ring)
        row = await session.get(Token, str(claims.get("jti")))
        if row is None or row.hash != key or row.sub != claims.get("sub"):
            raise InvalidToken(reason="it is not on record")
        if row.revoked_at is not None:
            raise InvalidToken(reason="it has been revoked")
        if kind is not Kind.organization:
            await _refuse_archived(session, owner_id, smith_id)
        if row.last_used_at is None or row.last_used_at < now() - USED_EVERY:
            row.last_used_at = now()
    actor = Actor(kind=ACTORS[kind], id=smith_id or owner_id, token_id=row.id)
    place = {"organization_id": owner_id} if kind is Kind.organization else {"project_id": owner_id}
    return Caller(actor=actor, scopes=frozenset(row.scopes), smith_id=smith_id, **place), row.expires_at


async def _refuse_archived(session: AsyncSession, project_id: str, smith_id: str) -> None:
    project = await session.get(Project, project_id)
    if project is None or project.archived_at is not None:
        raise InvalidToken(reason="its project has been deleted")
    lives = sa.select(_smiths.c.id).where(_smiths.c.id == smith_id, _smiths.c.project_id == project_id)
    if smith_id and (await execute(session, lives.where(_smiths.c.archived_at.is_(None)))).first() is None:
        raise InvalidToken(reason="its smith has been deleted")


def _handle(words: str) -> tuple[Kind, str]:
    for kind, handle in HANDLES.items():
        if words.startswith(handle):
            return kind, words.removeprefix(handle)
    raise InvalidToken(reason="it begins with none of tha_live_, thp_live_, tho_live_")


def _sub(body: str) -> str:
    """Return the subject a token claims; nothing is believed yet, it only says whose key to verify with."""
    try:
        payload = body.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["sub"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise InvalidToken(reason="it can not be read") from None


def _claims(body: str, ring: Keyring) -> dict[str, Any]:
    try:
        return dict(jwt.decode(body, ring.verifying_key(), algorithms=["RS256"]).claims)
    except (JoseError, ValueError, RecursionError):
        raise InvalidToken(reason=UNSIGNED) from None


def _checked(permissions: list[str] | None) -> list[str]:
    if not permissions:
        raise PermissionsRequired(param="permissions")
    for permission in permissions:
        if permission not in PERMISSIONS:
            raise InvalidPermissions(
                permission=permission[:80], permissions=", ".join(sorted(PERMISSIONS)), param="permissions"
            )
    return sorted(set(permissions))


def _lifetime(kind: Kind, ttl_seconds: int | None) -> timedelta | None:
    most = SMITH_LIFETIME if kind is Kind.smith else LONGEST
    if ttl_seconds is None:
        return SMITH_LIFETIME if kind is Kind.smith else None
    if not 1 <= ttl_seconds <= most.total_seconds():
        raise InvalidLifetime(most=int(most.total_seconds()), param="ttl_seconds")
    return timedelta(seconds=ttl_seconds)


def _row_in(project: Project, sub: str, scopes: list[str], name: str | None) -> Token:
    owner = project.organization_id
    return Token(organization_id=owner, project_id=project.id, name=name, sub=sub, scopes=scopes, hash="", prefix="")


def subject(project_id: str, smith_id: str) -> str:
    """Return the `sub` of a smith's tokens."""
    return f"{project_id}:{smith_id}"


async def _sign(session: AsyncSession, caller: Caller, row: Token, kind: Kind, ttl_seconds: int | None) -> Minted:
    lifetime = _lifetime(kind, ttl_seconds)
    ring = await keyrings.find(session, row.project_id or row.organization_id)
    claims: dict[str, Any] = {
        "iss": settings().address,
        "sub": row.sub,
        "jti": row.id,
        "scopes": row.scopes,
        "iat": int(row.created_at.timestamp()),
    }
    if lifetime is not None:
        row.expires_at = row.created_at + lifetime
        claims["exp"] = int(row.expires_at.timestamp())
    signed = jwt.encode({"alg": "RS256", "kid": ring.kid}, claims, ring.signing_key(), algorithms=["RS256"])
    words = HANDLES[kind] + signed
    row.hash, row.prefix = digest(words), words[:20]
    session.add(row)
    await session.flush()
    await audit.note(session, caller, "token.minted", row.id, sub=row.sub, scopes=row.scopes)
    return Minted(row, words)


async def _revoke(session: AsyncSession, caller: Caller, among: Any, token_id: str) -> None:
    token = (await session.exec(among.where(Token.id == token_id))).first()
    if token is None:
        raise NotFound(noun="token", id=token_id)
    if token.revoked_at is None:
        token.revoked_at = now()
        await audit.note(session, caller, "token.revoked", token.id, sub=token.sub)
