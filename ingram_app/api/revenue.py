"""/v1/tenant/revenue and customers' statements: what was used in a month, what it cost, what is charged for it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Query, Response

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.meters import Quantity
from ingram_app.api.shapes import Out
from ingram_app.api.spreadsheets import spelt
from ingram_app.domain import customers, rates, revenue
from ingram_app.domain.revenue import CURRENCY, Statement

router = APIRouter(tags=["customers"], route_class=Route)
AskedMonth = Annotated[str | None, Query(examples=["2026-11"], description="The current one, when none is named.")]
COLUMNS = ("customer_id", "customer", "month", "line", "quantity", "unit_price_micros", "cost_micros", "price_micros")


class LineOut(Out):
    what: str
    quantity: Quantity
    cost_micros: int
    """Millionths of the currency, as all money here."""
    unit_price_micros: int | None
    """Null where the price is a share of the cost."""
    price_micros: int


class SumsOut(Out):
    run_count: int
    input_tokens: int
    output_tokens: int
    cost_micros: int
    """What the project pays for it."""
    price_micros: int
    """What it charges at its rates."""
    margin_micros: int

    @classmethod
    def of(cls, one: Statement, **more: Any) -> Self:
        money = {name: getattr(one, name) for name in ("cost_micros", "price_micros", "margin_micros")}
        return cls(run_count=one.runs, input_tokens=one.input_tokens, output_tokens=one.output_tokens, **money, **more)


class CustomerSumsOut(SumsOut):
    customer_id: str | None
    """Null for what smiths used that were unassigned; it is charged to nobody."""


class RevenueOut(Out):
    month: str
    currency: str = CURRENCY
    totals: SumsOut
    data: list[CustomerSumsOut]


class StatementOut(CustomerSumsOut):
    month: str
    currency: str = CURRENCY
    lines: list[LineOut]


@router.get("/tenant/revenue", response_model=RevenueOut)
async def get_revenue(caller: Caller, session: InTransaction, month: AskedMonth = None) -> RevenueOut:
    """Show what each customer used in a month, what it cost and what is charged; the dearest first."""
    wanted = rates.month_of(month)
    found = await revenue.of_month(session, caller, wanted)
    data = [CustomerSumsOut.of(one, customer_id=one.customer_id) for one in found]
    return RevenueOut(month=str(wanted), totals=SumsOut.of(revenue.total(found, wanted)), data=data)


@router.get("/customers/{customer_id}/statement", response_model=StatementOut)
async def get_statement(
    customer_id: str,
    caller: Caller,
    session: InTransaction,
    month: AskedMonth = None,
    format: Literal["json", "csv"] = "json",
) -> StatementOut | Response:
    """Show a customer's month line by line, as an invoice would; also that of an archived customer."""
    wanted = rates.month_of(month)
    found = await revenue.statement(session, caller, customer_id, wanted)
    if format == "csv":
        name = (await customers.find(session, caller, customer_id, archived=True)).name
        return as_csv([found], {customer_id: name}, f"revenue-{wanted}")
    lines = [LineOut.model_validate(line) for line in found.lines]
    return StatementOut.of(found, customer_id=customer_id, month=str(wanted), lines=lines)


def as_csv(statements: Sequence[Statement], names: dict[str, str], name: str) -> Response:
    """Return statements as a file for a spreadsheet, a row for each line."""
    rows: list[Sequence[str | int]] = [COLUMNS]
    for one in statements:
        whose = one.customer_id or ""
        for line in one.lines:
            price = "" if line.unit_price_micros is None else line.unit_price_micros
            figures = (format(line.quantity.normalize(), "f"), price, line.cost_micros, line.price_micros)
            rows.append((whose, names.get(whose, ""), str(one.month), line.what, *figures))
    headers = {"content-disposition": f'attachment; filename="{name}.csv"', "cache-control": "no-store"}
    return Response(spelt(rows), media_type="text/csv; charset=utf-8", headers=headers)
