"""The project's own prices of models, as a part of the Models page."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import reflex as rx

from ingram_app.console.dialogs import close_dialog, confirm, form_dialog, open_dialog
from ingram_app.console.figures import money
from ingram_app.console.lists import list_table
from ingram_app.console.looks import button, field, section
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import own_prices
from ingram_app.gateways.prices import Price

_KINDS = (
    ("input", "Input", ""),
    ("output", "Output", "Reasoning is output."),
    ("cache_read", "Read from the cache", "Empty: as other input."),
    ("cache_write", "Written to the cache", "Empty: as other input."),
)
_MOST_DOLLARS = 1_000_000


class NotDollars(Invalid):
    """{words} is no price in dollars. It looks like 2.50."""


@dataclass
class PriceRow:
    model: str
    input: str
    output: str
    cache_read: str
    cache_write: str

    @classmethod
    def of(cls, model: str, price: Price) -> "PriceRow":
        return cls(model, *(money(getattr(price, kind)) for kind, *_ in _KINDS))


class Prices(rx.State):
    rows: list[PriceRow] = []
    errors: dict[str, str] = {}
    chosen: str = ""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the project's own prices."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            found = await own_prices.browse(session, caller)
        self.rows = [PriceRow.of(model, price) for model, price in found.items()]
        self.errors, self.loaded = {}, True

    @rx.event
    async def put(self, form: dict[str, Any]):
        """Set the price of a model."""
        caller = await standing(self)
        try:
            price = Price(**{kind: _micros(str(form.get(kind, "")), kind) for kind, *_ in _KINDS})
            async with transaction(caller.tenancy) as session:
                await own_prices.put(session, caller, str(form.get("model", "")).strip(), price)
        except Invalid as error:
            self.errors = {error.param or "model": error.sentence}
            return None
        return [close_dialog("new-price"), Prices.load, rx.toast.success("Calls from now on cost this.")]

    @rx.event
    async def choose(self, model: str):
        """Ask whether a price is to go."""
        await standing(self)
        self.chosen = model
        return open_dialog("remove-price")

    @rx.event
    async def remove(self):
        """Let the price list hold again."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await own_prices.remove(session, caller, self.chosen)
        return [Prices.load, rx.toast.success("The price list holds again.")]


def _micros(words: str, kind: str) -> int | None:
    """Read dollars. Raises `NotDollars`."""
    words = words.strip().removeprefix("$")
    if not words and kind.startswith("cache"):
        return None
    try:
        dollars = Decimal(words)
    except InvalidOperation:
        dollars = Decimal(-1)
    if not (dollars.is_finite() and 0 <= dollars <= _MOST_DOLLARS):
        raise NotDollars(words=repr(words[:40]), param=kind)
    return int(dollars * 1_000_000)


def prices_section() -> rx.Component:
    """The table of the project's own prices, with its dialogs."""
    empty = rx.el.p("Every model costs what the price list says.", class_name="muted none-match")
    columns = ["Model", "Input#", "Output#", "Cache read#", "Cache write#", ""]
    return section(
        "Prices of your own",
        "What a million tokens cost you, where it is not what the price list says. What was spent stays.",
        list_table(columns, Prices.rows, _cells, label="Prices", loaded=Prices.loaded, empty=empty),
        rx.cond(Session.manages, rx.el.div(button("Set a price", icon="plus", opens="new-price"), class_name="row")),
        form_dialog(
            "new-price",
            "Set a price",
            "In US dollars for a million tokens, for calls from now on.",
            field("model", "Model", id="price-model", error=Prices.errors.get("model", ""), required=True,
                  max_length=200, placeholder="test/echo", list="model-ids", auto_complete="off"),
            *(
                field(kind, words, id=f"price-{kind}", help=help, error=Prices.errors.get(kind, ""),
                      input_mode="decimal", required=not kind.startswith("cache"), max_length=20)
                for kind, words, help in _KINDS
            ),
            deed="Set the price",
            on_submit=Prices.put,
        ),
        confirm("remove-price", f"Remove the price of {Prices.chosen}", "From now on the price list holds again.",
                deed="Remove the price", on_confirm=Prices.remove),
    )  # fmt: skip


def _cells(row: PriceRow) -> list[Any]:
    label = f"Remove the price of {row.model}"
    remove = button("Remove", kind="plain danger", on_click=Prices.choose(row.model), aria_label=label)
    deeds = rx.cond(Session.manages, rx.el.div(remove, class_name="row end"))
    return [rx.el.code(row.model), row.input, row.output, row.cache_read, row.cache_write, deeds]
