"""Periods: what is asked for is understood, or refused in clear words."""

from datetime import date, timedelta

import pytest

from ingram_app.core.clock import now
from ingram_app.domain import periods
from ingram_app.domain.periods import InvalidDay, InvalidMonth, InvalidPeriod, Period


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
    ("first", "last", "months"),
    [
        ("2026-01-01", "2026-03-31", ("2026-01-01", "2026-04-01")),
        ("2025-12-31", "2026-03-30", ("2026-01-01", "2026-03-01")),
        ("2026-01-02", "2026-01-31", ("2026-02-01", "2026-02-01")),
    ],
)
def test_whole_months_are_found_within(first: str, last: str, months: tuple[str, str]) -> None:
    begins, ends = periods.asked_for(first=first, last=last).months
    assert (begins.isoformat(), ends.isoformat()) == months


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
