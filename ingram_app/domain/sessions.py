"""Sessions: who is signed in where. The cookie holds the secret; the table holds its hash.

A session ends 12 hours after it was last used, 30 days after it began, or when it is revoked.
"""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import Moment, Tenancy, alone, enter
from ingram_app.core.errors import NotFound, TooMany, Unauthenticated
from ingram_app.core.ids import new_id
from ingram_app.core.secrets import digest
from ingram_app.domain import audit
from ingram_app.domain.access import Actor, Caller
from ingram_app.domain.teammates import Teammate

IDLE = timedelta(hours=12)
LONGEST = timedelta(days=30)
TOUCHED_EVERY = timedelta(minutes=1)
ATTEMPTS_WINDOW = timedelta(minutes=15)
FAILURES_PER_ACCOUNT = 10
FAILURES_PER_ADDRESS = 50


class Session(SQLModel, table=True):
    __tablename__ = "sessions"

    token_hash: str = Field(primary_key=True)
    """SHA-256 of the cookie's value."""
    id: str = Field(default_factory=lambda: new_id("ses"), unique=True)
    teammate_id: str = Field(foreign_key="teammates.id", ondelete="CASCADE", index=True)
    address: str = Field(max_length=64)
    agent: str = Field(max_length=400)
    """The browser, as it names itself."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    last_seen_at: datetime = Field(default_factory=now, sa_type=Moment)
    revoked_at: datetime | None = Field(default=None, sa_type=Moment)


class SignInFailure(SQLModel, table=True):
    __tablename__ = "sign_in_failures"

    id: str = Field(default_factory=lambda: new_id("sif"), primary_key=True)
    email: str = Field(max_length=254, index=True)
    address: str = Field(max_length=64, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


class SignInFailed(Unauthenticated):
    """This e-mail address and password do not go together."""


class SignInLimited(TooMany):
    """Too many sign-ins have failed. Wait a quarter of an hour and try again."""

    code = "rate_limit_exceeded"
    retry_after_seconds = int(ATTEMPTS_WINDOW.total_seconds())


async def attempt(session: AsyncSession, *, email: str, address: str) -> SignInFailure:
    """Count a sign-in as failed before its password is looked at. Raises `SignInLimited`.

    In a transaction of its own: so, of many that come at once, no more than are allowed get to guess.
    """
    await alone(session, "sign-in")
    await session.exec(delete(SignInFailure).where(col(SignInFailure.created_at) <= now() - ATTEMPTS_WINDOW))
    await _refuse_a_flood(session, email, address)
    counted = SignInFailure(email=email.strip().lower()[:254], address=address[:64])
    session.add(counted)
    return counted


async def forgive(session: AsyncSession, counted: SignInFailure) -> None:
    """Take back what `attempt` has counted: the password was right."""
    await session.exec(delete(SignInFailure).where(col(SignInFailure.id) == counted.id))


async def begin(session: AsyncSession, teammate: Teammate, *, address: str, agent: str) -> str:
    """Return the cookie's value of a new session."""
    cookie = secrets.token_urlsafe(32)
    seat = Session(token_hash=digest(cookie), teammate_id=teammate.id, address=address[:64], agent=agent[:400])
    session.add(seat)
    await _note(session, teammate, "session.begun", seat, address)
    return cookie


async def whose(session: AsyncSession, token_hash: str) -> Teammate | None:
    """Return who is signed in with the cookie of this hash, if anyone is."""
    query = select(Teammate, Session).join(Session, col(Session.teammate_id) == col(Teammate.id))
    found = (await session.exec(query.where(*_live(token_hash)))).first()
    if found is None:
        return None
    teammate, seen = found
    if seen.last_seen_at < now() - TOUCHED_EVERY:
        seen.last_seen_at = now()
    return teammate


async def is_live(session: AsyncSession, token_hash: str) -> bool:
    """Tell whether somebody is signed in with the cookie of this hash. It counts as no use of the session."""
    return (await session.exec(select(Session.token_hash).where(*_live(token_hash)))).first() is not None


async def browse(session: AsyncSession, caller: Caller) -> list[Session]:
    """Return where the person who asks is signed in, the last used first."""
    query = select(Session).where(Session.teammate_id == caller.actor.id, *_lasting())
    return list((await session.exec(query.order_by(col(Session.last_seen_at).desc()).limit(100))).all())


async def revoke(session: AsyncSession, caller: Caller, session_id: str) -> None:
    """End one of the asking person's own sessions, in its open tabs too. Raises `NotFound`."""
    query = select(Session.token_hash).where(Session.teammate_id == caller.actor.id, Session.id == session_id)
    token_hash = (await session.exec(query)).first()
    if token_hash is None:
        raise NotFound(noun="session", id=session_id)
    await end(session, token_hash, address=caller.address)


async def end(session: AsyncSession, token_hash: str, *, address: str) -> None:
    """Sign out, everywhere the cookie is, and tell the tabs that are open."""
    query = select(Teammate, Session).join(Session, col(Session.teammate_id) == col(Teammate.id))
    found = (await session.exec(query.where(*_live(token_hash)))).first()
    if found is None:
        return
    teammate, seat = found
    seat.revoked_at = now()
    await session.flush()
    await _note(session, teammate, "session.ended", seat, address)
    signals.send(session, topic(token_hash))


def topic(token_hash: str) -> str:
    """Return what to listen to for the end of a session."""
    return f"session:{token_hash}"


def _live(token_hash: str) -> tuple[ColumnElement[bool], ...]:
    return (col(Session.token_hash) == token_hash, *_lasting())


def _lasting() -> tuple[ColumnElement[bool], ...]:
    return (
        col(Session.revoked_at).is_(None),
        col(Session.last_seen_at) > now() - IDLE,
        col(Session.created_at) > now() - LONGEST,
    )


async def _note(session: AsyncSession, teammate: Teammate, action: str, seat: Session, address: str) -> None:
    enter(session, Tenancy(organization_id=teammate.organization_id))
    actor = Actor("operator", teammate.id, email=teammate.email)
    themselves = Caller(actor, frozenset(), organization_id=teammate.organization_id, address=address)
    await audit.note(session, themselves, action, seat.id, browser=seat.agent)


async def _refuse_a_flood(session: AsyncSession, email: str, address: str) -> None:
    recent = select(
        func.count().filter(col(SignInFailure.email) == email.strip().lower()[:254]),
        func.count().filter(col(SignInFailure.address) == address[:64]),
    ).where(SignInFailure.created_at > now() - ATTEMPTS_WINDOW)
    by_account, by_address = (await session.exec(recent)).one()
    if by_account >= FAILURES_PER_ACCOUNT or by_address >= FAILURES_PER_ADDRESS:
        raise SignInLimited()
