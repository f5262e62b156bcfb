"""Rates: what the project charges its customers, as one card."""

from typing import Any

import reflex as rx

from ingram_app.console.dialogs import code_button, code_drawer, curl
from ingram_app.console.figures import micros, whole
from ingram_app.console.looks import alert, field, guarded, head, kept, save_bar, skeleton
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import rates
from ingram_app.domain.meters import is_meter
from ingram_app.domain.rates import RateCard
from ingram_app.gateways.prices import dollars

_FORM = "rates-form"


class NoRates(Invalid):
    """{why}"""


class Rates(rx.State):
    percent: str = ""
    run_price: str = ""
    meters: str = ""
    since: str = ""
    """The first month that the card holds for; empty where none was set."""
    error: str = ""
    revision: int = 0
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the card that holds now."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            card = await rates.find(session, caller, rates.month_of(None))
            self._show(card, is_set=card in session)

    @rx.event
    async def keep(self, form: dict[str, Any]):
        """Charge so from this month on."""
        caller = await standing(self)
        try:
            asked = _asked(form)
            async with transaction(caller.tenancy) as session:
                self._show(await rates.put(session, caller, **asked), is_set=True)
        except Invalid as error:
            self.error = error.sentence
            return None
        return [kept(_FORM), rx.toast.success("Saved.")]

    def _show(self, card: RateCard, *, is_set: bool) -> None:
        self.percent, self.run_price = str(card.model_cost_percent), dollars(card.run_price_micros)
        prices = sorted(card.meter_prices_micros.items())
        self.meters = "\n".join(f"{meter} {dollars(price)}" for meter, price in prices)
        self.since = f"{card.month:%B %Y}" if is_set else ""
        self.error, self.loaded, self.revision = "", True, self.revision + 1


def _asked(form: dict[str, Any]) -> dict[str, Any]:
    """Return what the form says, as the verb takes it. Raises `NoRates`."""
    percent = whole(str(form.get("percent", "")).strip())
    if percent is None:
        raise NoRates(why="The share of the model cost is a whole number of percent.")
    prices: dict[str, int] = {}
    for line in str(form.get("meters", "")).splitlines():
        if not line.strip():
            continue
        meter, _, price = line.strip().partition(" ")
        if not is_meter(meter) or meter in prices:
            raise NoRates(why=f"“{line.strip()[:80]}” names no meter, or one that has a price already.")
        prices[meter] = _price(price)
    run_price = _price(str(form.get("run_price", "")))
    return {"model_cost_percent": percent, "run_price_micros": run_price, "meter_prices_micros": prices}


def _price(said: str) -> int:
    """Return a price in micro-units; empty is none. Raises `NoRates`."""
    price = micros(said.strip() or "0")
    if price is None or price > rates.MOST_MICROS:
        raise NoRates(why=f"“{said.strip()[:40]}” is no price: from 0, with at most six digits behind the point.")
    return price


@page("/p/[project]/rates", title="Rates", on_load=Rates.load)
def rates_page() -> rx.Component:
    body = '{"model_cost_percent": 130, "run_price_micros": 0, "meter_prices_micros": {"pages": 20000}}'
    return rx.fragment(
        head(
            "Rates",
            "What you charge your customers. A change holds from the first of this month (UTC); months that are over "
            "keep the rates they had.",
            code_button(),
        ),
        rx.cond(Rates.loaded, _form(), skeleton()),
        code_drawer(
            ("Set the rates", curl("PUT", Session.address, "/v1/tenant/rates", body)),
            ("Show them", curl("GET", Session.address, "/v1/tenant/rates")),
        ),
    )


def _since() -> tuple[rx.Component, str]:
    since = rx.fragment("These hold since ", rx.el.strong(Rates.since), ".")
    return since, "No rates are set yet. Until then you charge what model calls cost."


def _form() -> rx.Component:
    return guarded(
        _FORM,
        rx.el.fieldset(
            field(
                "percent",
                "Model calls, in percent of what they cost",
                help="130 charges the cost and 30 % on top. The sum of a customer and month is rounded to the nearest "
                "millionth, half up.",
                default_value=Rates.percent,
                input_mode="numeric",
                required=True,
            ),
            field(
                "run_price",
                "Each run, in US dollars",
                help="Beside what its model calls are charged.",
                default_value=Rates.run_price,
                input_mode="decimal",
            ),
            field(
                "meters",
                "Meters",
                kind="area",
                help="One a line: its name, a space, and the price of a unit in US dollars, such as: pages 0.02",
                default_value=Rates.meters,
                class_name="input mono",
                rows=6,
                spell_check=False,
            ),
            alert(Rates.error),
            rx.el.p(rx.cond(Rates.since != "", *_since()), class_name="muted small"),
            disabled=~Session.builds,
            class_name="stack narrow",
        ),
        save_bar(),
        on_submit=Rates.keep,
        key=Rates.revision,
    )
