"""Memories: single facts that a smith keeps about its person, and never shares with another smith.

held ──a newer one contradicts it──▶ superseded, kept as history ──undo──▶ held
 └──its time is over, or it is deleted──▶ gone

A repeat changes nothing: of one text a smith holds one fact, however many write it at once.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index, func, text
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR, insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import secrets
from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute, keepable
from ingram_app.core.errors import Conflict, Invalid, NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain import memory as document, memory_ops, smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.memory_ops import OpKind
from ingram_app.domain.paging import FIRST, Page, Place, page

CONTENT_LENGTH = 2000
WORD_LENGTH = 80
"""Of a category and of a subject."""
FACTS = 10_000
"""As many as one smith holds."""
EDITS = 20
"""How often a fact can be put back to what it was."""


class Memory(SQLModel, table=True):
    __tablename__ = "memories"
    __table_args__ = (
        Index("ix_memories_page", "smith_id", "created_at", "id"),
        Index("uq_memories_held", "smith_id", "digest", unique=True, postgresql_where=sa.text("superseded_by is null")),
        Index("ix_memories_superseded", "superseded_by", postgresql_where=sa.text("superseded_by is not null")),
        Index("ix_memories_expiry", "expires_at", postgresql_where=sa.text("expires_at is not null")),
    )

    id: str = Field(default_factory=lambda: new_id("mem"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", index=True)
    smith_id: str = Field(foreign_key="smiths.id", ondelete="CASCADE")
    content: str
    category: str
    subject: str | None = None
    """Whom or what it is about, other than the person."""
    source_run_id: str | None = None
    """The turn it was learnt in."""
    confidence: float = 1.0
    """From 0 to 1."""
    digest: str
    """Of the content without case, spaces and marks at its end: what makes a repeat."""
    edits: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSONB)
    """What it was before each change, the newest last."""
    superseded_by: str | None = None
    expires_at: datetime | None = Field(default=None, sa_type=Moment)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)
    words: Any = Field(
        default=None,
        sa_column=sa.Column(TSVECTOR, sa.Computed("to_tsvector('simple', content)", persisted=True)),
    )


@dataclass(frozen=True, slots=True)
class Fact:
    """What is to be written down."""

    content: str
    category: str = "fact"
    subject: str | None = None
    source_run_id: str | None = None
    confidence: float = 1.0
    expires_at: datetime | None = None
    id: str = ""
    """Given by whoever may have to write it twice: the second time changes nothing."""


class InvalidMemory(Invalid):
    """The {field} of a memory can not be that: {why}."""


class TooManyMemories(Invalid):
    """This smith already holds {most} memories. Delete some, or fold them into the memory document."""


class MemorySuperseded(Conflict):
    """The memory {memory_id} was superseded by {by}. Change that one, or take it back first."""


async def write(
    session: AsyncSession, caller: Caller, smith_id: str, fact: Fact, *, supersedes: str | None = None
) -> tuple[Memory, bool]:
    """Write a fact down and return it, and whether it is new; one that is held already is left as it is.

    `supersedes` names the fact it contradicts. Raises `SmithMismatch`, `NotFound`, `InvalidMemory`, `TooManyMemories`.
    """
    caller.require("memories:write")
    await smiths.embody(session, caller, smith_id, stays=True)
    checked = _checked({name: value for name, value in asdict(fact).items() if name in _FIELDS})
    digest = _digest(fact.content)
    if fact.id and (written := (await session.exec(_whose(caller, smith_id).where(Memory.id == fact.id))).first()):
        return written, False
    fresh = Memory(
        id=fact.id or new_id("mem"),
        project_id=caller.project_id,
        smith_id=smith_id,
        source_run_id=fact.source_run_id,
        digest=digest,
        **checked,
    )
    await _check_room(session, caller, smith_id)
    older = None if supersedes is None else await _one(session, caller, smith_id, supersedes, to_change=True)
    row = fresh.model_dump(exclude={"words"})
    kept = await execute(session, insert(Memory).values(row).on_conflict_do_nothing().returning(col(Memory.id)))
    if is_new := kept.first() is not None:
        await memory_ops.queue(session, caller.project_id, smith_id, OpKind.embed)
    mine = _whose(caller, smith_id).where(Memory.id == fresh.id)
    same = _held(caller, smith_id).where(Memory.digest == digest)
    held: Memory | None = (await session.exec(mine if is_new else same)).first()
    if held is None:  # the one that said the same was superseded or forgotten just now, or its time is over
        await execute(session, _FORGET_LAPSED, {"project_id": caller.project_id, "smith_id": smith_id, "it": digest})
        return await write(session, caller, smith_id, fact, supersedes=supersedes)
    if older is not None and older.superseded_by is None and older.id != held.id:
        older.superseded_by, older.updated_at = held.id, now()
        session.add(older)
        await document.tell(session, caller, smith_id, "replaced", older.id)
    if is_new:
        await document.tell(session, caller, smith_id, "written", held.id)
    return held, is_new


async def held_since(
    session: AsyncSession, caller: Caller, smith_id: str, since: datetime | None, most: int
) -> list[Memory]:
    """Return the newest of the facts that are held and were written or changed after that moment, oldest first."""
    caller.require("memories:read")
    query = _held(caller, smith_id)
    if since is not None:
        query = query.where(Memory.updated_at > since)
    newest = (await session.exec(query.order_by(col(Memory.updated_at).desc()).limit(most))).all()
    return list(reversed(newest))


async def find(session: AsyncSession, caller: Caller, smith_id: str, memory_id: str) -> Memory:
    """Return one fact, also one that is history. Raises `SmithMismatch`, `NotFound`."""
    caller.require("memories:read")
    await smiths.embody(session, caller, smith_id)
    return await _one(session, caller, smith_id, memory_id)


async def browse(
    session: AsyncSession,
    caller: Caller,
    smith_id: str,
    place: Place = FIRST,
    *,
    category: str | None = None,
    superseded: bool = False,
) -> Page[Memory]:
    """Return a smith's facts, newest first; with `superseded` those that are history too."""
    caller.require("memories:read")
    await smiths.embody(session, caller, smith_id)
    query = _of(caller, smith_id) if superseded else _held(caller, smith_id)
    if category is not None:
        query = query.where(Memory.category == category)
    return await page(session, query, Memory, place)


async def known(session: AsyncSession, caller: Caller, smith_id: str, ids: Collection[str]) -> dict[str, Memory]:
    """Return those of the smith's facts that are there still, history too, by id."""
    caller.require("memories:read")
    await smiths.embody(session, caller, smith_id)
    query = _of(caller, smith_id).where(col(Memory.id).in_(ids))
    return {memory.id: memory for memory in (await session.exec(query)).all()}


async def categories(session: AsyncSession, caller: Caller, smith_id: str) -> list[str]:
    """Return the categories of a smith's facts, by name; at most a hundred."""
    caller.require("memories:read")
    await smiths.embody(session, caller, smith_id)
    held = _of(caller, smith_id).subquery()
    return list((await session.exec(select(held.c.category).distinct().order_by(held.c.category).limit(100))).all())


async def predecessors(session: AsyncSession, caller: Caller, smith_id: str, memory_id: str) -> list[Memory]:
    """Return the facts that this one replaced, and those that they had replaced, newest first."""
    caller.require("memories:read")
    await smiths.embody(session, caller, smith_id)
    older = await execute(session, _REPLACED, {"project_id": caller.project_id, "smith_id": smith_id, "it": memory_id})
    query = _of(caller, smith_id).where(col(Memory.id).in_([id for (id,) in older.all()]))
    return list((await session.exec(query.order_by(col(Memory.created_at).desc()))).all())


async def change(
    session: AsyncSession, caller: Caller, smith_id: str, memory_id: str, changes: dict[str, Any]
) -> Memory:
    """Change a fact that is held. Raises `SmithMismatch`, `NotFound`, `MemorySuperseded`, `InvalidMemory`."""
    caller.require("memories:write")
    await smiths.embody(session, caller, smith_id, stays=True)
    memory = await _one(session, caller, smith_id, memory_id, to_change=True)
    if memory.superseded_by is not None:
        raise MemorySuperseded(memory_id=memory.id, by=memory.superseded_by)
    checked = _checked(changes)
    if all(getattr(memory, field) == value for field, value in checked.items()):
        return memory
    before = memory.model_dump(include={"content", "category", "subject", "confidence"}) | {
        "changed_at": now().isoformat(),
        "actor": caller.actor.as_json(),
    }
    memory.edits = [*memory.edits, before][-EDITS:]
    return await _become(session, caller, memory, checked, "changed")


async def undo(session: AsyncSession, caller: Caller, smith_id: str, memory_id: str) -> Memory:
    """Put a fact back to what it was before its last change; one that was superseded is held again instead.

    Raises `SmithMismatch`, `NotFound`, `InvalidMemory` when there is nothing to take back.
    """
    caller.require("memories:write")
    await smiths.embody(session, caller, smith_id, stays=True)
    memory = await _one(session, caller, smith_id, memory_id, to_change=True)
    if memory.superseded_by is not None:
        return await _become(session, caller, memory, {"superseded_by": None}, "restored")
    if not memory.edits:
        raise InvalidMemory(field="history", why="nothing was changed that could be taken back")
    *memory.edits, before = memory.edits
    earlier = {field: before[field] for field in before if field in _FIELDS}
    return await _become(session, caller, memory, earlier, "restored")


async def remove(session: AsyncSession, caller: Caller, smith_id: str, memory_id: str) -> None:
    """Forget a fact, and what it replaced. Raises `SmithMismatch`, `NotFound`."""
    caller.require("memories:write")
    await smiths.embody(session, caller, smith_id, stays=True)
    await _one(session, caller, smith_id, memory_id, to_change=True)
    await execute(session, _FORGET, {"project_id": caller.project_id, "smith_id": smith_id, "it": memory_id})
    await document.tell(session, caller, smith_id, "deleted", memory_id)


def are_there(smith_id: Any) -> Any:
    """Return the condition, for a query, that a smith holds a fact or a document."""
    return sa.or_(*(sa.exists().where(col(table.smith_id) == smith_id) for table in (Memory, document.MemoryDocument)))


async def _become(session: AsyncSession, caller: Caller, memory: Memory, values: dict[str, Any], deed: str) -> Memory:
    for field, value in values.items():
        setattr(memory, field, value)
    memory.digest, memory.updated_at = _digest(memory.content), now()
    await memory_ops.queue(session, caller.project_id, memory.smith_id, OpKind.embed)
    session.add(memory)
    try:
        async with session.begin_nested():
            await session.flush()
    except sa.exc.IntegrityError:
        raise InvalidMemory(field="content", why="another memory of this smith says just that") from None
    await session.refresh(memory)
    await document.tell(session, caller, memory.smith_id, deed, memory.id)
    return memory


async def _one(
    session: AsyncSession, caller: Caller, smith_id: str, memory_id: str, *, to_change: bool = False
) -> Memory:
    query = _of(caller, smith_id).where(Memory.id == memory_id)
    memory: Memory | None = (await session.exec(query.with_for_update() if to_change else query)).first()
    if memory is None:
        raise NotFound(noun="memory", id=memory_id)
    return memory


async def _check_room(session: AsyncSession, caller: Caller, smith_id: str) -> None:
    counted = select(func.count()).select_from(_of(caller, smith_id).limit(FACTS).subquery())
    if (await session.exec(counted)).one() >= FACTS:
        raise TooManyMemories(most=FACTS)


def _whose(caller: Caller, smith_id: str) -> Any:
    return select(Memory).where(Memory.project_id == caller.project_id, Memory.smith_id == smith_id)


def _of(caller: Caller, smith_id: str) -> Any:
    alive = col(Memory.expires_at).is_(None) | (col(Memory.expires_at) > func.now())
    return _whose(caller, smith_id).where(alive)


def _held(caller: Caller, smith_id: str) -> Any:
    return _of(caller, smith_id).where(col(Memory.superseded_by).is_(None))


def _checked(changes: dict[str, Any]) -> dict[str, Any]:
    return {field: _FIELDS[field](value) for field, value in changes.items()}


def _content(given: str) -> str:
    kept = str(keepable(given)).strip()
    if not 1 <= len(kept) <= CONTENT_LENGTH:
        raise InvalidMemory(field="content", why=f"it has from 1 to {CONTENT_LENGTH} characters", param="content")
    return kept


def _word(field: str, given: str) -> str:
    kept = str(keepable(given)).strip()
    if not 1 <= len(kept) <= WORD_LENGTH:
        raise InvalidMemory(field=field, why=f"it has from 1 to {WORD_LENGTH} characters", param=field)
    return kept


def _share(given: float) -> float:
    if not 0 <= given <= 1:
        raise InvalidMemory(field="confidence", why="it is from 0 to 1", param="confidence")
    return float(given)


def _digest(content: str) -> str:
    return secrets.digest(re.sub(r"\s+", " ", content).strip(" .!").casefold())


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "content": _content,
    "category": lambda value: _word("category", value),
    "subject": lambda value: None if value is None else _word("subject", value),
    "confidence": _share,
    "expires_at": lambda value: value,
}


def _lineage(which: str, then: str) -> sa.TextClause:
    return text(
        "with recursive line as ("
        f" select id from memories where project_id = :project_id and smith_id = :smith_id and {which}"
        " union select older.id from memories older join line on older.superseded_by = line.id"
        " where older.project_id = :project_id and older.smith_id = :smith_id"
        f") {then}"
    )


_GONE = "delete from memories where project_id = :project_id and smith_id = :smith_id and id in (select id from line)"
_FORGET = _lineage("id = :it", _GONE)
_FORGET_LAPSED = _lineage("digest = :it and superseded_by is null and expires_at <= now()", _GONE)
_REPLACED = _lineage("id = :it", "select id from line where id <> :it")
