"""The database: one pool of connections, one way to write to it, and the column types we add to SQL's own.

Every transaction says for whom it is (`Tenancy`); row level security shows it nothing else.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, NoReturn

import psycopg
from pydantic_core import PydanticSerializationError, from_json, to_json
from sqlalchemy import Connection, DateTime, Dialect, Enum, Executable, TextClause, TypeDecorator, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.util import await_only
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.connections import MOST, Connections, driver_of
from ingram_app.core.errors import Unavailable
from ingram_app.core.journeys import Driver, Rows, Wire
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


class Aborted(RuntimeError):
    """A statement failed, what it raised was passed over outside of a savepoint, and nothing can be kept any more."""


NOBODY = Tenancy()
_BEGIN, _COMMIT = "begin", "commit"
_FOR = "select " + ", ".join(f"set_config('app.{of.name}', %({of.name})s, true)" for of in fields(Tenancy))
_PLAIN = re.compile(r"\w*", re.ASCII)
_MOMENT_IN = text("select clock_timestamp() + make_interval(secs => :seconds)")
_ALONE = text("select pg_advisory_xact_lock(hashtext(:deed))")


def driver_url() -> str:
    """Return the database's address as libpq reads it. Raises `DatabaseUnconfigured`."""
    url = settings().database_url
    if url is None:
        raise DatabaseUnconfigured()
    return str(url)


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


def _dumps(value: Any) -> str:
    try:
        return to_json(value).decode()
    except PydanticSerializationError:  # half of a surrogate pair
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _loads(spelt: bytes) -> Any:
    try:
        return from_json(spelt)
    except ValueError:  # nested deeper than it reads
        return json.loads(spelt)


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
def pool() -> Connections:
    """Return the process's connections, each working as `ROLE`. None begins a transaction by itself: `_unit` does."""
    engine = create_async_engine(
        driver_url().replace("postgresql://", "postgresql+psycopg://", 1),
        # psycopg prepares nothing: with a transaction that it rolls back it forgets all, what a `Wire` prepared too
        connect_args={"options": f"-c role={ROLE}", "autocommit": True, "prepare_threshold": None},
        pool_size=MOST,
        max_overflow=0,  # what overflows is opened and closed again, at a dear price
        json_serializer=_dumps,
        json_deserializer=_loads,
        hide_parameters=True,  # an error that is logged tells its statement, never what people wrote
    )
    event.listen(engine.sync_engine, "before_cursor_execute", _before_others)
    return Connections(engine)


@asynccontextmanager
async def transaction(tenancy: Tenancy) -> AsyncIterator[AsyncSession]:
    """Open one unit of work for `tenancy`: everything inside is kept together, or nothing is.

    Rows stay readable after the block. Nobody else commits.
    """
    async with _unit((_FOR, _settings_of(tenancy))) as session:
        yield session
    for deed in session.info.get("afterwards", ()):
        deed()


@asynccontextmanager
async def dispatching() -> AsyncIterator[AsyncSession]:
    """Open a transaction that sees, across projects, what waits to be taken up or looked after, and nothing else."""
    async with _unit((f"set local role {DISPATCHER}", {})) as session:
        yield session


def enter(session: AsyncSession, tenancy: Tenancy) -> None:
    """Make the rest of the transaction one for `tenancy`."""
    ask(session, _FOR, _settings_of(tenancy))


async def alone(session: AsyncSession, deed: str) -> None:
    """Wait until nobody else is at this deed; nobody else begins it until the transaction ends."""
    await execute(session, _ALONE, {"deed": deed})


async def moment_in(session: AsyncSession, seconds: float = 0) -> datetime:
    """Return the moment so far from now, by the one clock that all processes share: the database's."""
    moment: datetime = (await execute(session, _MOMENT_IN, {"seconds": seconds})).scalar().astimezone(UTC)
    return moment


async def execute(
    session: AsyncSession, statement: Executable | str, parameters: Mapping[str, Any] | None = None
) -> Rows:
    """Execute a statement that maps no rows to objects; nothing that waits in the session is flushed before.

    One that is a text goes to the driver as it stands, for half of what it costs through SQLAlchemy; a string is one
    that is spelt as the driver wants it.
    """
    if isinstance(statement, TextClause | str):
        rows = ask(session, statement, parameters)
        await answered(session)
        return rows
    result = await (await session.connection()).execute(statement, parameters)
    rows = Rows(str(statement))
    rows.come(result.all() if result.returns_rows else (), result.rowcount)
    return rows


async def answered(session: AsyncSession) -> None:
    """Wait until all that was asked has been answered."""
    await _go(session.info["connection"])


def ask(session: AsyncSession, statement: TextClause | str, parameters: Mapping[str, Any] | None = None) -> Rows:
    """Have a statement go to the server with the next that is executed, or with the end of the transaction.

    What it gave is known then. If it fails, that is what fails.
    """
    connection: AsyncConnection = session.info["connection"]
    text = statement if isinstance(statement, str) else _spelt(statement)
    try:
        return _wire_of(connection).ask(text, parameters or {})
    except psycopg.Error as failed:  # a value that PostgreSQL can not take: nothing was asked
        raise _as_sqlalchemy_would(text, failed) from failed


@asynccontextmanager
async def connected() -> AsyncIterator[Driver]:
    """Borrow a connection of the process, in no transaction."""
    async with pool().one() as connection:
        yield driver_of(connection)


@asynccontextmanager
async def _unit(for_whom: tuple[str, Mapping[str, Any]]) -> AsyncIterator[AsyncSession]:
    """Open a transaction: it begins with its first statement, and ends with its last if that was asked (`ask`).

    The session itself begins with the first object that is asked of it; who asks for none does not pay for it.
    """
    async with pool().one() as connection:
        wire = _wire_of(connection)
        wire.open_with((_BEGIN, {}), for_whom)
        session = AsyncSession(connection, expire_on_commit=False, info={"connection": connection})
        try:
            yield session
            if wire.aborted:
                raise Aborted()
            if session.in_transaction():
                if wire.waits:
                    await _go(connection)
                await session.commit()
            elif wire.opened:
                wire.ask(_COMMIT, {})
                await _go(connection)
        finally:  # what is still open now is rolled back, here or by who takes the connection back
            wire.forget()
            if session.in_transaction():
                await session.close()


async def _go(connection: AsyncConnection) -> None:
    """Have the server answer all that was asked. It fails as it would have through SQLAlchemy."""
    try:
        await _wire_of(connection).go()
    except psycopg.Error as failed:
        await connection.run_sync(_fail, failed)


def _before_others(connection: Connection, *_: Any) -> None:
    """Let what was asked go before a statement that goes through SQLAlchemy."""
    wire: Wire | None = connection.info.get("wire")
    if wire is not None and (wire.waits or not wire.opened):
        wire.open()
        try:
            await_only(wire.go())
        except psycopg.Error as failed:
            _fail(connection, failed)


def _fail(connection: Connection, failed: psycopg.Error) -> NoReturn:
    """Raise what failed as SQLAlchemy would. A connection that was lost is used no more, nor are those at hand."""
    wire: Wire = connection.info["wire"]
    if lost := wire.held.closed:
        pool().distrust()
        connection.invalidate(failed)
    raise _as_sqlalchemy_would(wire.failed, failed, lost=lost) from failed


def _as_sqlalchemy_would(statement: str, failed: psycopg.Error, *, lost: bool = False) -> BaseException:
    return DBAPIError.instance(
        statement, None, failed, psycopg.Error, hide_parameters=True, connection_invalidated=lost
    )


def _wire_of(connection: AsyncConnection) -> Wire:
    """Return the way to the server that a connection keeps for as long as it lives."""
    assert connection.sync_connection is not None
    about = connection.sync_connection.info
    if "wire" not in about:
        about["wire"] = Wire(driver_of(connection))
    wire: Wire = about["wire"]
    return wire


@lru_cache(maxsize=1024)
def _spelt(statement: TextClause) -> str:
    """Return the text with its parameters named as the driver wants them."""
    return str(statement.compile(dialect=pool().engine.dialect))


@lru_cache(maxsize=4096)
def _settings_of(tenancy: Tenancy) -> dict[str, str]:
    """Return a tenancy as parameters of `_FOR`. An id has no letter that SQL could take for anything but a letter."""
    named = asdict(tenancy)
    for name, value in named.items():
        if _PLAIN.fullmatch(value) is None:
            raise ValueError(f"no transaction is for the {name} {value[:40]!r}")
    return named


@event.listens_for(Session, "do_orm_execute")
def _as_it_stands_now(asked: ORMExecuteState) -> None:
    """Have what is read to be held overwrite what the session has read before: others may have changed it since."""
    if asked.is_select and getattr(asked.statement, "_for_update_arg", None) is not None:
        asked.update_execution_options(populate_existing=True)


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
