"""The database: one pool of connections, one way to write to it, and the column types we add to SQL's own.

Every transaction says for whom it is (`Tenancy`); row level security shows it nothing else.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache, partial
from typing import Any

import psycopg
from sqlalchemy import DateTime, Dialect, Enum, Executable, TextClause, TypeDecorator, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
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
Driver = psycopg.AsyncConnection[Any]
_MOMENT_IN = text("select clock_timestamp() + make_interval(secs => :seconds)")
_ALONE = text("select pg_advisory_xact_lock(hashtext(:deed))")


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
    async with _unit(_settings_of(tenancy)) as session:
        yield session
    for deed in session.info.get("afterwards", ()):
        deed()


@asynccontextmanager
async def dispatching() -> AsyncIterator[AsyncSession]:
    """Open a transaction that sees, across projects, what waits to be taken up or looked after, and nothing else."""
    async with _unit(f"set local role {DISPATCHER}") as session:
        yield session


async def enter(session: AsyncSession, tenancy: Tenancy) -> None:
    """Make the rest of the transaction one for `tenancy`."""
    await tell(session, _settings_of(tenancy), {})


async def alone(session: AsyncSession, deed: str) -> None:
    """Wait until nobody else is at this deed; nobody else begins it until the transaction ends."""
    await execute(session, _ALONE, {"deed": deed})


async def moment_in(session: AsyncSession, seconds: float = 0) -> datetime:
    """Return the moment so far from now, by the one clock that all processes share: the database's."""
    moment: datetime = (await execute(session, _MOMENT_IN, {"seconds": seconds})).scalar().astimezone(UTC)
    return moment


class Rows:
    """What a statement gave, and how many rows it gave or touched."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: Sequence[Sequence[Any]], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def all(self) -> Sequence[Sequence[Any]]:
        return self._rows

    def first(self) -> Sequence[Any] | None:
        return self._rows[0] if self._rows else None

    def one(self) -> Sequence[Any]:
        (row,) = self._rows
        return row

    def scalar(self) -> Any:
        """The first value of the first row, `None` when there is no row."""
        return self._rows[0][0] if self._rows else None


async def execute(session: AsyncSession, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Rows:
    """Execute a statement that maps no rows to objects; nothing that waits in the session is flushed before.

    One that is a text goes to the driver as it stands, for half of what it costs through SQLAlchemy.
    """
    if isinstance(statement, TextClause):
        return await tell(session, _spelt(statement), parameters or {})
    result = await (await session.connection()).execute(statement, parameters)
    return Rows(result.all() if result.returns_rows else (), result.rowcount)


async def tell(session: AsyncSession, statement: str, parameters: Mapping[str, Any]) -> Rows:
    """Execute a statement that is spelt as the driver wants it."""
    return await _tell(session.info["connection"], statement, parameters)


def driver(session: AsyncSession) -> Driver:
    """Return the connection of the transaction, as the driver knows it."""
    return _driver_of(session.info["connection"])


@asynccontextmanager
async def connected() -> AsyncIterator[Driver]:
    """Borrow a connection of the process, in no transaction."""
    async with pool().connect() as connection:
        yield _driver_of(connection)


@asynccontextmanager
async def _unit(first: str) -> AsyncIterator[AsyncSession]:
    """Open a transaction together with its first statement: one journey to the server instead of two.

    The session itself begins with the first object that is asked of it; who asks for none does not pay for it.
    """
    connection = await pool().connect()
    session = AsyncSession(connection, expire_on_commit=False, info={"connection": connection})
    try:
        await _tell(connection, f"begin; {first}")
        yield session
        if session.in_transaction():
            await session.commit()
        else:
            await _tell(connection, "commit")
    finally:  # what is still open now is rolled back, by the session or by the pool
        if session.in_transaction():
            await session.close()
        await connection.close()


async def _tell(connection: AsyncConnection, statement: str, parameters: Mapping[str, Any] | None = None) -> Rows:
    """Have the driver execute a statement. It fails as it would have through SQLAlchemy."""
    held = _driver_of(connection)
    cursor = _cursor_of(connection, held)
    try:
        await cursor.execute(statement, parameters)
        return Rows(await cursor.fetchall() if cursor.rownumber is not None else (), cursor.rowcount)
    except psycopg.Error as failed:
        if lost := held.closed:
            await _give_up(connection, failed)
        raise DBAPIError.instance(
            statement, None, failed, psycopg.Error, hide_parameters=True, connection_invalidated=lost
        ) from failed


async def _give_up(connection: AsyncConnection, failed: psycopg.Error) -> None:
    """Close a connection that was lost. Those that are older are lost with it: the pool makes new ones for them."""
    assert connection.sync_connection is not None
    lent = connection.sync_connection.connection
    pool().sync_engine.pool._invalidate(lent, failed, _checkin=False)
    await connection.invalidate(failed)


def _driver_of(connection: AsyncConnection) -> Driver:
    assert connection.sync_connection is not None
    held: Driver = connection.sync_connection.connection.driver_connection  # type: ignore[assignment]
    return held


def _cursor_of(connection: AsyncConnection, held: Driver) -> psycopg.AsyncCursor[Any]:
    """Return the one cursor that statements go through for as long as the connection lives: each new one is dear."""
    assert connection.sync_connection is not None
    about = connection.sync_connection.info
    if "cursor" not in about:
        about["cursor"] = held.cursor()
    cursor: psycopg.AsyncCursor[Any] = about["cursor"]
    return cursor


@lru_cache(maxsize=1024)
def _spelt(statement: TextClause) -> str:
    """Return the text with its parameters named as the driver wants them."""
    return str(statement.compile(dialect=pool().dialect))


@lru_cache(maxsize=4096)
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
