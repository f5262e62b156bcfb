"""Usage and cost: what a period took, over time and by whom, live. Its figures lead to the calls that made them."""

from dataclasses import dataclass
from datetime import date, timedelta

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console import made_of
from ingram_app.console.address import asked
from ingram_app.console.budgets import Budgets, budgets_section, example as budgets_example
from ingram_app.console.dialogs import code_button, code_drawer, curl
from ingram_app.console.figures import count, money
from ingram_app.console.following import stirred
from ingram_app.console.lists import led, list_table, with_query
from ingram_app.console.looks import NativeForm, button, head, link, section, served, skeleton
from ingram_app.console.session import Choice, Session, standing
from ingram_app.console.shell import page
from ingram_app.console.usage_chart import Column, Series, chart, drawn
from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import periods, runs, usage
from ingram_app.domain.access import Caller
from ingram_app.domain.ledger import Of
from ingram_app.domain.periods import Period
from ingram_app.domain.usage import Group

_LAST_DAYS = {"7d": 7, "30d": 30}
_TOP = 10
_PAGES: dict[str, str] = {"smith": "/smiths/", "agent": "/agents/"}


@dataclass
class Card:
    name: str
    figure: str
    change: str
    """Against the period before."""
    made_of: str
    """Where the calls are that it is made of, below the project."""


@dataclass
class Consumer:
    name: str
    page: str
    """Its own, below the project; empty when it has none."""
    made_of: str
    """Where its calls are, below the project."""
    counted: str
    """Where those are that began its runs."""
    runs: str
    tokens: str
    cost: str
    share: str
    """Of the period's cost."""


class UsagePage(rx.State):
    period: str = ""
    """The choice; empty is this month."""
    choices: list[Choice] = []
    title: str = ""
    first: str = ""
    last: str = ""
    cards: list[Card] = []
    columns: list[Column] = []
    series: list[Series] = []
    smiths: list[Consumer] = []
    agents: list[Consumer] = []
    models: list[Consumer] = []
    apps: list[Consumer] = []
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the period that the address names."""
        await standing(self)
        self.loaded = False
        await self._look()

    @rx.event(background=True)
    async def watch(self):
        """Show what is used while one looks."""
        caller = await standing(self)
        with signals.listening(runs.topic(caller.project_id)) as heard:
            while True:
                await stirred(heard)
                async with self:
                    if self.loaded:
                        await self._look()

    async def _look(self) -> None:
        caller = await standing(self)
        self.period, period = _chosen(asked(self, "period"))
        async with transaction(caller.tenancy) as session:
            told = await usage.browse(session, caller, period, "day_model", most=10**9)
            before = usage.total(await usage.browse(session, caller, period.before, "day"))
            self.smiths = await _consumers(session, caller, period, "smith")
            self.agents = await _consumers(session, caller, period, "agent")
            self.models = await _consumers(session, caller, period, "model")
            self.apps = await _consumers(session, caller, period, "app")
        self.choices, self.title = _choices(), _title(period)
        self.first, self.last = period.first.isoformat(), (period.until - timedelta(days=1)).isoformat()
        self.cards, self.loaded = _cards(period, usage.total(told), before), True
        self.columns, self.series = drawn(period, told)


def _chosen(word: str) -> tuple[str, Period]:
    """Return the choice that a word of the address is, and its days; this month for what is none."""
    today = now().date()
    if days := _LAST_DAYS.get(word):
        return word, Period(today - timedelta(days=days - 1), today + timedelta(days=1))
    try:
        return word, periods.asked_for(word or None)
    except Invalid:
        return "", periods.month_of(today)


def _choices() -> list[Choice]:
    months, first = [], now().date().replace(day=1)
    for _ in range(12):
        first = (first - timedelta(days=1)).replace(day=1)
        months.append(Choice(f"{first:%Y-%m}", f"{first:%B %Y}"))
    return [Choice("", "This month"), Choice("7d", "Last 7 days"), Choice("30d", "Last 30 days"), *months]


def _title(period: Period) -> str:
    last: date = period.until - timedelta(days=1)
    whole = periods.month_of(period.first) == period
    return f"{period.first:%B %Y}" if whole else f"{period.first:%-d %B} to {last:%-d %B %Y}"


def _cards(period: Period, used: Group, before: Group) -> list[Card]:
    figures = [
        ("Cost", money, used.cost_micros, before.cost_micros),
        ("Tokens", count, used.tokens, before.tokens),
        ("From the cache", count, used.cache_read_tokens, before.cache_read_tokens),
        ("Runs", count, used.runs, before.runs),
    ]
    return [
        Card(name, written(told), _change(told, then), made_of.calls(period, firsts=name == "Runs"))
        for name, written, told, then in figures
    ]


def _change(told: int, before: int) -> str:
    """Write a change against the period before: `+12 %`."""
    if not before:
        return "nothing in the period before"
    return f"{(told - before) / before:+.0%} against the period before".replace("%", " %").replace("-", "−")


async def _consumers(session: AsyncSession, caller: Caller, period: Period, by: Of) -> list[Consumer]:
    """Return those that cost most, and all others as one."""
    groups = await usage.browse(session, caller, period, by, most=_TOP)
    names = await usage.named(session, caller, by, [group.key for group in groups])
    whole = usage.total(groups).cost_micros
    told = {"": "Erased smiths", usage.REST: "All others"}
    apart = [group.key for group in groups if group.key != usage.REST]

    def calls_of(group: Group, *, firsts: bool = False) -> str:
        if group.key == usage.REST:
            return made_of.others(period, by, apart, firsts=firsts)
        return made_of.calls(period, {by: group.key}, firsts=firsts)

    return [
        Consumer(
            name=names.get(group.key) or told.get(group.key, group.key),
            page=f"{_PAGES[by]}{group.key}" if by in _PAGES and group.key in names else "",
            made_of=calls_of(group),
            counted=calls_of(group, firsts=True),
            runs=count(group.runs),
            tokens=count(group.tokens),
            cost=money(group.cost_micros),
            share=f"{group.cost_micros / whole:.0%}".replace("%", " %") if whole else "–",
        )
        for group in groups
    ]


@page("/p/[project]/usage", title="Usage & cost", on_load=[UsagePage.load, Budgets.load, UsagePage.watch])
def usage_page() -> rx.Component:
    return rx.fragment(
        head(
            "Usage & cost",
            "What this project's model calls took, priced when they happened, in US dollars.",
            _picker(),
            code_button(),
        ),
        rx.cond(
            UsagePage.loaded,
            rx.fragment(
                rx.el.dl(rx.foreach(UsagePage.cards, _card), class_name="cards"),
                section(
                    "Cost by day",
                    f"{UsagePage.title}, in UTC, stacked by model.",
                    chart(UsagePage.columns, UsagePage.series),
                ),
                budgets_section(),
                _top("Smiths", "Whose turns cost most.", UsagePage.smiths),
                _top("Agents", "Whose smiths cost most.", UsagePage.agents),
                _top("Models", "A run counts for the model of its first call.", UsagePage.models),
                _top("Apps", "Where turns came from. What is done beside runs is background.", UsagePage.apps),
                _export(),
            ),
            skeleton(),
        ),
        code_drawer(
            ("By day", curl("GET", Session.address, "/v1/tenant/usage?period=2026-11")),
            ("By smith", curl("GET", Session.address, "/v1/usage?group_by=smith&period=2026-11")),
            ("Set a budget", budgets_example()),
            ("As a file", curl("GET", Session.address, "/v1/usage?group_by=model&format=csv")),
        ),
    )


def _picker() -> rx.Component:
    return rx.el.select(
        rx.foreach(UsagePage.choices, lambda choice: rx.el.option(choice.name, value=choice.id)),
        value=UsagePage.period,
        aria_label="Period",
        class_name="input",
        on_change=lambda value: rx.redirect(with_query("period", value)),
    )


def _card(card: Card) -> rx.Component:
    return rx.el.div(
        rx.el.dt(card.name),
        rx.el.dd(led(card.figure, card.made_of, card.name), class_name="figure"),
        rx.el.dd(card.change, class_name="muted small"),
    )


def _top(title: str, about: str, rows: rx.Var[list[Consumer]]) -> rx.Component:
    def cells(row: Consumer) -> list[rx.Component | rx.Var[str]]:
        named = rx.el.span(row.name, class_name="clip wide", title=row.name)
        its = rx.cond(row.page != "", link(named, href=f"/p/{Session.project_id}{row.page}"), named)
        runs_, tokens = led(row.runs, row.counted, "runs", row.name), led(row.tokens, row.made_of, "tokens", row.name)
        return [its, runs_, tokens, led(row.cost, row.made_of, "cost", row.name), row.share]

    empty = rx.el.p("No model was called in this period.", class_name="muted none-match")
    columns = [title.removesuffix("s"), "Runs#", "Tokens#", "Cost#", "Share#"]
    return section(title, about, list_table(columns, rows, cells, label=f"{title} by cost", empty=empty))


def _export() -> rx.Component:
    kinds = ("smith", "agent", "model", "customer", "app")
    form = NativeForm.create(
        rx.el.input(type="hidden", name="from", value=UsagePage.first),
        rx.el.input(type="hidden", name="to", value=UsagePage.last),
        rx.el.select(
            *(rx.el.option(f"By {kind}", value=kind) for kind in kinds),
            name="by",
            aria_label="Rows",
            class_name="input",
        ),
        button("Export CSV", icon="download", type="submit"),
        action=f"{served('/exports/')}{Session.project_id}/usage.csv",
        method="post",
        class_name="inline",
    )
    return section("As a file", "Every row of the period; their sum is the total.", form)
