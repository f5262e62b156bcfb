"""Paging: newest first, keyset on (created_at, id), so that a page costs the same at any depth.

A cursor is opaque to clients: the place of the last row shown. Rows made meanwhile neither repeat nor hide others.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

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

    @property
    def after(self) -> tuple[datetime, str] | None:
        """The last row shown. Raises `InvalidCursor`."""
        if self.cursor is None:
            return None
        try:
            moment, _, row_id = base64.urlsafe_b64decode(self.cursor.encode("ascii", "strict")).decode().partition(" ")
            if not row_id or not row_id.isprintable():
                raise ValueError(row_id)
            return datetime.fromisoformat(moment), row_id
        except (ValueError, binascii.Error):
            raise InvalidCursor(cursor=repr(self.cursor[:80]), param="cursor") from None


FIRST = Place()


async def page(session: AsyncSession, query: SelectOfScalar[Row], table: Any, place: Place) -> Page[Row]:
    """Return one page of `query` over `table`, whose rows have `created_at` and `id`."""
    key = tuple_(table.created_at, table.id)
    if (after := place.after) is not None:
        query = query.where(key < after)
    query = query.order_by(table.created_at.desc(), table.id.desc()).limit(place.limit + 1)
    rows = (await session.exec(query)).all()
    if len(rows) <= place.limit:
        return Page(rows, None)
    last: Any = rows[place.limit - 1]
    mark = f"{last.created_at.isoformat()} {last.id}"
    return Page(rows[: place.limit], base64.urlsafe_b64encode(mark.encode()).decode())
