"""OAuth providers: services in which a project's smiths can have accounts, and us as each of them knows us.

Whoever sets one says where end users' tokens are sent: owners and admins.
"""

import re
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy import UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, alone, execute
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.core.ids import new_id
from ingram_app.core.settings import settings
from ingram_app.domain import audit, keyrings
from ingram_app.domain.access import Caller
from ingram_app.gateways import outbound
from ingram_app.gateways.oauth import Application
from ingram_app.gateways.oauth_presets import PRESETS, AuthMethod
from ingram_app.gateways.offices import Client, Office

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
CALLBACK = "/v1/oauth/callback"


class OAuthProvider(SQLModel, table=True):
    __tablename__ = "oauth_providers"
    __table_args__ = (UniqueConstraint("project_id", "provider"),)

    id: str = Field(default_factory=lambda: new_id("prv"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    provider: str
    client_id: str
    sealed_client_secret: bytes
    authorize_url: str
    token_uri: str
    revoke_uri: str | None = None
    auth_method: AuthMethod = Field(default="client_secret_basic", sa_type=sa.String)
    scopes_allowed: list[str] = Field(default_factory=list, sa_type=JSONB)
    """What smiths may ask for, and do."""
    refresh_webhook: str | None = None
    """Where to ask for fresh tokens instead of at `token_uri`, for a customer that keeps refresh tokens itself."""
    return_origins: list[str] = Field(default_factory=list, sa_type=JSONB)
    """Where a smith's own token may have a person sent back to."""
    registration: dict[str, Any] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    """How we came to be its client, as `Registration`; null when somebody has registered us by hand."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)

    @property
    def redirect_uri(self) -> str:
        """What the service has to know as our address; where nobody looks after that, one for each service."""
        return settings().address + CALLBACK + (f"/{self.id}" if self.registration else "")

    @property
    def registered(self) -> "Registration | None":
        return Registration.model_validate(self.registration) if self.registration else None

    @property
    def asked_for(self) -> list[str]:
        """The scopes that a person is asked for."""
        preset = PRESETS.get(self.provider)
        besides = preset.scopes_besides if preset and self.scopes_allowed else ()
        return list(dict.fromkeys([*self.scopes_allowed, *besides]))

    @property
    def fingerprint(self) -> str:
        """Stands for where and as whom tokens are asked for."""
        return f"{self.id} {self.client_id} {self.authorize_url} {self.token_uri}"


class Registration(BaseModel):
    """Us as an authorization server has registered us by itself (RFC 7591)."""

    mcp_server: str
    """For whose sake."""
    issuer: str
    resource: str
    """What tokens are for (RFC 8707)."""
    names_itself: bool
    """The server says who it is when it sends a person back (RFC 9207)."""
    redirect_uri: str
    secret_expires_at: datetime | None


class InvalidProvider(Invalid):
    """A provider's name is of a-z, 0-9, hyphens and underscores, begins with a letter or digit, and has at most 63."""


class InvalidProviderUrl(Invalid):
    """{field} must be an address that begins with https:// (http:// only where private addresses are allowed)."""


class ProviderUrlRequired(Invalid):
    """{provider} is none of the known services ({known}): say its `authorize_url` and `token_uri`."""


class ClientSecretRequired(Invalid):
    """Give the `client_secret`: there is none kept, or it was given for another service."""


class ProviderTaken(Invalid):
    """There is already a provider {provider}, which was set up for something else. Choose another `provider`."""


class InvalidOrigin(Invalid):
    """{origin} is no origin. One looks like https://app.example.com."""


async def put(session: AsyncSession, caller: Caller, provider: str, given: dict[str, Any]) -> OAuthProvider:
    """Keep us as a service knows us, in place of what was kept. The secret stays when none is given and nothing moved.

    Raises `InvalidProvider`, `ProviderUrlRequired`, `InvalidProviderUrl`, `ClientSecretRequired`, `InvalidOrigin`.
    """
    caller.require("project:write")
    if not NAME.fullmatch(provider):
        raise InvalidProvider(param="provider")
    facts = _facts(provider, given)
    await alone(session, f"{caller.project_id} oauth {provider}")
    row = await _of(session, caller.project_id, provider, held=True)
    secret = "" if facts["auth_method"] == "none" else given.get("client_secret")
    if secret is None and (row is None or row.auth_method == "none" or _moves(row, facts)):
        raise ClientSecretRequired(param="client_secret")
    if row is None:
        row = OAuthProvider(project_id=caller.project_id, provider=provider, sealed_client_secret=b"", **facts)
    if secret or _moves(row, facts):
        row.registration = None
    for name, fact in facts.items():
        setattr(row, name, fact)
    if secret is not None:
        row.sealed_client_secret = (await keyrings.find(session, caller.project_id)).seal(secret.encode())
    row.updated_at = now()
    session.add(row)
    await session.flush()
    await audit.note(session, caller, "provider.set", row.id, provider=provider, client_id=row.client_id)
    return row


async def find(session: AsyncSession, caller: Caller, provider: str) -> OAuthProvider:
    """Return one of the project's providers. Raises `NotFound`."""
    caller.require("agents:read")
    return await known(session, caller.project_id, provider)


async def known(session: AsyncSession, project_id: str, provider: str) -> OAuthProvider:
    """Return a provider for one who acts as a smith or for it. Raises `NotFound`."""
    row = await _of(session, project_id, provider)
    if row is None:
        raise NotFound(noun="provider", id=provider[:80])
    return row


async def browse(session: AsyncSession, caller: Caller) -> list[OAuthProvider]:
    """Return the project's providers, by name."""
    caller.require("agents:read")
    query = select(OAuthProvider).where(OAuthProvider.project_id == caller.project_id)
    return list((await session.exec(query.order_by(OAuthProvider.provider))).all())


async def remove(session: AsyncSession, caller: Caller, provider: str) -> None:
    """Forget a provider; connections that are there work until their tokens end. Raises `NotFound`."""
    caller.require("project:write")
    row = await _of(session, caller.project_id, provider, held=True)
    if row is None:
        raise NotFound(noun="provider", id=provider[:80])
    await session.delete(row)
    await audit.note(session, caller, "provider.removed", row.id, provider=provider)


async def enrol(
    session: AsyncSession, caller: Caller, provider: str, office: Office, client: Client | None, ours: Registration
) -> OAuthProvider:
    """Keep what an authorization server knows us as; without a client, as the one that is kept. Raises `ProviderTaken`.

    What was set besides, such as the scopes that are asked for, stays.
    """
    caller.require("project:write")
    await alone(session, f"{caller.project_id} oauth {provider}")
    row = await _of(session, caller.project_id, provider, held=True)
    if not may_enrol(row, ours.mcp_server):
        raise ProviderTaken(provider=provider, param="auth.provider")
    id = ours.redirect_uri.rpartition("/")[2]
    if client is None and (row is None or row.id != id):  # what fitted has gone meanwhile
        raise NotFound(noun="provider", id=provider)
    if row is not None and row.id != id:  # somebody else was faster, with another address
        await session.delete(row)
        await session.flush()
        row = None
    facts: dict[str, Any] = {name: getattr(office, name) for name in ("authorize_url", "token_uri", "revoke_uri")}
    if client is not None:
        secret = (await keyrings.find(session, caller.project_id)).seal(client.client_secret.encode())
        facts |= {"client_id": client.client_id, "auth_method": client.auth_method, "sealed_client_secret": secret}
    if row is None:
        whose: dict[str, Any] = {"id": id, "project_id": caller.project_id, "provider": provider}
        row = OAuthProvider(**whose, **facts, scopes_allowed=office.scopes)
    for name, fact in facts.items():
        setattr(row, name, fact)
    row.registration, row.updated_at = ours.model_dump(mode="json"), now()
    session.add(row)
    await session.flush()
    about = {"provider": provider, "client_id": row.client_id, "issuer": ours.issuer}
    await audit.note(session, caller, "provider.registered", row.id, **about)
    return row


def may_enrol(row: OAuthProvider | None, mcp_server: str) -> bool:
    """Tell whether a name is free, or stands for what was registered for the sake of this very server."""
    return row is None or (row.registered is not None and row.registered.mcp_server == mcp_server)


async def release(session: AsyncSession, caller: Caller, mcp_server: str, *, but: str | None = None) -> None:
    """Forget what was registered for the sake of a server."""
    its: Any = col(OAuthProvider.registration)["mcp_server"].astext == mcp_server
    query = sa.delete(OAuthProvider).where(col(OAuthProvider.project_id) == caller.project_id, its)
    await execute(session, query.where(col(OAuthProvider.provider) != but) if but else query)


async def application(session: AsyncSession, row: OAuthProvider) -> Application:
    """Return us as the service knows us, with the secret."""
    ring = await keyrings.find(session, row.project_id)
    preset = PRESETS.get(row.provider)
    return Application(
        client_id=row.client_id,
        client_secret=ring.unseal(row.sealed_client_secret).decode(),
        authorize_url=row.authorize_url,
        token_uri=row.token_uri,
        revoke_uri=row.revoke_uri,
        auth_method=row.auth_method,
        redirect_uri=row.redirect_uri,
        resource=row.registered.resource if row.registered else None,
        asked_besides=preset.asked_besides if preset else {},
        takes_back=preset.takes_back if preset and row.revoke_uri == preset.revoke_uri else "rfc7009",
    )


def origin_of(url: str) -> str | None:
    """Return the origin of an address that a person may be sent to: https, or http on their own machine."""
    found = re.fullmatch(
        r"(https://[a-z0-9.-]+(?::\d{1,5})?|http://(?:localhost|127\.0\.0\.1)(?::\d{1,5})?)([/?].*)?", url
    )
    return found[1] if found and url.isascii() and url.isprintable() and " " not in url else None


async def _of(session: AsyncSession, project_id: str, provider: str, *, held: bool = False) -> OAuthProvider | None:
    query = select(OAuthProvider).where(OAuthProvider.project_id == project_id, OAuthProvider.provider == provider)
    return (await session.exec(query.with_for_update() if held else query)).first()


def _moves(row: OAuthProvider, facts: dict[str, Any]) -> bool:
    """Tell whether the kept secret would be shown to somebody that it was not given for."""
    preset = PRESETS.get(row.provider)
    new = facts["revoke_uri"] not in (None, row.revoke_uri, preset and preset.revoke_uri)
    return new or any(getattr(row, name) != facts[name] for name in ("client_id", "authorize_url", "token_uri"))


def _facts(provider: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that are given, filled up with what is known of the service."""
    preset = PRESETS.get(provider)
    facts = {name: given.get(name) for name in ("authorize_url", "token_uri", "revoke_uri", "auth_method")}
    for name in facts:
        facts[name] = facts[name] or getattr(preset, name, None)
    if not facts["authorize_url"] or not facts["token_uri"]:
        raise ProviderUrlRequired(provider=provider, known=", ".join(PRESETS), param="authorize_url")
    facts["auth_method"] = facts["auth_method"] or "client_secret_basic"
    for name in ("authorize_url", "token_uri", "revoke_uri", "refresh_webhook"):
        _check_url(name, facts.get(name) or given.get(name))
    origins = given.get("return_origins") or []
    for origin in origins:
        if origin_of(origin) != origin:
            raise InvalidOrigin(origin=origin[:200], param="return_origins")
    return facts | {
        "client_id": given["client_id"],
        "scopes_allowed": given.get("scopes_allowed") or [],
        "refresh_webhook": given.get("refresh_webhook"),
        "return_origins": origins,
    }


def _check_url(name: str, url: str | None) -> None:
    if url is not None and not outbound.is_callable(url):
        raise InvalidProviderUrl(field=name, param=name)
