"""/v1/smiths/{id}/memory and /memories: what a smith keeps about its person."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, ListOut, Out, PageOut, When
from ingram_app.domain import memories, memory, recalling
from ingram_app.domain.memories import Fact, Memory
from ingram_app.domain.memory import MemoryDocument
from ingram_app.domain.paging import Page
from ingram_app.domain.recalling import Recalled

router = APIRouter(prefix="/smiths/{smith_id}", tags=["memory"], route_class=Route)


class Document(In):
    content: str
    version: int | None = None
    """The one that was read: if somebody has written since, nothing is overwritten."""


class DocumentOut(Out):
    content: str
    """Markdown."""
    version: int
    """Grows by one with each writing; 0 before the first."""
    updated_at: datetime | None

    @classmethod
    def of(cls, document: MemoryDocument | None) -> "DocumentOut":
        if document is None:
            return cls(content="", version=0, updated_at=None)
        return cls(content=document.content, version=document.version, updated_at=document.created_at)


class DocumentRevisionOut(Out):
    version: int
    content: str
    actor: dict[str, str | None] | None
    created_at: datetime


class Question(In):
    query: str
    limit: int = 10


class RecalledTurnOut(Out):
    thread_id: str
    content: str
    score: float


class NewMemory(In):
    content: str
    category: str = "fact"
    subject: str | None = None
    confidence: float = 1.0
    expires_at: When | None = None
    supersedes: str | None = None
    """The fact that this one contradicts: it becomes history."""


class MemoryChanges(In):
    content: str = ""
    category: str = "fact"
    subject: str | None = None
    confidence: float = 1.0
    expires_at: When | None = None


class MemoryOut(Out):
    id: str
    content: str
    category: str
    subject: str | None
    source_run_id: str | None
    confidence: float
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    superseded_by: str | None
    edits: list[dict[str, Any]] = Field(description="What it was before each change, the newest last.")


class FoundMemoryOut(Out):
    id: str
    content: str
    score: float
    created_at: datetime


@router.get("/memory", response_model=DocumentOut)
async def get_memory(smith_id: str, caller: Caller, session: InTransaction) -> DocumentOut:
    """Show the working document that a smith has before it on each turn."""
    return DocumentOut.of(await memory.read(session, caller, smith_id))


@router.put("/memory", response_model=DocumentOut)
async def put_memory(smith_id: str, body: Document, caller: Caller, session: InTransaction) -> DocumentOut:
    """Write the working document anew: Markdown, at most 32 KiB; over one `version` alone if you name it."""
    return DocumentOut.of(await memory.write(session, caller, smith_id, body.content, over=body.version))


@router.get("/memory/revisions", response_model=ListOut[DocumentRevisionOut])
async def list_memory_revisions(
    smith_id: str, caller: Caller, session: InTransaction
) -> dict[str, list[MemoryDocument]]:
    """List what the document was, newest first; the hundred newest are kept."""
    return {"data": await memory.revisions(session, caller, smith_id)}


@router.post("/memory/revisions/{version}/restore", response_model=DocumentOut)
async def restore_memory(smith_id: str, version: int, caller: Caller, session: InTransaction) -> DocumentOut:
    """Write a revision anew as the newest."""
    return DocumentOut.of(await memory.restore(session, caller, smith_id, version))


@router.post("/memory/recall", response_model=ListOut[RecalledTurnOut])
async def recall(smith_id: str, body: Question, caller: Caller) -> dict[str, list[Recalled]]:
    """Search a smith's past turns by meaning and words, the best first."""
    return {"data": await recalling.turns(caller, smith_id, body.query, body.limit)}


@router.get("/memories", response_model=PageOut[MemoryOut])
async def list_memories(
    smith_id: str,
    caller: Caller,
    session: InTransaction,
    place: Place,
    category: str | None = None,
    superseded: bool = False,
) -> Page[Memory]:
    """List a smith's facts, newest first; with `superseded=true` those that are history too."""
    return await memories.browse(session, caller, smith_id, place, category=category, superseded=superseded)


@router.post("/memories", status_code=201, response_model=MemoryOut)
async def create_memory(smith_id: str, body: NewMemory, caller: Caller, session: InTransaction) -> Memory:
    """Write a fact down. One that the smith holds already is answered as it is."""
    fact = Fact(**body.model_dump(exclude={"supersedes"}))
    written, _ = await memories.write(session, caller, smith_id, fact, supersedes=body.supersedes)
    return written


@router.post("/memories/search", response_model=ListOut[FoundMemoryOut])
async def search_memories(smith_id: str, body: Question, caller: Caller) -> dict[str, list[Recalled]]:
    """Search a smith's facts by meaning and words, the best first."""
    return {"data": await recalling.facts(caller, smith_id, body.query, body.limit)}


@router.get("/memories/{memory_id}", response_model=MemoryOut)
async def get_memory_fact(smith_id: str, memory_id: str, caller: Caller, session: InTransaction) -> Memory:
    """Show one fact, also one that is history."""
    return await memories.find(session, caller, smith_id, memory_id)


@router.patch("/memories/{memory_id}", response_model=MemoryOut)
async def change_memory(
    smith_id: str, memory_id: str, body: MemoryChanges, caller: Caller, session: InTransaction
) -> Memory:
    """Change a fact. What it was is kept, and can be put back."""
    return await memories.change(session, caller, smith_id, memory_id, body.model_dump(exclude_unset=True))


@router.post("/memories/{memory_id}/undo", response_model=MemoryOut)
async def undo_memory(smith_id: str, memory_id: str, caller: Caller, session: InTransaction) -> Memory:
    """Put a fact back to what it was before its last change; one that was superseded is held again instead."""
    return await memories.undo(session, caller, smith_id, memory_id)


@router.delete("/memories/{memory_id}", status_code=204)
async def delete_memory(smith_id: str, memory_id: str, caller: Caller, session: InTransaction) -> None:
    """Forget a fact, and what it replaced."""
    await memories.remove(session, caller, smith_id, memory_id)
