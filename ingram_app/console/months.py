"""Which month a page of figures shows: it stands in the address, `?month=2026-11`, with the way to its neighbours."""

import reflex as rx

from ingram_app.console.address import asked
from ingram_app.console.lists import with_query
from ingram_app.console.looks import link
from ingram_app.core.errors import Invalid
from ingram_app.domain import rates
from ingram_app.domain.periods import Period
from ingram_app.domain.rates import Month


def of(state: rx.State) -> Month:
    """Return the month that the address asks for; the current one when it asks for none that there is."""
    try:
        return rates.month_of(asked(state, "month") or None)
    except Invalid:
        return rates.month_of(None)


def words(month: Month) -> str:
    return f"{month.first:%B %Y}"


def bar(shown: rx.Var[str], before: rx.Var[str], after: rx.Var[str]) -> rx.Component:
    """The month's name between the ways to the one before and the one after; `after` is empty for the current one."""
    return rx.el.nav(
        link("Month before", class_name="button slim", href=with_query("month", before)),
        rx.el.strong(shown),
        rx.cond(after != "", link("Month after", class_name="button slim", href=with_query("month", after))),
        class_name="row",
        aria_label="Months",
    )


def after(month: Month) -> str:
    """Return the month after one, empty for the current one."""
    return "" if month == rates.month_of(None) else str(month.next)


def days(month: Month) -> Period:
    """Return the days of a month."""
    return Period(month.first, month.next.first)
