"""Vectors: what a smith's facts and past turns mean, one for each model that has embedded them.

Vectors of two models can not be compared. While a project changes its embedding model a thing has one of each, and a
search uses the model that knows most of the smith's things: the old one serves until the new one has caught up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from pgvector.sqlalchemy import VECTOR
from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute
from ingram_app.core.ids import new_id
from ingram_app.domain import projects
from ingram_app.domain.access import Caller

Kind = Literal["fact", "turn"]


class Vector(SQLModel, table=True):
    __tablename__ = "vectors"
    __table_args__ = (
        Index("uq_vectors_memory", "memory_id", "model", unique=True, postgresql_where=text("memory_id is not null")),
        Index("uq_vectors_turn", "turn_id", "model", unique=True, postgresql_where=text("turn_id is not null")),
        Index("ix_vectors_smith", "smith_id", "model"),
    )

    id: str = Field(default_factory=lambda: new_id("vec"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", index=True)
    smith_id: str = Field(foreign_key="smiths.id", ondelete="CASCADE")
    memory_id: str | None = Field(default=None, foreign_key="memories.id", ondelete="CASCADE")
    turn_id: str | None = Field(default=None, foreign_key="recollections.run_id", ondelete="CASCADE")
    model: str
    dimensions: int
    vector: Any = Field(sa_column=sa.Column(VECTOR(), nullable=False))
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


@dataclass(frozen=True, slots=True)
class Unembedded:
    """A text that a model has no vector of yet."""

    id: str
    content: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an embedding model has come."""

    model: str
    texts: int
    """Facts, history too, and turns that have been recalled."""
    embedded: int
    """Those that have a vector by this model; the others are searched by one before it, or by their words."""
    smiths_waiting: int
    error: str | None
    """The code of what went wrong with one that is tried again, or was given up."""


TABLES: dict[Kind, tuple[str, str, str, str]] = {
    "fact": ("memories", "id", "memory_id", "updated_at"),
    "turn": ("recollections", "run_id", "turn_id", "created_at"),
}
"""Where things of a kind are, by what they go there, by what in `vectors`, and since when they say what they say."""
_KEPT = (
    "insert into vectors (id, project_id, smith_id, {column}, model, dimensions, vector, created_at)"
    " select :id, thing.project_id, thing.smith_id, thing.{key}, :model, :dimensions, cast(:vector as vector), :now"
    " from {table} thing where thing.project_id = :project_id and thing.smith_id = :smith_id and thing.{key} = :thing"
    " and thing.content = :content on conflict ({column}, model) where {column} is not null"
    " do update set vector = excluded.vector, dimensions = excluded.dimensions, created_at = excluded.created_at"
)
_LACKING = (
    "select thing.{key}, thing.content from {table} thing where thing.project_id = :project_id"
    " and thing.smith_id = :smith_id and not exists (select from vectors v where v.{column} = thing.{key}"
    " and v.model = :model and v.created_at >= thing.{since}) order by thing.created_at desc limit :limit"
)
_SERVING = text(
    "select model from vectors where project_id = :project_id and smith_id = :smith_id"
    " and (memory_id is not null) = :facts group by model order by count(*) desc, (model = :wanted) desc limit 1"
)


_FORGET_OTHERS = text("delete from vectors where project_id = :project_id and smith_id = :smith_id and model <> :model")
_PROGRESS = text(
    "select (select count(*) from memories where project_id = :project_id)"
    " + (select count(*) from recollections where project_id = :project_id),"
    " (select count(*) from vectors where project_id = :project_id and model = :model),"
    " (select count(*) from memory_ops where project_id = :project_id and kind = 'embed' and due_at is not null),"
    " (select max(error) from memory_ops where project_id = :project_id and kind = 'embed')"
)


async def lacking(
    session: AsyncSession, project_id: str, smith_id: str, kind: Kind, model: str, limit: int
) -> list[Unembedded]:
    """Return what of a smith the model has not embedded, newest first."""
    known = {"project_id": project_id, "smith_id": smith_id, "model": model, "limit": limit}
    rows = (await execute(session, _of(kind, _LACKING), known)).all()
    return [Unembedded(*row) for row in rows]


async def keep(
    session: AsyncSession,
    project_id: str,
    smith_id: str,
    kind: Kind,
    model: str,
    embedded: Sequence[tuple[Unembedded, Sequence[float]]],
) -> None:
    """Keep vectors of what is still there and still says the same."""
    for thing, vector in embedded:
        row = {
            "id": new_id("vec"),
            "project_id": project_id,
            "smith_id": smith_id,
            "thing": thing.id,
            "content": thing.content,
            "model": model,
            "dimensions": len(vector),
            "vector": spelt(vector),
            "now": now(),
        }
        await execute(session, _of(kind, _KEPT), row)


async def serving(session: AsyncSession, project_id: str, smith_id: str, kind: Kind, wanted: str) -> str | None:
    """Return the model whose vectors a search uses: `wanted`, unless another knows more of the smith's things.

    Nothing, when there are no vectors.
    """
    known = {"project_id": project_id, "smith_id": smith_id, "facts": kind == "fact", "wanted": wanted}
    model: str | None = (await execute(session, _SERVING, known)).scalar()
    return model


async def forget_others(session: AsyncSession, project_id: str, smith_id: str, model: str) -> None:
    """Forget a smith's vectors by every other model."""
    await execute(session, _FORGET_OTHERS, {"project_id": project_id, "smith_id": smith_id, "model": model})


async def progress(session: AsyncSession, caller: Caller) -> Progress:
    """Return how far the project's embedding model has come with what there is to embed."""
    caller.require("project:read")
    model = (await projects.own(session, caller)).embedding_model
    known = {"project_id": caller.project_id, "model": model}
    return Progress(model, *(await execute(session, _PROGRESS, known)).one())


def spelt(vector: Sequence[float]) -> str:
    """Return a vector as the database reads it."""
    return f"[{','.join(map(repr, vector))}]"


def _of(kind: Kind, statement: str) -> sa.TextClause:
    table, key, column, since = TABLES[kind]
    return text(statement.format(table=table, key=key, column=column, since=since))
