"""What a tab's address says: the thing that it is about, the place in a list, the filters."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import reflex as rx

from ingram_app.console.session import NotHere
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import periods
from ingram_app.domain.paging import Place
from ingram_app.domain.periods import Period


def named(state: rx.State, noun: str) -> str:
    """Return the id that follows `noun` in the path, empty for none: `/p/…/runs/<id>`."""
    _, _, rest = state.router.url.path.partition(f"/{noun}/")
    return rest.partition("/")[0]


def asked(state: rx.State, word: str) -> str:
    """Return a word of the query, empty when it is not there."""
    return state.router.url.query_parameters.get(word, "")


def days_of(state: rx.State) -> Period | None:
    """Return the days that the address asks for, `?from=2026-11-01&to=2026-11-30`; `None` when it asks for none."""
    first, last = asked(state, "from"), asked(state, "to")
    try:
        return periods.asked_for(None, first, last or first) if first else None
    except Invalid:
        return None


def place_of(state: rx.State) -> Place:
    """Return which page of its list the tab shows."""
    return Place(cursor=asked(state, "cursor") or None)


def is_at(id: rx.Var[str]) -> rx.Var[bool]:
    """Tell, in the browser, whether the address names this id: what a page held of another thing is not shown."""
    ends: Any = rx.vars.FunctionStringVar.create(
        "((id) => typeof window === 'undefined' || window.location.pathname.endsWith('/' + id))"
    )
    return ends.call(id).to(bool)


def is_asked(query: rx.Var[str]) -> rx.Var[bool]:
    """Tell, in the browser, whether its address asks this: figures of another question are not shown."""
    same: Any = rx.vars.FunctionStringVar.create(
        "((query) => typeof window === 'undefined' || window.location.search.replace(/^[?]/, '') === query)"
    )
    return same.call(query).to(bool)


@contextmanager
def or_not_here(noun: str) -> Iterator[None]:
    """Show the page that is not here for a row that is not found: another project's looks no different."""
    try:
        yield
    except NotFound:
        raise NotHere(f"This project has no such {noun}. It may have been archived, or be another project's.") from None
