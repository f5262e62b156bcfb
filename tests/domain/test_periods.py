"""Periods: what is asked for is understood, or refused in clear words."""

from collections import Counter
from datetime import date, timedelta

import pytest

from ingram_app.core.clock import now
from ingram_app.domain import periods
from ingram_app.domain.periods import InvalidDay, InvalidMonth, InvalidPeriod, Period, Size

SIZES: tuple[Size, ...] = ("month", "pentad", "day")
STARTS = {"month": (1,), "pentad": (1, 6, 11, 16, 21, 26), "day": range(1, 32)}


def test_a_month_is_all_its_days_and_the_one_before_it_all_of_its() -> None:
    month = periods.asked_for("2024-03")
    assert (month.first, month.until, len(month.days)) == (date(2024, 3, 1), date(2024, 4, 1), 31)
    assert month.before == Period(date(2024, 2, 1), date(2024, 3, 1))


def test_days_are_meant_with_the_last_one() -> None:
    week = periods.asked_for(first="2026-11-18", last="2026-11-24")
    assert (week.first, week.until) == (date(2026, 11, 18), date(2026, 11, 25))
    assert week.before == Period(date(2026, 11, 11), date(2026, 11, 18))
    assert periods.asked_for(first="2026-11-01T23:30:00-02:00", last="2026-11-02").first == date(2026, 11, 2)
    today = now().date()
    assert periods.asked_for(first=today.isoformat()) == Period(today, today + timedelta(days=1))
    assert periods.asked_for() == periods.month_of(today)


@pytest.mark.parametrize(
    ("first", "last", "pieces"),
    [
        ("2026-01-01", "2026-03-31", "+month 2026-01-01 2026-04-01"),
        ("2026-01-03", "2026-01-04", "+day 2026-01-03 2026-01-05"),
        ("2026-02-06", "2026-02-28", "-pentad 2026-02-01 2026-02-06, +month 2026-02-01 2026-03-01"),
        ("2024-02-28", "2024-02-29", "+day 2024-02-28 2024-03-01"),
        ("2026-01-02", "2026-01-31", "-day 2026-01-01 2026-01-02, +month 2026-01-01 2026-02-01"),
        ("2025-12-31", "2026-03-30", "+day 2025-12-31 2026-01-01, +month 2026-01-01 2026-04-01,"
                                     " -day 2026-03-31 2026-04-01"),
    ],
)  # fmt: skip
def test_a_period_is_put_together_from_few_pieces(first: str, last: str, pieces: str) -> None:
    made = periods.asked_for(first=first, last=last).pieces(SIZES)
    spelt = [f"{'+' if one.sign > 0 else '-'}{one.size} {one.first} {one.until}" for one in reversed(made)]
    assert ", ".join(spelt) == pieces


def test_pieces_are_each_day_of_a_period_once() -> None:
    for first in Period(date(2024, 1, 28), date(2024, 3, 2)).days:
        for length in (*range(1, 32), 366):
            period = Period(first, first + timedelta(days=length))
            for sizes in (SIZES, SIZES[::2]):
                days: Counter[date] = Counter()
                for one in period.pieces(sizes):
                    assert {one.first.day, one.until.day} <= set(STARTS[one.size])
                    days.update(dict.fromkeys(Period(one.first, one.until).days, one.sign))
                assert {day: count for day, count in days.items() if count} == dict.fromkeys(period.days, 1)


def test_no_span_within_a_month_takes_more_than_eight() -> None:
    for first in Period(date(2024, 1, 1), date(2024, 2, 1)).days:
        for last in Period(first, date(2024, 2, 1)).days:
            pieces = Period(first, last + timedelta(days=1)).pieces(SIZES)
            taken = [sum(day.day in STARTS[one.size] for day in Period(one.first, one.until).days) for one in pieces]
            assert sum(taken) <= 8


@pytest.mark.parametrize(
    "period", ["2026-13", "2026-1", "november", "", "0001-01", "9999-12", "２０２６-11", "2026-11\n"]
)
def test_what_is_no_month_is_refused(period: str) -> None:
    with pytest.raises(InvalidMonth, match="2026-11"):
        periods.asked_for(period)


@pytest.mark.parametrize("day", ["2026-02-30", "yesterday", "", "0001-01-01", "9999-12-31T23:59:59-14:00"])
def test_what_is_no_day_is_refused(day: str) -> None:
    with pytest.raises(InvalidDay):
        periods.asked_for(first=day)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"period": "2026-11", "first": "2026-11-01"}, "period"),
        ({"last": "2026-11-01"}, "from"),
        ({"first": "2026-11-02", "last": "2026-11-01"}, "to"),
        ({"first": "2000-01-01", "last": "2026-11-01"}, "from"),
    ],
)
def test_what_contradicts_itself_is_refused(asked: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidPeriod) as refused:
        periods.asked_for(**asked)
    assert refused.value.param == param
