"""Budgets: what may be spent on models, and what is spent of it. A part of the page about usage and cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console import budget_form, made_of
from ingram_app.console.budget_form import Choice
from ingram_app.console.dialogs import close_dialog, confirm, curl, open_dialog
from ingram_app.console.figures import money
from ingram_app.console.lists import empty, list_table
from ingram_app.console.looks import badge, button, link, section
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import Conflict, Invalid, NotFound
from ingram_app.domain import agents, budgets, customers, smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.budgets import Budget, Scope, Status
from ingram_app.domain.ledger import Of
from ingram_app.domain.paging import Place
from ingram_app.domain.periods import Period

_PAGE = Place(limit=200)
_OF: dict[Scope, Of] = {Scope.agent: "agent", Scope.smith: "smith", Scope.customer: "customer"}
_ACTIONS = {"warn": "tells", "degrade": "asks the cheaper model", "block": "asks no model"}


@dataclass
class BudgetRow:
    id: str
    whose: str
    made_by: str
    """Below the project: the model calls that it was spent on."""
    spent: str
    limit: str
    reserved: str
    """Empty when nothing is held back."""
    period: str
    action: str
    state: str
    pct: str
    width: str
    held: str
    marks: list[str]
    """Where the limit and the thresholds stand, as the bar's widths are."""
    kept: dict[str, str]
    """What stands in its form."""

    @classmethod
    def of(cls, status: Status, names: dict[str, str]) -> "BudgetRow":
        budget = status.budget
        whole = max(100.0, status.pct, *budget.thresholds) if budget.thresholds else max(100.0, status.pct)
        held = status.reserved_micros * 100 / budget.limit_micros
        return cls(
            id=budget.id,
            whose=names.get(budget.scope_id, budget.scope_id),
            made_by=_made_by(status),
            spent=money(status.spent_micros),
            limit=money(budget.limit_micros),
            reserved=money(status.reserved_micros) if status.reserved_micros else "",
            period=status.period_key,
            action=_ACTIONS[budget.action],
            state=_state(status),
            pct=f"{status.pct:,.0f} %",
            width=_share(status.pct, whole),
            held=_share(min(held, whole - status.pct), whole),
            marks=[_share(mark, whole) for mark in sorted({*budget.thresholds, 100}) if mark < whole],
            kept=budget_form.stands(budget),
        )


class Budgets(rx.State):
    rows: list[BudgetRow] = []
    agents: list[Choice] = []
    chosen: str = ""
    """The budget that a dialog is about."""
    whose: str = ""
    kept: dict[str, str] = budget_form.BLANK
    errors: dict[str, str] = {}
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the budgets and how they stand."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            found = (await budgets.browse(session, caller, _PAGE)).data
            stands = await budgets.statuses(session, caller, found)
            known = (await agents.browse(session, caller, _PAGE)).data
            names = await _names(session, caller, found)
        names |= {agent.id: f"Agent {agent.name}" for agent in known} | {caller.project_id: "The whole project"}
        self.rows = [BudgetRow.of(status, names) for status in stands]
        self.agents = [Choice(agent.id, agent.name) for agent in known]
        self.errors, self.loaded = {}, True

    @rx.event
    async def create(self, form: dict[str, Any]):
        """Set a budget."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                await budgets.create(session, caller, **budget_form.whose(form), **budget_form.terms(form))
        except (Invalid, Conflict, NotFound) as error:
            self.errors = budget_form.told(error, form)
            return None
        return [close_dialog("new-budget"), Budgets.load]

    @rx.event
    async def choose(self, budget_id: str, dialog: str):
        """Open a dialog about a budget."""
        await standing(self)
        row = next((row for row in self.rows if row.id == budget_id), None)
        if row is None:
            return None
        self.chosen, self.whose, self.kept, self.errors = row.id, row.whose, row.kept, {}
        return open_dialog("budget" if dialog == "edit" else "remove-budget")

    @rx.event
    async def change(self, form: dict[str, Any]):
        """Change what the chosen budget allows."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                await budgets.change(session, caller, self.chosen, budget_form.terms(form))
        except Invalid as error:
            self.errors = budget_form.told(error, form)
            return None
        return [close_dialog("budget"), Budgets.load]

    @rx.event
    async def remove(self):
        """Take the chosen budget off."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await budgets.remove(session, caller, self.chosen)
        return [Budgets.load, rx.toast.success("Nothing is held back by it any more.")]


async def _names(session: AsyncSession, caller: Caller, found: Sequence[Budget]) -> dict[str, str]:
    """Return how smiths and customers that have budgets are called."""
    known = await smiths.known(session, caller, [budget.scope_id for budget in found if budget.scope is Scope.smith])
    called = {id: f"Smith {smith.display_name or smith.external_id or id}" for id, smith in known.items()}
    of_customers = [budget.scope_id for budget in found if budget.scope is Scope.customer]
    named = await customers.known(session, caller, of_customers)
    return called | {id: f"Customer {customer.name}" for id, customer in named.items()}


def _made_by(status: Status) -> str:
    budget, start = status.budget, status.period_start
    period = Period(start.date(), budget.period.end(start).date())
    return made_of.calls(period, {_OF[budget.scope]: budget.scope_id} if budget.scope in _OF else {})


def _state(status: Status) -> str:
    if status.over:
        return "used up"
    return "nearly used up" if any(status.pct >= one for one in status.budget.thresholds) else "active"


def _share(pct: float, whole: float) -> str:
    return f"{max(0.0, pct) * 100 / whole:.2f}%"


def budgets_section() -> rx.Component:
    """The budgets with their dialogs; the page they are on loads them with `Budgets.load`."""
    new = rx.cond(Session.manages, button("New budget", icon="plus", kind="main", opens="new-budget"))
    return rx.fragment(
        section(
            "Budgets",
            "What may be spent on models in a day, a week or a month, and what happens when it is.",
            rx.cond(Budgets.rows.length() > 0, rx.el.div(new, class_name="inline")),
            list_table(
                ["For", "Spent", "Used", "Period", "Then", ""],
                Budgets.rows,
                _cells,
                label="Budgets",
                loaded=Budgets.loaded,
                empty=empty(
                    "No budgets yet",
                    "A budget tells you in time, has a cheaper model asked, or stops, before the bill is a surprise.",
                    new,
                    curl=example(),
                ),
            ),
        ),
        budget_form.new(Budgets.agents, Budgets.errors, Budgets.create),
        budget_form.edit(Budgets.whose, Budgets.kept, Budgets.errors, Budgets.change),
        confirm(
            "remove-budget",
            f"Take off the budget: {Budgets.whose}",
            "It holds nothing back any more, from the next model call on. What was spent stays in the usage.",
            deed="Take it off",
            on_confirm=Budgets.remove,
        ),
    )


def example() -> rx.Var[str]:
    """Return the call that sets a budget."""
    return curl("POST", Session.address, "/v1/budgets", '{"scope": "tenant", "limit": 25, "action": "block"}')


def _cells(row: BudgetRow) -> list[Any]:
    bar = rx.el.div(
        rx.el.span(class_name="bar spent", style={"width": row.width}),
        rx.el.span(class_name="bar held", style={"left": row.width, "width": row.held}),
        rx.foreach(row.marks, lambda mark: rx.el.span(class_name="mark", style={"left": mark})),
        class_name=f"budget-bar {rx.match(row.state, ('used up', 'red'), ('nearly used up', 'amber'), 'green')}",
        aria_hidden="true",
    )
    amounts = rx.el.span(
        link(row.spent, href=f"/p/{Session.project_id}{row.made_by}", aria_label=f"{row.spent}: what it was spent on"),
        f" of {row.limit}",
        rx.cond(row.reserved != "", rx.el.span(f", {row.reserved} on its way", class_name="muted")),
        class_name="budget-spent",
    )
    deeds = rx.el.span(
        button("Edit", aria_label=f"Edit {row.whose}", on_click=Budgets.choose(row.id, "edit")),
        button("Take off", aria_label=f"Take off {row.whose}", on_click=Budgets.choose(row.id, "remove")),
        class_name="budget-deeds",
    )
    return [
        rx.el.span(row.whose, class_name="budget-for"),
        amounts,
        rx.el.span(bar, rx.el.span(row.pct, class_name="muted budget-pct"), badge(row.state), class_name="budget-used"),
        rx.el.span(row.period, class_name="row"),
        row.action,
        rx.cond(Session.manages, deeds),
    ]
