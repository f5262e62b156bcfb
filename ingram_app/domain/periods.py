"""Periods: the days, in UTC, that a question about usage is about."""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from ingram_app.core.clock import now
from ingram_app.core.errors import Invalid

MOST_DAYS = 1100
"""Three years."""
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)
Size = Literal["month", "pentad", "day"]
"""A pentad is five days of a month, and the last one of what is left: it begins on the 1st, 6th, 11th, … or 26th."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Months, pentads or days that follow each other, from `first` up to `until` and without it."""

    size: Size
    first: date
    until: date
    sign: int
    """1 for what is added, -1 for what is taken off."""


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` on, up to `until` and without it."""

    first: date
    until: date

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range((self.until - self.first).days)]

    def pieces(self, sizes: Sequence[Size]) -> list[Piece]:
        """Return as few blocks of these sizes as there can be that make the period: those within it, or more of which
        some are taken off again. Days must be among the sizes."""
        came: dict[date, Piece] = {}
        reached = deque([self.first])
        while self.until not in came:
            here = reached.popleft()
            for piece, there in _steps(here, sizes):
                if there not in came:
                    came[there] = piece
                    reached.append(there)
        pieces: list[Piece] = []
        there = self.until
        while there != self.first:
            piece = came[there]
            there = piece.first if piece.sign > 0 else piece.until
            after = pieces[-1] if pieces else None
            if after and (after.size, after.sign) == (piece.size, piece.sign):
                pieces[-1] = replace(piece, first=min(piece.first, after.first), until=max(piece.until, after.until))
            else:
                pieces.append(piece)
        return pieces

    @property
    def moments(self) -> tuple[datetime, datetime]:
        """When it begins, and when it is over."""
        first, until = (datetime.combine(day, time(), UTC) for day in (self.first, self.until))
        return first, until

    @property
    def before(self) -> "Period":
        """The month before a month, else as many days before."""
        if self.first.day == 1 and _next_month(self.first) == self.until:
            return Period((self.first - timedelta(days=1)).replace(day=1), self.first)
        return Period(self.first - (self.until - self.first), self.first)


class InvalidMonth(Invalid):
    """{period} is no month. It looks like 2026-11."""

    code = "invalid_period"


class InvalidDay(Invalid):
    """{day} is no day. It looks like 2026-11-24."""

    code = "invalid_period"


class InvalidPeriod(Invalid):
    """{reason}"""


def month_of(day: date) -> Period:
    """Return the month that a day is in."""
    first = day.replace(day=1)
    return Period(first, _next_month(first))


def asked_for(period: str | None = None, first: str | None = None, last: str | None = None) -> Period:
    """Return the month `period`, or the days from `first` to `last`, that one too; without either, this month.

    Without `last` it is today. Raises `InvalidMonth`, `InvalidDay`, `InvalidPeriod`.
    """
    if period is not None and (first or last) is not None:
        raise InvalidPeriod(reason="Give a period, or from and to, not both.", param="period")
    if period is not None:
        named = _MONTH.fullmatch(period)
        if named is None or not 1970 <= int(named[1]) <= 2999:
            raise InvalidMonth(period=repr(period[:40]), param="period")
        return month_of(date(int(named[1]), int(named[2]), 1))
    if first is None:
        if last is not None:
            raise InvalidPeriod(reason="Say from when: there is a to without a from.", param="from")
        return month_of(now().date())
    begins, ends = _day(first, "from"), _day(last, "to") if last is not None else now().date()
    if ends < begins:
        raise InvalidPeriod(reason=f"The period ends on {ends}, before it begins on {begins}.", param="to")
    if (ends - begins).days >= MOST_DAYS:
        raise InvalidPeriod(reason=f"A period has at most {MOST_DAYS} days. Ask for less at once.", param="from")
    return Period(begins, ends + timedelta(days=1))


def _day(text: str, param: str) -> date:
    try:
        moment = datetime.fromisoformat(text)
        day = (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()
    except (ValueError, OverflowError):
        raise InvalidDay(day=repr(text[:40]), param=param) from None
    if not 1970 <= day.year <= 2999:
        raise InvalidDay(day=repr(text[:40]), param=param)
    return day


def _steps(here: date, sizes: Sequence[Size]) -> Iterator[tuple[Piece, date]]:
    """Yield the blocks that begin or end on a day, each with its other end."""
    for size in sizes:
        if size == "day" or here.day == 1 or (size == "pentad" and here.day % 5 == 1 and here.day < 31):
            after, before = _after(here, size), _before(here, size)
            yield Piece(size, here, after, 1), after
            yield Piece(size, before, here, -1), before


def _after(here: date, size: Size) -> date:
    if size == "month" or (size == "pentad" and here.day == 26):
        return _next_month(here)
    return here + timedelta(days=5 if size == "pentad" else 1)


def _before(here: date, size: Size) -> date:
    day = timedelta(days=1)
    if size == "day":
        return here - day
    if here.day == 1:
        return (here - day).replace(day=1 if size == "month" else 26)
    return here - 5 * day


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
