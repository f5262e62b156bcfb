"""Model keys: what a project, or one smith, shows to a model provider. Sealed; read back by nothing but a run.

A key is looked for at the smith, then at the project, then at the platform. The first found is used; if the
provider refuses it the run says so, and no other is tried.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import Index, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.core.ids import new_id
from ingram_app.core.journeys import Rows
from ingram_app.core.readings import Reading
from ingram_app.core.settings import settings
from ingram_app.domain import audit, keyrings
from ingram_app.domain.access import Caller, TenantTokenRequired
from ingram_app.domain.keyrings import Keyring
from ingram_app.gateways import providers
from ingram_app.gateways.providers import BaseUrlRequired, Credential, ModelKeyMissing, Provider

Source = Literal["smith", "byok", "hosted", "local"]


class ModelKey(SQLModel, table=True):
    __tablename__ = "model_keys"
    __table_args__ = (Index("uq_model_keys", "project_id", sa.text("coalesce(smith_id, '')"), "provider", unique=True),)

    id: str = Field(default_factory=lambda: new_id("key"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    smith_id: str | None = Field(default=None, foreign_key="smiths.id", ondelete="CASCADE")
    """Null: the whole project's."""
    provider: str = Field(max_length=63)
    sealed_key: bytes
    base_url: str | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)


@dataclass(frozen=True, slots=True)
class Access:
    """How a model is reached: its provider, its name there, and whose key is shown."""

    provider: Provider
    name: str
    credential: Credential | None
    source: Source


@dataclass(frozen=True, slots=True)
class ModelListed:
    id: str
    provider: str
    label: str
    available: bool
    source: Source | None
    """Whose key would be used; `local` needs none."""


@dataclass(frozen=True, slots=True)
class ProviderListed:
    id: str
    label: str
    base_url: bool
    """Takes an endpoint of one's own."""
    hosted: bool
    """The platform has a key."""


@dataclass(frozen=True, slots=True)
class Catalog:
    data: list[ModelListed]
    providers: list[ProviderListed]


class InvalidProviderName(Invalid):
    """The name {provider} must be of a-z, 0-9 and hyphens, at most 63 characters, and begin with a letter or digit."""


class InvalidBaseUrl(Invalid):
    """{base_url} is no address of an endpoint. It looks like https://models.example.com/v1."""


class InvalidModelKey(Invalid):
    """A key has from 1 to 4000 characters. When the endpoint asks for none, give any word."""


class KeyNotNeeded(Invalid):
    """{provider} needs no key: its models run here."""

    code = "unsupported_provider"


class UnsupportedBaseUrl(Invalid):
    """{provider} takes no `base_url`."""


async def put(
    session: AsyncSession,
    caller: Caller,
    provider: str,
    *,
    api_key: str,
    base_url: str | None = None,
    smith_id: str | None = None,
) -> ModelKey:
    """Keep a key, in place of any before it.

    Raises `InvalidProviderName`, `KeyNotNeeded`, `BaseUrlRequired`, `UnsupportedBaseUrl`, `InvalidBaseUrl`,
    `InvalidModelKey`.
    """
    _require(caller, "model_keys:write", smith_id)
    _check(providers.named(provider), base_url)
    if not 1 <= len(api_key) <= 4000:
        raise InvalidModelKey(param="api_key")
    ring = await keyrings.find(session, caller.project_id)
    sealed = ring.seal(api_key.encode())
    key = ModelKey(
        project_id=caller.project_id, smith_id=smith_id, provider=provider, sealed_key=sealed, base_url=base_url
    )
    later = {"sealed_key": sealed, "base_url": base_url, "updated_at": key.updated_at}
    whose: list[Any] = [ModelKey.project_id, sa.text("coalesce(smith_id, '')"), ModelKey.provider]
    upsert = insert(ModelKey).values(key.model_dump()).on_conflict_do_update(index_elements=whose, set_=later)
    await execute(session, upsert)
    kept = await _of(session, caller, provider, smith_id)
    about = {"provider": provider, "base_url": base_url, "smith_id": smith_id}
    await audit.note(session, caller, "model_key.set", kept.id, **about)
    return kept


async def browse(session: AsyncSession, caller: Caller, smith_id: str | None = None) -> list[ModelKey]:
    """Return the keys of the project, or of one smith, by provider."""
    _require(caller, "model_keys:read", smith_id)
    return await _all_of(session, caller, smith_id)


async def remove(session: AsyncSession, caller: Caller, provider: str, smith_id: str | None = None) -> None:
    """Forget a key. Raises `NotFound`."""
    _require(caller, "model_keys:write", smith_id)
    key = await _of(session, caller, provider, smith_id)
    await session.delete(key)
    await audit.note(session, caller, "model_key.removed", key.id, provider=provider, smith_id=smith_id)


def ask(session: AsyncSession, project_id: str, smith_id: str) -> Rows:
    """Ask for the keys that a smith may use; `nearest` reads the answer."""
    return _WITHIN_REACH.ask(session, project_id=project_id, smith_id=smith_id)


async def reach(session: AsyncSession, project_id: str, smith_id: str, model: str) -> Access:
    """Return how `model` is reached for a smith. Raises `UnknownProvider`, `ModelKeyMissing`."""
    known = {"project_id": project_id, "smith_id": smith_id}
    return nearest(await _WITHIN_REACH.execute(session, **known), model)


def nearest(keys: Rows, model: str) -> Access:
    """Return how `model` is reached with these keys, a smith's own before its project's.

    Raises `UnknownProvider`, `ModelKeyMissing`.
    """
    provider, name = providers.find(model)
    if not provider.needs_key:
        return Access(provider, name, None, "local")
    fitting = [found for found in _WITHIN_REACH.of(keys) if found[0].provider == provider.id]
    if fitting:
        key, ring = max(fitting, key=lambda found: found[0].smith_id is not None)
        credential = Credential(api_key=ring.unseal(key.sealed_key).decode(), base_url=key.base_url)
        return Access(provider, name, credential, "smith" if key.smith_id else "byok")
    hosted = _platform_key(provider.id)
    if hosted is None:
        raise ModelKeyMissing(provider=provider.id, model=model, param="model")
    return Access(provider, name, Credential(api_key=hosted.get_secret_value()), "hosted")


async def catalog(session: AsyncSession, caller: Caller) -> Catalog:
    """Return every known model with whether the caller reaches it, the project or its one smith, and every provider."""
    caller.require("model_keys:read")
    keys = {key.provider: key for key in await _all_of(session, caller, None)}
    if caller.smith_id:
        keys |= {key.provider: key for key in await _all_of(session, caller, caller.smith_id)}
    known = list(providers.PROVIDERS.values())
    custom = [providers.named(name) for name in keys if name not in providers.PROVIDERS]
    sources = {provider.id: _source(provider, keys) for provider in [*known, *custom]}
    return Catalog(
        data=[
            ModelListed(model.id, provider.id, model.label, sources[provider.id] is not None, sources[provider.id])
            for provider in known
            for model in provider.models
        ],
        providers=[
            ProviderListed(provider.id, provider.label, provider.takes_base_url, _platform_key(provider.id) is not None)
            for provider in [*known, *custom]
        ],
    )


_WITHIN_REACH: Reading[tuple[ModelKey, Keyring]] = Reading(
    select(ModelKey, Keyring)
    .join(Keyring, col(Keyring.owner_id) == ModelKey.project_id)
    .where(ModelKey.project_id == sa.bindparam("project_id"))
    .where(func.coalesce(ModelKey.smith_id, sa.bindparam("smith_id")) == sa.bindparam("smith_id"))
)


def _source(provider: Provider, keys: dict[str, ModelKey]) -> Source | None:
    if not provider.needs_key:
        return "local"
    if provider.id in keys:
        return "smith" if keys[provider.id].smith_id else "byok"
    return "hosted" if _platform_key(provider.id) else None


def _platform_key(provider: str) -> SecretStr | None:
    """Return the platform's own key for a provider, if the operator has set one."""
    keys = {
        "openai": settings().openai_api_key,
        "anthropic": settings().anthropic_api_key,
        "google": settings().google_api_key,
    }
    return keys.get(provider)


def _require(caller: Caller, permission: str, smith_id: str | None) -> None:
    """A smith's token has a say in that smith's keys, never in the project's."""
    caller.require(permission)
    if smith_id is not None:
        caller.require_own(smith_id)
    elif caller.smith_id:
        raise TenantTokenRequired()


async def _all_of(session: AsyncSession, caller: Caller, smith_id: str | None) -> list[ModelKey]:
    return list((await session.exec(_whose(caller, smith_id).order_by(ModelKey.provider))).all())


async def _of(session: AsyncSession, caller: Caller, provider: str, smith_id: str | None) -> ModelKey:
    key: ModelKey | None = (await session.exec(_whose(caller, smith_id).where(ModelKey.provider == provider))).first()
    if key is None:
        raise NotFound(noun="model key", id=provider)
    return key


def _whose(caller: Caller, smith_id: str | None) -> Any:
    return select(ModelKey).where(
        ModelKey.project_id == caller.project_id, col(ModelKey.smith_id).is_not_distinct_from(smith_id)
    )


def _check(provider: Provider, base_url: str | None) -> None:
    if provider.id not in providers.PROVIDERS and not providers.CUSTOM_ID.fullmatch(provider.id):
        raise InvalidProviderName(provider=provider.id[:80], param="provider")
    if not provider.needs_key:
        raise KeyNotNeeded(provider=provider.id, param="provider")
    if base_url is None and provider.id not in providers.PROVIDERS:
        raise BaseUrlRequired(provider=provider.id, param="base_url")
    if base_url is not None and not provider.takes_base_url:
        raise UnsupportedBaseUrl(provider=provider.id, param="base_url")
    if base_url is not None and not re.fullmatch(r"https?://[^\s/]+\S*", base_url):
        raise InvalidBaseUrl(base_url=base_url[:200], param="base_url")
