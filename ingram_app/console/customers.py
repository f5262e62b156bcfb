"""Customers: whom the project bills, with what each used in a month, what that cost and what is charged."""

from dataclasses import dataclass
from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console import customer_form, made_of, months
from ingram_app.console.address import asked, place_of
from ingram_app.console.dialogs import close_dialog, code_button, code_drawer, curl, form_dialog
from ingram_app.console.figures import count, money
from ingram_app.console.lists import empty, led, list_table, search
from ingram_app.console.looks import NativeForm, badge, button, facts, head, served
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import customers, revenue
from ingram_app.domain.access import Caller
from ingram_app.domain.customers import Customer
from ingram_app.domain.rates import Month
from ingram_app.domain.revenue import Statement


@dataclass
class CustomerRow:
    id: str
    name: str
    state: str
    smiths: str
    runs: str
    tokens: str
    cost: str
    price: str
    margin: str
    made_of: str
    """Where its model calls are, below the project."""
    counted: str
    """Where those are that began its runs."""


@dataclass
class Total:
    """The month in sum."""

    cost: str
    price: str
    margin: str
    unassigned: str
    """What smiths cost that are assigned to nobody."""
    nobodys: str
    """Where those calls are, below the project."""


class Customers(rx.State):
    rows: list[CustomerRow] = []
    older: str = ""
    month: str = ""
    month_words: str = ""
    before: str = ""
    after: str = ""
    total: Total = Total("", "", "", "", "")
    errors: dict[str, str] = {}
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show a page of customers, each with the month that the address asks for."""
        caller = await standing(self)
        month = months.of(self)
        async with transaction(caller.tenancy) as session:
            found = await customers.browse(session, caller, place_of(self), name_part=asked(self, "name"))
            made = await revenue.of_month(session, caller, month)
            shown = list(found.data)
            if not asked(self, "cursor") and not asked(self, "name"):
                shown += await _archived(session, caller, made)
            counts = await customers.smith_counts(session, caller, [customer.id for customer in shown])
        by_customer = {one.customer_id: one for one in made}
        self.rows = [_row(one, by_customer.get(one.id, Statement(one.id, month)), counts[one.id]) for one in shown]
        self.total = _total(made, month)
        self.month, self.month_words, self.older = str(month), months.words(month), found.next_cursor or ""
        self.before, self.after = str(month.before), months.after(month)
        self.errors, self.loaded = {}, True

    @rx.event
    async def create(self, form: dict[str, Any]):
        """Make a customer and open it."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                made = await customers.create(session, caller, **customer_form.asked_for(form))
        except Invalid as error:
            self.errors = customer_form.told(error)
            return None
        self.errors = {}
        return [close_dialog("new-customer"), rx.redirect(f"/p/{caller.project_id}/customers/{made.id}")]


async def _archived(session: AsyncSession, caller: Caller, made: list[Statement]) -> list[Customer]:
    """Return the archived customers that used something in the month."""
    named = await customers.known(session, caller, [one.customer_id for one in made if one.customer_id])
    return [customer for customer in named.values() if customer.archived_at is not None]


def _row(customer: Customer, used: Statement, smiths: int) -> CustomerRow:
    return CustomerRow(
        id=customer.id,
        name=customer.name,
        state="archived" if customer.archived_at else "",
        smiths=count(smiths),
        runs=count(used.runs),
        tokens=count(used.input_tokens + used.output_tokens),
        cost=money(used.cost_micros),
        price=money(used.price_micros),
        margin=signed(used.margin_micros),
        made_of=made_of.calls(months.days(used.month), {"customer": customer.id}),
        counted=made_of.calls(months.days(used.month), {"customer": customer.id}, firsts=True),
    )


def _total(made: list[Statement], month: Month) -> Total:
    assigned = revenue.total([one for one in made if one.customer_id], month)
    nobodys = revenue.total([one for one in made if not one.customer_id], month)
    return Total(
        money(assigned.cost_micros),
        money(assigned.price_micros),
        signed(assigned.margin_micros),
        money(nobodys.cost_micros),
        made_of.calls(months.days(month), {"customer": ""}),
    )


def signed(micros: int) -> str:
    """Write a sum that may be less than nothing."""
    return f"−{money(-micros)}" if micros < 0 else money(micros)


@page("/p/[project]/customers", title="Customers", on_load=Customers.load)
def customers_page() -> rx.Component:
    make = rx.cond(Session.builds, button("New customer", icon="plus", kind="main", opens="new-customer"))
    call = curl("POST", Session.address, "/v1/customers", '{"name": "Hotel Post"}')
    return rx.fragment(
        head(
            "Customers",
            "Whom you bill for smiths. What a smith uses counts for the customer it is assigned to at that moment.",
            code_button(),
            make,
        ),
        rx.el.div(
            months.bar(Customers.month_words, Customers.before, Customers.after),
            search("name", "Name"),
            export(Customers.month, ""),
            class_name="filters",
        ),
        rx.cond(Customers.loaded, _sums()),
        _table(make, call),
        form_dialog(
            "new-customer",
            "New customer",
            "Smiths are assigned to it on its page, on their own, or by API.",
            customer_form.fields("new-customer", Customers.errors),
            deed="Create customer",
            on_submit=Customers.create,
        ),
        code_drawer(
            ("Make a customer", call),
            ("A month of all of them", curl("GET", Session.address, f"/v1/tenant/revenue?month={Customers.month}")),
            ("Count something beside tokens", curl("POST", Session.address, "/v1/usage/events", USED)),
        ),
    )


USED = '{"smith_id": "$SMITH", "meter": "pages", "quantity": 3, "idempotency_key": "job-7"}'


def export(month: rx.Var[str], customer: rx.Var[str] | str) -> rx.Component:
    """The button that hands out a month as CSV, of all customers or of one."""
    return NativeForm.create(
        rx.el.input(type="hidden", name="month", value=month),
        rx.el.input(type="hidden", name="customer", value=customer),
        button("Export CSV", icon="download", type="submit"),
        action=served(f"/exports/{Session.project_id}/revenue.csv"),
        method="post",
        class_name="bare",
    )


def _sums() -> rx.Component:
    return rx.el.div(
        facts(
            ("Cost", Customers.total.cost),
            ("Price", Customers.total.price),
            ("Margin", Customers.total.margin),
            ("Cost of unassigned smiths", led(Customers.total.unassigned, Customers.total.nobodys)),
        ),
        class_name="across",
    )


def _table(make: rx.Component, call: rx.Var[str]) -> rx.Component:
    nothing = empty(
        "No customers yet",
        "Make one for each firm or person you bill, and assign smiths to it.",
        make,
        curl=call,
    )
    return list_table(
        ["Customer", "Smiths#", "Runs#", "Tokens#", "Cost#", "Price#", "Margin#"],
        Customers.rows,
        _cells,
        label="Customers",
        href=lambda row: f"/p/{Session.project_id}/customers/{row.id}?month={Customers.month}",
        loaded=Customers.loaded,
        older=Customers.older,
        empty=rx.cond(
            rx.State.router.url.query_parameters["name"].is_not_none(),
            rx.el.p("No customer matches.", class_name="muted none-match"),
            nothing,
        ),
    )


def _cells(row: CustomerRow) -> list[Any]:
    return [
        rx.el.span(
            rx.el.span(row.name, class_name="clip wide", title=row.name),
            rx.cond(row.state != "", badge(row.state)),
            class_name="row",
        ),
        row.smiths,
        led(row.runs, row.counted, "runs", row.name),
        led(row.tokens, row.made_of, "tokens", row.name),
        led(row.cost, row.made_of, "cost", row.name),
        row.price,
        row.margin,
    ]
