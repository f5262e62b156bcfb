"""Paging: newest first, keyset on (created_at, id) or its like, so that a page costs the same at any depth.

A cursor is opaque to clients: the place of the last row shown. Rows made meanwhile neither repeat nor hide others.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy import tuple_
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from ingram_app.core.errors import BadRequest

Row = TypeVar("Row")
MOST = 200
USUAL = 50


class InvalidCursor(BadRequest):
    """The cursor {cursor} is none of ours. Send `next_cursor` of a page as it came, or leave it out."""


class InvalidLimit(BadRequest):
    """The limit {limit} is not a number from 1 to 200."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    data: Sequence[Row]
    next_cursor: str | None

    @property
    def has_more(self) -> bool:
        return self.next_cursor is not None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins and how long it is, as the caller asked. Raises `InvalidLimit`."""

    limit: int = USUAL
    cursor: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MOST:
            raise InvalidLimit(limit=self.limit, param="limit")

    def after(self, read: Callable[[str], Any] = datetime.fromisoformat) -> tuple[Any, str] | None:
        """Return the last row shown, the first part of its key as `read` reads it. Raises `InvalidCursor`."""
        if self.cursor is None:
            return None
        try:
            first, _, row_id = base64.urlsafe_b64decode(self.cursor.encode("ascii", "strict")).decode().partition(" ")
            if not row_id or not row_id.isprintable():
                raise ValueError(row_id)
            return read(first), row_id
        except (ValueError, binascii.Error):
            raise InvalidCursor(cursor=repr(self.cursor[:80]), param="cursor") from None


FIRST = Place()


async def page(
    session: AsyncSession,
    query: SelectOfScalar[Row],
    table: Any,
    place: Place,
    *,
    by: Literal["created_at", "position", "version"] = "created_at",
    then: Literal["id", "agent_id"] = "id",
) -> Page[Row]:
    """Return one page of `query` over `table`, whose rows are ordered `by` one column, `then` by another."""
    first, second = getattr(table, by), getattr(table, then)
    if (after := place.after(_READ[by])) is not None:
        query = query.where(tuple_(first, second) < after)
    query = query.order_by(first.desc(), second.desc()).limit(place.limit + 1)
    rows = (await session.exec(query)).all()
    if len(rows) <= place.limit:
        return Page(rows, None)
    last: Any = rows[place.limit - 1]
    value = getattr(last, by)
    mark = cursor(value.isoformat() if isinstance(value, datetime) else value, getattr(last, then))
    return Page(rows[: place.limit], mark)


def cursor(first: str | int, row_id: str) -> str:
    """Return the cursor of the page after a row of this key."""
    return base64.urlsafe_b64encode(f"{first} {row_id}".encode()).decode()


def number(text: str, bits: int = 64) -> int:
    """Return a number that a column of so many bits can hold. Raises `ValueError`."""
    if (number := int(text)) not in range(2 ** (bits - 1)):
        raise ValueError(text)
    return number


_READ: dict[str, Callable[[str], Any]] = {
    "created_at": datetime.fromisoformat,
    "position": partial(number, bits=64),
    "version": partial(number, bits=32),
}
"""How the first part of a cursor is read."""
