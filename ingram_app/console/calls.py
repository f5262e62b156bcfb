"""Model calls: what each took and cost. Every figure of usage leads here, to the calls that add up to it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console import made_of
from ingram_app.console.address import is_asked, place_of
from ingram_app.console.figures import count, days, moment, money
from ingram_app.console.lists import filter_set, list_table, with_query
from ingram_app.console.looks import head, link, relative_time
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.domain import ledger, usage
from ingram_app.domain.access import Caller
from ingram_app.domain.ledger import Of, Which
from ingram_app.domain.model_calls import ModelCall

_NOBODY: dict[Of, str] = {"smith": "erased smiths", "customer": "nobody"}


@dataclass
class CallRow:
    at: str
    day: str
    """When no more is kept of its time: of erased smiths' calls."""
    who: str
    run: str
    """Empty for what was done beside runs, and of erased smiths."""
    agent: str
    model: str
    app: str
    into: str
    out: str
    cached: str
    cost: str
    estimated: bool

    @classmethod
    def of(cls, call: ModelCall, names: dict[str, str]) -> "CallRow":
        return cls(
            at=moment(call.at),
            day="" if call.smith_id else f"{call.at:%-d %B %Y}",
            who=names.get(call.smith_id or "", call.smith_id or "an erased smith"),
            run=call.run_id or "",
            agent=names.get(call.agent_id, call.agent_id),
            model=call.model,
            app=call.app,
            into=count(call.input_tokens),
            out=count(call.output_tokens),
            cached=count(call.cache_read_tokens),
            cost=money(call.cost_micros),
            estimated=call.estimated,
        )


@dataclass
class Sum:
    name: str
    figure: str


class Calls(rx.State):
    rows: list[CallRow] = []
    sums: list[Sum] = []
    """What all that match come to, on this page of the list and on others."""
    said: dict[str, str] = {}
    """Each filter of the address in words."""
    older: str = ""
    query: str = ""
    """Of the address that all this answers."""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show a page of the calls that the address asks for, and what all of them come to."""
        caller = await standing(self)
        which = made_of.wanted(self)
        async with transaction(caller.tenancy) as session:
            found = await ledger.browse(session, caller, which, place_of(self))
            told = await ledger.total(session, caller, which)
            names = await _names(session, caller, which, found.data)
        self.rows = [CallRow.of(call, names) for call in found.data]
        self.sums = [Sum("Runs", count(told.runs))]
        if not which.firsts:
            self.sums = [
                Sum("Cost", money(told.cost_micros)),
                Sum("Tokens", count(told.tokens)),
                Sum("From the cache", count(told.cache_read_tokens)),
                *self.sums,
            ]
        self.said, self.older, self.loaded = _said(which, names), found.next_cursor or "", True
        self.query = self.router.url.query


async def _names(session: AsyncSession, caller: Caller, which: Which, shown: Collection[ModelCall]) -> dict[str, str]:
    """Return what the smiths, agents and customers are called that the calls and the filters name."""
    asked: dict[Of, set[str]] = {
        "smith": {call.smith_id for call in shown if call.smith_id},
        "agent": {call.agent_id for call in shown},
        "customer": set(),
    }
    for of, keys in asked.items():
        keys.update([which.only[of]] if of in which.only else which.but.get(of, ()))
    found = [await usage.named(session, caller, of, keys) for of, keys in asked.items()]
    return {key: name for names in found for key, name in names.items()}


def _said(which: Which, names: dict[str, str]) -> dict[str, str]:
    """Say each filter in words."""

    def called(of: Of, key: str) -> str:
        return names.get(key, key) if key else _NOBODY.get(of, "none")

    said: dict[str, str] = {of: called(of, key) for of, key in which.only.items()}
    for of, keys in which.but.items():
        said[of] = "all but " + ", ".join(called(of, key) for key in keys)
    return said | {"from": days(which.period)}


@page("/p/[project]/calls", title="Model calls", on_load=Calls.load)
def calls_page() -> rx.Component:
    shown = Calls.loaded & is_asked(Calls.query)
    return rx.fragment(
        head(
            "Model calls",
            "What each call of a model took and cost, priced when it happened, in US dollars: all that usage is made "
            "of. What was done beside runs, such as learning, is here too, and what erased smiths used.",
        ),
        _filters(),
        rx.cond(shown, rx.el.dl(rx.foreach(Calls.sums, _sum), class_name="cards")),
        list_table(
            ["Time", "Smith", "Run", "Agent", "Model", "App", "Input#", "Output#", "From the cache#", "Cost#"],
            Calls.rows,
            _cells,
            label="Model calls",
            loaded=shown,
            older=Calls.older,
            empty=rx.el.p("No model call matches.", class_name="muted none-match"),
        ),
    )


def _filters() -> rx.Component:
    return rx.el.div(
        filter_set("from", "Days (UTC)", Calls.said["from"], "to"),
        *(filter_set(of, of.capitalize(), Calls.said[of]) for of in made_of.OF),
        filter_set("count", "Only", rx.Var.create("the first call of each run")),
        class_name="filters",
    )


def _sum(one: Sum) -> rx.Component:
    figure = rx.cond(
        one.name == "Runs",
        link(one.figure, href=with_query("count", made_of.FIRSTS, "cursor"), aria_label=f"{one.figure} runs"),
        one.figure,
    )
    return rx.el.div(rx.el.dt(one.name), rx.el.dd(figure, class_name="figure"))


def _cells(row: CallRow) -> list[Any]:
    run = link(
        rx.el.code(row.run, class_name="clip"),
        href=f"/p/{Session.project_id}/runs/{row.run}",
        aria_label=f"Run {row.run}",
    )
    return [
        rx.cond(row.day != "", row.day, relative_time(row.at)),
        rx.el.span(row.who, class_name="clip", title=row.who),
        rx.cond(row.run != "", run, rx.el.span("–", class_name="muted")),
        rx.el.span(row.agent, class_name="clip", title=row.agent),
        rx.el.span(row.model, class_name="clip", title=row.model),
        row.app,
        row.into,
        row.out,
        row.cached,
        rx.fragment(rx.cond(row.estimated, rx.el.span("about ", class_name="muted", title="Estimated")), row.cost),
    ]
