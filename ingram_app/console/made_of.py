"""Where figures of usage lead: to the model calls that they are made of, `?from=2026-11-01&to=2026-11-30&model=…`."""

from collections.abc import Collection
from urllib.parse import urlencode

import reflex as rx

from ingram_app.console.address import asked, days_of
from ingram_app.core.database import keepable
from ingram_app.domain.ledger import Of, Which
from ingram_app.domain.periods import Period

OF: tuple[Of, ...] = ("smith", "agent", "model", "customer", "app")
NONE = "none"
"""Stands in the address for what has no id: erased smiths, nobody as a customer."""
FIRSTS = "runs"
_BUT = "!"


def calls(period: Period | None, only: dict[Of, str] | None = None, *, firsts: bool = False) -> str:
    """Return where the calls of a period are, below the project, of one smith, agent, model, customer or app."""
    words = {of: key or NONE for of, key in (only or {}).items()}
    return _address(period, words, firsts)


def others(period: Period, of: Of, but: Collection[str], *, firsts: bool = False) -> str:
    """Return where the calls of all but some are."""
    return _address(period, {of: _BUT + _BUT.join(key or NONE for key in but)}, firsts)


def wanted(state: rx.State) -> Which:
    """Return which calls the address asks for; a period that is none is not asked for."""
    words: dict[Of, str] = keepable({of: asked(state, of) for of in OF})
    only = {of: _key(word) for of, word in words.items() if word and not word.startswith(_BUT)}
    but = {of: [_key(one) for one in word[1:].split(_BUT)] for of, word in words.items() if word.startswith(_BUT)}
    return Which(days_of(state), only, but, asked(state, "count") == FIRSTS)


def _address(period: Period | None, words: dict[Of, str], firsts: bool) -> str:
    days = {"from": f"{period.first}", "to": f"{period.days[-1]}"} if period else {}
    return f"/calls?{urlencode(days | dict(words) | ({'count': FIRSTS} if firsts else {}))}"


def _key(word: str) -> str:
    return "" if word == NONE else word
