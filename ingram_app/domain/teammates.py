"""Teammates: the people of an organization, who sign in to the console.

A teammate without a password has been named by the command line; the welcome link, made from the master key,
lets that person, or the very first owner, set one. It is spent once there is a password.
"""

import asyncio
import hmac
from datetime import datetime

import argon2
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, alone, one_of
from ingram_app.core.errors import Invalid, Refused
from ingram_app.core.ids import new_id
from ingram_app.core.settings import settings
from ingram_app.domain import organizations
from ingram_app.domain.access import Role

PASSWORD_LENGTHS = range(12, 1025)
_hasher = argon2.PasswordHasher()
NOBODY_S_HASH = _hasher.hash("a password that nobody has")
"""Checked when there is no such account, so that the answer takes as long."""
FIRST_OWNER = "first-owner"


class Teammate(SQLModel, table=True):
    __tablename__ = "teammates"

    id: str = Field(default_factory=lambda: new_id("usr"), primary_key=True)
    organization_id: str = Field(foreign_key="organizations.id", ondelete="CASCADE", index=True)
    email: str = Field(max_length=254, unique=True)
    """Lower case."""
    name: str = Field(max_length=120)
    role: Role = Field(sa_type=one_of(Role))
    password_hash: str | None = None
    """Argon2id (RFC 9106)."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


class InvalidPassword(Invalid):
    """A password has from 12 to 1024 characters. Several words are easy to remember."""


class InvalidEmail(Invalid):
    """{email} is not an e-mail address."""


class InvalidName(Invalid):
    """A name has from 1 to 120 characters."""


class WelcomeLinkSpent(Refused):
    """This link has been used, or is of another installation. Sign in, or start the server again for a new one."""


async def welcome(
    session: AsyncSession, link: str, *, organization: str, name: str, email: str, password: str
) -> Teammate:
    """Give the first owner, or a teammate without one, a password. Raises `WelcomeLinkSpent`, `Invalid…`."""
    teammate = await welcomed(session, link)
    password_hash = await hash_password(password)
    if teammate is None:
        founded = await organizations.create(session, _named(organization, "organization"))
        teammate = Teammate(organization_id=founded.id, email=address(email), name=_named(name), role=Role.owner)
    else:
        teammate.name = _named(name)
    teammate.password_hash = password_hash
    session.add(teammate)
    await session.flush()
    return teammate


async def welcomed(session: AsyncSession, link: str) -> Teammate | None:
    """Return whom a link is for, none for the very first owner. Raises `WelcomeLinkSpent`."""
    teammate_id = await _whom_to_welcome(session)
    if teammate_id is None or not hmac.compare_digest(link.encode(), _link(teammate_id).encode()):
        raise WelcomeLinkSpent()
    if teammate_id == FIRST_OWNER:
        return None
    return (await session.exec(select(Teammate).where(Teammate.id == teammate_id).with_for_update())).one()


async def adopt(session: AsyncSession, organization_id: str, email: str) -> Teammate:
    """Return the teammate of this address, made an owner without a password if there is none. Raises `InvalidEmail`."""
    found = await by_email(session, email)
    if found is None:
        name = address(email).partition("@")[0]
        found = Teammate(organization_id=organization_id, email=address(email), name=name, role=Role.owner)
        session.add(found)
        await session.flush()
    return found


async def by_email(session: AsyncSession, email: str) -> Teammate | None:
    """Return the teammate of this address, whatever its case."""
    return (await session.exec(select(Teammate).where(Teammate.email == email.strip().lower()))).first()


async def _whom_to_welcome(session: AsyncSession) -> str | None:
    """Return who may set a password by link: `first-owner`, the id of an owner without one, or nobody.

    Two visitors of one link wait for each other here; the second finds it spent.
    """
    await alone(session, "welcome")
    with_password = (await session.exec(select(Teammate.id).where(col(Teammate.password_hash).is_not(None)))).first()
    if with_password is not None:
        return None
    waiting = (await session.exec(select(Teammate.id).order_by(Teammate.id).limit(1))).first()
    return waiting or FIRST_OWNER


async def welcome_link(session: AsyncSession) -> str | None:
    """Return the address at which the first owner sets a password; none, once there is one."""
    teammate_id = await _whom_to_welcome(session)
    return teammate_id and f"{settings().address}/welcome?link={_link(teammate_id)}"


async def hash_password(password: str) -> str:
    """Return what is kept of a password. Raises `InvalidPassword`."""
    if len(password) not in PASSWORD_LENGTHS:
        raise InvalidPassword(param="password")
    return await asyncio.to_thread(_hasher.hash, password)


async def check_password(teammate: Teammate | None, password: str) -> bool:
    """Tell whether it is theirs; nobody's takes as long as a wrong one."""
    kept = teammate and teammate.password_hash
    try:
        await asyncio.to_thread(_hasher.verify, kept or NOBODY_S_HASH, password)
    except argon2.exceptions.VerificationError:
        return False
    return kept is not None


def address(email: str) -> str:
    """Return the address as it is kept. Raises `InvalidEmail`."""
    kept = email.strip().lower()
    name, at, host = kept.rpartition("@")
    if not (name and at and host) or len(kept) > 254 or not kept.isprintable() or " " in kept:
        raise InvalidEmail(email=email[:254], param="email")
    return kept


def _named(name: str, param: str = "name") -> str:
    kept = name.strip()
    if not 1 <= len(kept) <= 120 or not kept.isprintable():
        raise InvalidName(param=param)
    return kept


def _link(teammate_id: str) -> str:
    return hmac.new(settings().master_key_bytes(), f"welcome {teammate_id}".encode(), "sha256").hexdigest()
