"""Statements that are built and spelt once, and rows that are read, or made, without the mapper.

A row of a `Reading` is an object like any other of its class, but belongs to no session: it is there to be looked at,
and what is changed on it goes nowhere. The mapper would take five times as long to bring it.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm.attributes import manager_of_class
from sqlalchemy.sql import ClauseElement
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import ask, execute, pool
from ingram_app.core.journeys import Rows

Row = TypeVar("Row")
Convert = Callable[[Any], Any]


class Prepared:
    """A statement that differs from call to call in its named parameters only."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement

    async def execute(self, session: AsyncSession, parameters: dict[str, Any]) -> Rows:
        """Execute it with these parameters; nothing that waits in the session is flushed before."""
        return await execute(session, *self._told(parameters))

    def ask(self, session: AsyncSession, parameters: dict[str, Any]) -> Rows:
        """Have it go to the server with the next that is executed, or with the end of the transaction."""
        return ask(session, *self._told(parameters))

    def _told(self, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        text, fixed, converts = self._spelt
        given = fixed | parameters
        for name, convert in converts:
            given[name] = convert(given[name])
        return text, given

    @cached_property
    def _spelt(self) -> tuple[str, dict[str, Any], list[tuple[str, Convert]]]:
        """Its text, the parameters that are always the same, and how Python's values become the driver's."""
        dialect = pool().engine.dialect
        compiled: Any = self._statement.compile(dialect=dialect)
        converts = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect) for bind, name in compiled.bind_names.items()
        }
        return compiled.string, dict(compiled.params), [(name, it) for name, it in converts.items() if it]


class Reading(Generic[Row]):
    """A query for objects; one for several kinds gives tuples, with `None` for what an outer join did not find."""

    def __init__(self, query: Any) -> None:
        self._kinds = [_Kind(described["entity"]) for described in query.column_descriptions]
        columns = [column for kind in self._kinds for column in kind.columns]
        self._prepared = Prepared(query.with_only_columns(*columns, maintain_column_froms=True))

    async def all(self, session: AsyncSession, **parameters: Any) -> list[Row]:
        """Return every row."""
        return self.of(await self._prepared.execute(session, parameters))

    async def execute(self, session: AsyncSession, **parameters: Any) -> Rows:
        """Return what it gives, for `of` to read."""
        return await self._prepared.execute(session, parameters)

    def ask(self, session: AsyncSession, **parameters: Any) -> Rows:
        """Have it go to the server with the next that is executed; `of` reads what it gave."""
        return self._prepared.ask(session, parameters)

    def of(self, rows: Rows) -> list[Row]:
        """Return the objects that rows of this query are."""
        return [self._read(row) for row in rows.all()]

    async def first(self, session: AsyncSession, **parameters: Any) -> Row | None:
        """Return the first row, if there is one."""
        row = (await self._prepared.execute(session, parameters)).first()
        return None if row is None else self._read(row)

    def _read(self, row: Sequence[Any]) -> Any:
        objects, place = [], 0
        for kind in self._kinds:
            objects.append(kind.revive(row[place : place + len(kind.columns)]))
            place += len(kind.columns)
        return objects[0] if len(objects) == 1 else tuple(objects)


def made(kind: type[Row], **given: Any) -> Row:
    """Return an object of these values, the rest as the class has it by default.

    Calling the class takes a hundred times as long. Like a row of a `Reading` it belongs to no session.
    """
    plain, factories = _defaults(kind)  # type: ignore[arg-type]
    new = manager_of_class(kind).new_instance()
    new.__dict__.update(plain | {name: make() for name, make in factories.items() if name not in given} | given)
    return new


@cache
def _defaults(kind: type[Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Return the defaults of a class's fields that are values, and those that are made anew for every object."""
    fields = {name: field for name, field in kind.model_fields.items() if not field.is_required()}
    factories = {name: field.default_factory for name, field in fields.items() if field.default_factory is not None}
    return {name: field.default for name, field in fields.items() if name not in factories}, factories


def insertion(kind: type[Any]) -> sa.Insert:
    """Return the statement that inserts an object of this kind; its parameters are the object's `columns`."""
    table: sa.Table = kind.__table__
    return sa.insert(table).values({column.name: sa.bindparam(column.name, type_=column.type) for column in table.c})


def columns(row: object) -> dict[str, Any]:
    """Return what an object that was made, or read here, holds, by the names of its columns."""
    held = row.__dict__
    return {name: held.get(key) for name, key in _keys(type(row))}  # type: ignore[arg-type]


@cache
def _keys(kind: type[Any]) -> list[tuple[str, str]]:
    mapped: Any = sa.inspect(kind)
    return [(attribute.columns[0].name, attribute.key) for attribute in mapped.column_attrs]


class _Kind:
    """A class of rows: which columns it has, and how a row becomes an object of it."""

    def __init__(self, of: type[Any]) -> None:
        mapped: Any = sa.inspect(of)
        self.columns = [attribute.columns[0] for attribute in mapped.column_attrs]
        self._names = [attribute.key for attribute in mapped.column_attrs]
        self._key = [place for place, column in enumerate(self.columns) if column.primary_key]
        self._manager: Any = manager_of_class(of)

    @cached_property
    def _converts(self) -> list[tuple[str, Convert]]:
        dialect = pool().engine.dialect
        converts = (column.type.dialect_impl(dialect).result_processor(dialect, None) for column in self.columns)
        return [(name, convert) for name, convert in zip(self._names, converts, strict=True) if convert]

    def revive(self, values: Sequence[Any]) -> Any:
        if all(values[place] is None for place in self._key):
            return None
        revived = self._manager.new_instance()
        state = dict(zip(self._names, values, strict=True))
        for name, convert in self._converts:
            state[name] = convert(state[name])
        revived.__dict__.update(state)
        return revived
