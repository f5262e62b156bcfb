"""One customer: its month as an invoice would show it, its smiths, and what Stripe was told."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import reflex as rx

from ingram_app.console import customer_form, customer_pushes, customer_smiths, made_of, months
from ingram_app.console.address import asked, is_at, named, or_not_here
from ingram_app.console.customers import USED, export, signed
from ingram_app.console.dialogs import close_dialog, code_button, code_drawer, confirm_by_name, curl, form_dialog
from ingram_app.console.figures import counted, moment, money
from ingram_app.console.lists import cell, led
from ingram_app.console.looks import button, facts, link, one_thing, relative_time, skeleton
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import customers, revenue
from ingram_app.domain.customers import Customer
from ingram_app.domain.ledger import Of
from ingram_app.domain.revenue import Line, Statement

_COLUMNS = ("What", "Quantity#", "Unit price#", "Cost#", "Price#")
_VIEWS = [("", "Month"), ("smiths", "Smiths"), ("pushes", "Stripe")]


@dataclass
class LineRow:
    what: str
    quantity: str
    unit: str
    cost: str
    price: str
    made_of: str
    """Where the model calls are that it counts, below the project; empty for a meter."""

    @classmethod
    def of(cls, line: Line, made_of: str) -> "LineRow":
        unit = f"{line.percent} % of the cost" if line.unit_price_micros is None else money(line.unit_price_micros)
        cost = money(line.cost_micros) if line.cost_micros else "–"
        return cls(line.what, figure(line.quantity), unit, cost, money(line.price_micros), made_of)


def figure(quantity: Decimal) -> str:
    """Write a quantity with all the digits it has."""
    return f"{quantity.normalize():,f}"


class CustomerPage(rx.State):
    id: str = ""
    name: str = ""
    at_stripe: str = ""
    others: str = ""
    created: str = ""
    changed: str = ""
    archived: str = ""
    smiths: int = 0
    tab: str = ""
    month: str = ""
    month_words: str = ""
    before: str = ""
    after: str = ""
    lines: list[LineRow] = []
    cost: str = ""
    made_of: str = ""
    """Where the model calls are that it is made of, below the project."""
    price: str = ""
    margin: str = ""
    loss: str = ""
    """What archiving it ends."""
    errors: dict[str, str] = {}
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the customer, and its month that the address asks for."""
        caller = await standing(self)
        wanted, month = named(self, "customers"), months.of(self)
        with or_not_here("customer"):
            async with transaction(caller.tenancy) as session:
                customer = await customers.find(session, caller, wanted, archived=True)
                counts = await customers.smith_counts(session, caller, [wanted])
                statement = await revenue.statement(session, caller, wanted, month)
        self.tab, self.smiths = asked(self, "tab"), counts[wanted]
        self._show(customer)
        self._bill(statement)

    @rx.event
    async def change(self, form: dict[str, Any]):
        """Keep its name and external ids."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                changes = customer_form.asked_for(form)
                customer = await customers.change(session, caller, named(self, "customers"), changes)
        except Invalid as error:
            self.errors = customer_form.told(error)
            return None
        self._show(customer)
        return [close_dialog("edit-customer"), rx.toast.success("Saved.")]

    @rx.event
    async def archive(self, form: dict[str, Any]):
        """Take it out of use, if its name was typed."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            customer = await customers.find(session, caller, named(self, "customers"))
            if form.get("name") != customer.name:
                return rx.toast.error("That is not its name. Nothing was archived.")
            left = await customers.archive(session, caller, customer.id)
        said = f"Archived. {counted(left, 'smith')} left unassigned."
        return [rx.redirect(f"/p/{caller.project_id}/customers"), rx.toast.success(said)]

    def _show(self, customer: Customer) -> None:
        self.id, self.name, self.at_stripe = customer.id, customer.name, customer.at_stripe or ""
        self.others = customer_form.spelt(customer.external_ids)
        self.created, self.changed = moment(customer.created_at), moment(customer.updated_at)
        self.archived = moment(customer.archived_at)
        self.loss = (
            f"{counted(self.smiths, 'smith')} will be assigned to nobody from then on. What they have used until then "
            "stays with the customer and on its statements."
        )
        self.errors, self.loaded = {}, True

    def _bill(self, statement: Statement) -> None:
        month = statement.month
        self.month, self.month_words = str(month), months.words(month)
        self.before, self.after = str(month.before), months.after(month)
        whose: dict[Of, str] = {"customer": self.id}
        days = months.days(month)
        self.made_of = made_of.calls(days, whose)
        led_to = {"calls": self.made_of, "runs": made_of.calls(days, whose, firsts=True), "meter": ""}
        self.lines = [LineRow.of(line, led_to[line.of]) for line in statement.lines]
        self.cost, self.price = money(statement.cost_micros), money(statement.price_micros)
        self.margin = signed(statement.margin_micros)


@page(
    "/p/[project]/customers/[customer_id]",
    title="Customer",
    on_load=[
        CustomerPage.load,
        customer_smiths.CustomerSmiths.load,
        customer_pushes.CustomerPushes.load,
        customer_pushes.CustomerPushes.watch,
    ],
)
def customer_page() -> rx.Component:
    body = rx.match(
        CustomerPage.tab,
        ("smiths", customer_smiths.part(CustomerPage.archived == "", CustomerPage.load)),
        ("pushes", customer_pushes.part()),
        _month(),
    )
    return rx.cond(
        CustomerPage.loaded & is_at(CustomerPage.id), rx.fragment(_top(), _facts(), body, _dialogs()), skeleton()
    )


def _top() -> rx.Component:
    deeds = rx.fragment(
        button("Edit", opens="edit-customer"), button("Archive", kind="danger", opens="archive-customer")
    )
    return rx.el.div(
        link("Customers", href=f"/p/{Session.project_id}/customers", class_name="crumb"),
        one_thing(
            CustomerPage.name,
            CustomerPage.id,
            code_button(),
            rx.cond(Session.builds & (CustomerPage.archived == ""), deeds),
            status=rx.cond(CustomerPage.archived == "", "active", "archived"),
            views=_VIEWS,
            current=CustomerPage.tab,
        ),
    )


def _facts() -> rx.Component:
    return rx.el.div(
        facts(
            ("Smiths", CustomerPage.smiths),
            ("At Stripe", rx.cond(CustomerPage.at_stripe != "", rx.el.code(CustomerPage.at_stripe), "–")),
            ("Created", relative_time(CustomerPage.created)),
            ("Archived", relative_time(CustomerPage.archived)),
        ),
        class_name="across",
    )


def _month() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            months.bar(CustomerPage.month_words, CustomerPage.before, CustomerPage.after),
            export(CustomerPage.month, CustomerPage.id),
            class_name="filters",
        ),
        rx.cond(
            CustomerPage.lines.length() > 0,
            _statement(),
            rx.el.p("Nothing was used in this month.", class_name="muted none-match"),
        ),
        class_name="stack",
    )


def _statement() -> rx.Component:
    heads = ((name.rstrip("#"), "number" if name.endswith("#") else "") for name in _COLUMNS)
    total = rx.el.tr(
        cell("", rx.el.strong("Total")),
        rx.el.td(),
        rx.el.td(),
        cell("Cost#", led(CustomerPage.cost, CustomerPage.made_of, "in all")),
        cell("Price#", CustomerPage.price),
    )
    margin = rx.el.tr(rx.el.td(rx.el.strong("Margin"), col_span=4), cell("In all#", CustomerPage.margin))
    table = rx.el.table(
        rx.el.thead(rx.el.tr(*(rx.el.th(name, scope="col", class_name=kind) for name, kind in heads))),
        rx.el.tbody(rx.foreach(CustomerPage.lines, _line)),
        rx.el.tfoot(total, margin),
        aria_label="Statement",
        class_name="list",
    )
    return rx.el.div(table, class_name="table-wrap", tab_index=0, role="region", aria_label="Statement")


def _line(row: LineRow) -> rx.Component:
    quantity = rx.cond(row.made_of != "", led(row.quantity, row.made_of, row.what), row.quantity)
    cost = rx.cond(row.cost != "–", led(row.cost, row.made_of, "cost", row.what), row.cost)
    figures = (row.what, quantity, row.unit, cost, row.price)
    return rx.el.tr(*(cell(name, figure) for name, figure in zip(_COLUMNS, figures, strict=True)))


def _dialogs() -> rx.Component:
    path, assigned = f"/v1/customers/{CustomerPage.id}", f'{{"customer_id": "{CustomerPage.id}"}}'
    return rx.fragment(
        form_dialog(
            "edit-customer",
            "Edit the customer",
            "What Stripe was told already stays with the customer that it had there then.",
            rx.el.div(
                customer_form.fields(
                    "edit-customer",
                    CustomerPage.errors,
                    name=CustomerPage.name,
                    at_stripe=CustomerPage.at_stripe,
                    others=CustomerPage.others,
                ),
                key=CustomerPage.changed,
            ),
            deed="Save",
            on_submit=CustomerPage.change,
        ),
        confirm_by_name(
            "archive-customer",
            "Archive this customer",
            CustomerPage.loss,
            name=CustomerPage.name,
            deed="Archive",
            on_confirm=CustomerPage.archive,
        ),
        code_drawer(
            ("Its month, line by line", curl("GET", Session.address, f"{path}/statement?month={CustomerPage.month}")),
            ("Assign a smith", curl("PATCH", Session.address, "/v1/smiths/$SMITH", assigned)),
            ("Count something beside tokens", curl("POST", Session.address, "/v1/usage/events", USED)),
            ("What Stripe was told", curl("GET", Session.address, f"{path}/pushes")),
            ("Send again what is dead", curl("POST", Session.address, f"{path}/pushes/retry")),
        ),
    )
