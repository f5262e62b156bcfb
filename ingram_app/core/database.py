"""The database: one pool of connections, one way to write to it, and the column types we add to SQL's own.

Every transaction says for whom it is (`Tenancy`); row level security shows it nothing else.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, partial

from sqlalchemy import DateTime, Dialect, Enum, TypeDecorator, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.errors import Unavailable
from ingram_app.core.roles import DISPATCHER, ROLE
from ingram_app.core.settings import settings

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class DatabaseUnconfigured(Unavailable):
    """There is no database. Set IC_DATABASE_URL, or start with `make run`, which brings one."""


@dataclass(frozen=True, slots=True)
class Tenancy:
    """For whom a transaction is: what row level security lets it see. Nothing set, nothing seen."""

    project_id: str = ""
    organization_id: str = ""
    smith_id: str = ""
    """Set, rows of the project's other smiths stay hidden too."""


NOBODY = Tenancy()

_FOR = text(
    "select set_config('app.project_id', :project_id, true), set_config('app.organization_id', :organization_id, true),"
    " set_config('app.smith_id', :smith_id, true)"
)


def driver_url() -> str:
    """Return the database's address as libpq reads it. Raises `DatabaseUnconfigured`."""
    url = settings().database_url
    if url is None:
        raise DatabaseUnconfigured()
    return str(url)


compact = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))
"""How JSON is spelt wherever it is kept or sent."""


@cache
def pool() -> AsyncEngine:
    """Return the process's connections, each working as `ROLE`."""
    return create_async_engine(
        driver_url().replace("postgresql://", "postgresql+psycopg://", 1),
        connect_args={"options": f"-c role={ROLE}"},
        pool_size=16,
        max_overflow=16,
        json_serializer=compact,
    )


@asynccontextmanager
async def transaction(tenancy: Tenancy) -> AsyncIterator[AsyncSession]:
    """Open one unit of work for `tenancy`: everything inside is kept together, or nothing is.

    Rows stay readable after the block. Nobody else commits.
    """
    async with AsyncSession(pool(), expire_on_commit=False) as session:
        async with session.begin():
            await enter(session, tenancy)
            yield session
        for deed in session.info.get("afterwards", ()):
            deed()


@asynccontextmanager
async def dispatching() -> AsyncIterator[AsyncSession]:
    """Open a transaction that sees, across projects, which runs wait or are abandoned, and nothing else."""
    async with AsyncSession(pool(), expire_on_commit=False) as session, session.begin():
        await session.execute(text(f"set local role {DISPATCHER}"))
        yield session


async def enter(session: AsyncSession, tenancy: Tenancy) -> None:
    """Make the rest of the transaction one for `tenancy`."""
    await session.execute(
        _FOR,
        {
            "project_id": tenancy.project_id,
            "organization_id": tenancy.organization_id,
            "smith_id": tenancy.smith_id,
        },
    )


def afterwards(session: AsyncSession, deed: Callable[[], None]) -> None:
    """Do `deed` once the transaction has landed; never, if it does not."""
    session.info.setdefault("afterwards", []).append(deed)


class Moment(TypeDecorator[datetime]):
    """A point in time, read back in UTC wherever the server stands."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None


def one_of(kind: type[StrEnum]) -> Enum:
    """A column of `kind`'s words, kept as text so that a new word needs no migration."""
    return Enum(kind, native_enum=False, length=32, values_callable=lambda kind: [word.value for word in kind])
