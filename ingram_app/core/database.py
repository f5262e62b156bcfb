"""The database: one pool of connections, one way to write to it, and the column types we add to SQL's own.

Every transaction says for whom it is (`Tenancy`); row level security shows it nothing else.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, partial
from typing import Any

from sqlalchemy import CursorResult, DateTime, Dialect, Enum, Executable, TypeDecorator, text
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
_PLAIN = re.compile(r"\w*", re.ASCII)
Result = CursorResult[*tuple[Any, ...]]

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


_dumps = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))
_UNKEEPABLE = re.compile(r"[\x00\ud800-\udfff]")
"""Letters that PostgreSQL refuses: the null, and halves of surrogate pairs, as a model's stream may break them."""


def compact(value: Any) -> str:
    """Return JSON of what a model may have said, with a mark for every letter that PostgreSQL refuses.

    What a caller says is kept as it is or, when that can not be, refused.
    """
    spelt = _dumps(value)
    if "\\u0000" in spelt or not _is_keepable(spelt):
        return _dumps(keepable(value))
    return spelt


def _is_keepable(spelt: str) -> bool:
    return spelt.isascii() or _UNKEEPABLE.search(spelt) is None


def keepable(value: Any) -> Any:
    """Return what JSON can spell with a mark in the place of every letter that PostgreSQL refuses."""
    match value:
        case str():
            return _UNKEEPABLE.sub("\ufffd", value)
        case dict():
            return {keepable(name): keepable(held) for name, held in value.items()}
        case list() | tuple():
            return [keepable(held) for held in value]
    return value


@cache
def pool() -> AsyncEngine:
    """Return the process's connections, each working as `ROLE`. None begins a transaction by itself: `_begin` does."""
    return create_async_engine(
        driver_url().replace("postgresql://", "postgresql+psycopg://", 1),
        connect_args={"options": f"-c role={ROLE}", "autocommit": True},
        pool_size=24,
        max_overflow=0,  # what overflows is opened and closed again, at a dear price
        json_serializer=_dumps,
        hide_parameters=True,  # an error that is logged tells its statement, never what people wrote
    )


@asynccontextmanager
async def transaction(tenancy: Tenancy) -> AsyncIterator[AsyncSession]:
    """Open one unit of work for `tenancy`: everything inside is kept together, or nothing is.

    Rows stay readable after the block. Nobody else commits.
    """
    async with AsyncSession(pool(), expire_on_commit=False) as session:
        async with session.begin():
            await _begin(session, _settings_of(tenancy))
            yield session
        for deed in session.info.get("afterwards", ()):
            deed()


@asynccontextmanager
async def dispatching() -> AsyncIterator[AsyncSession]:
    """Open a transaction that sees, across projects, which runs and which webhooks wait for us, and nothing else."""
    async with AsyncSession(pool(), expire_on_commit=False) as session, session.begin():
        await _begin(session, f"set local role {DISPATCHER}")
        yield session


async def enter(session: AsyncSession, tenancy: Tenancy) -> None:
    """Make the rest of the transaction one for `tenancy`."""
    await execute(
        session,
        _FOR,
        {
            "project_id": tenancy.project_id,
            "organization_id": tenancy.organization_id,
            "smith_id": tenancy.smith_id,
        },
    )


async def execute(session: AsyncSession, statement: Executable, parameters: dict[str, Any] | None = None) -> Result:
    """Execute a statement that maps no rows to objects; nothing that waits in the session is flushed before."""
    return await (await session.connection()).execute(statement, parameters)


async def _begin(session: AsyncSession, first: str) -> None:
    """Open the transaction together with its first statement: one journey to the server instead of two."""
    raw = await (await session.connection()).get_raw_connection()
    assert raw.driver_connection is not None
    await raw.driver_connection.execute(f"begin; {first}")


def _settings_of(tenancy: Tenancy) -> str:
    """Return the statement that says so. An id has no letter that SQL could take for anything but a letter."""
    named = {"project_id": tenancy.project_id, "organization_id": tenancy.organization_id, "smith_id": tenancy.smith_id}
    for name, value in named.items():
        if _PLAIN.fullmatch(value) is None:
            raise ValueError(f"no transaction is for the {name} {value[:40]!r}")
    return "select " + ", ".join(f"set_config('app.{name}', '{value}', true)" for name, value in named.items())


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
