"""Idempotency: a POST that is sent again within 24 hours is answered as it was the first time, and done once.

The answer is kept, sealed, in the transaction of the deed: there is no deed without its answer, and none twice.
"""

import json
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import func
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute
from ingram_app.core.errors import Conflict, Invalid
from ingram_app.core.secrets import digest
from ingram_app.domain import keyrings
from ingram_app.domain.access import Caller

KEPT = timedelta(hours=24)
KEY_LENGTH = 255


class IdempotencyKey(SQLModel, table=True):
    __tablename__ = "idempotency_keys"

    owner_id: str = Field(primary_key=True)
    """The project, or the organization, whose token sent the request."""
    path: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    body_hash: str
    status: int | None = None
    """Null while what was begun (a run) has not been answered yet."""
    sealed_answer: bytes | None = None
    resource_id: str | None = None
    """What was begun, or what the answer shows."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment, index=True)


class IdempotencyInProgress(Conflict):
    """The first request with this Idempotency-Key is still being answered. Ask again when it is."""


class IdempotencyKeyReused(Invalid):
    """This Idempotency-Key came with another body before. Use a new key for a new request."""


class InvalidIdempotencyKey(Invalid):
    """An Idempotency-Key has from 1 to 255 characters of printable ASCII."""


async def claim(session: AsyncSession, caller: Caller, path: str, key: str, body: bytes) -> IdempotencyKey:
    """Return what is known of the request: a fresh row, or that of the first time, `status` set if it was answered.

    Until the transaction ends no other may claim the same key. What was answered to an admin is not repeated to a
    smith's token, nor to one that may do less.
    Raises `IdempotencyInProgress`, `IdempotencyKeyReused`, `InvalidIdempotencyKey`.
    """
    if not 1 <= len(key) <= KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise InvalidIdempotencyKey(param="Idempotency-Key")
    owner_id = caller.project_id or caller.organization_id
    if caller.smith_id:
        path = f"{path} {caller.smith_id} {' '.join(sorted(caller.scopes))}"
    body_hash = digest(body.decode("latin-1"))
    lock = func.pg_try_advisory_xact_lock(func.hashtextextended(f"{owner_id} {path} {key}", 0))
    if not (await session.exec(select(lock))).one():
        raise IdempotencyInProgress()
    known = await session.get(IdempotencyKey, (owner_id, path, key))
    if known is not None and known.created_at < now() - KEPT:
        await session.delete(known)
        await session.flush()
        known = None
    if known is None:
        known = IdempotencyKey(owner_id=owner_id, path=path, key=key, body_hash=body_hash)
        session.add(known)
        await session.flush()
    elif known.body_hash != body_hash:
        raise IdempotencyKeyReused(param="Idempotency-Key")
    return known


async def keep(session: AsyncSession, known: IdempotencyKey, status: int, answer: bytes) -> None:
    """Keep the answer for whoever asks again."""
    ring = await keyrings.find(session, known.owner_id)
    known.status, known.sealed_answer = status, ring.seal(answer)
    known.resource_id = known.resource_id or _shown(answer)
    session.add(known)
    await session.flush()


async def answer(session: AsyncSession, known: IdempotencyKey) -> bytes:
    """Return the body of the first answer."""
    ring = await keyrings.find(session, known.owner_id)
    return ring.unseal(known.sealed_answer or b"")


async def forget(session: AsyncSession, caller: Caller, smith_id: str) -> None:
    """Keep no answer that shows a smith, or that was asked of it; but for that it was erased."""
    path = col(IdempotencyKey.path)
    asked = path.contains(smith_id) & ~path.endswith("/erase")
    about = asked | (col(IdempotencyKey.resource_id) == smith_id)
    await execute(session, sa.delete(IdempotencyKey).where(col(IdempotencyKey.owner_id) == caller.project_id, about))


def _shown(answer: bytes) -> str | None:
    """Return the id of what an answer shows."""
    body = json.loads(answer) if answer else None
    return str(body["id"]) if isinstance(body, dict) and "id" in body else None
