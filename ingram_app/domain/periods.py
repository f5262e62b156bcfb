"""Periods: the days, in UTC, that a question about usage is about."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ingram_app.core.clock import now
from ingram_app.core.errors import Invalid

MOST_DAYS = 1100
"""Three years."""
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` on, up to `until` and without it."""

    first: date
    until: date

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range((self.until - self.first).days)]

    @property
    def months(self) -> tuple[date, date]:
        """The whole months within: from the first of one to the first of another; the same day when there is none."""
        first = self.first if self.first.day == 1 else _next_month(self.first)
        return first, max(first, self.until.replace(day=1))

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


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
