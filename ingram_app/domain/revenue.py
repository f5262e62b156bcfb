"""Revenue: what each customer used in a month, what that cost the project, and what it charges for it at its rates.

All sums are exact: what all customers and the unassigned smiths used is what the project used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import execute
from ingram_app.domain import customers, meters, rates
from ingram_app.domain.access import Caller
from ingram_app.domain.customers import UNASSIGNED
from ingram_app.domain.rates import Month, RateCard

CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a statement."""

    what: str
    quantity: Decimal
    cost_micros: int
    """What it cost the project: model calls alone cost it something here."""
    unit_price_micros: int | None
    """Null where the price is a share of the cost."""
    price_micros: int
    of: Literal["calls", "runs", "meter"] = "meter"
    percent: int | None = None
    """What is charged, in percent of the cost, where the price is a share of it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a customer used in a month, and what it is charged; of nobody: what smiths used that were unassigned."""

    customer_id: str | None
    month: Month
    runs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    lines: list[Line] = field(default_factory=list)

    @property
    def cost_micros(self) -> int:
        return sum(line.cost_micros for line in self.lines)

    @property
    def price_micros(self) -> int:
        return sum(line.price_micros for line in self.lines)

    @property
    def margin_micros(self) -> int:
        return self.price_micros - self.cost_micros


Used = tuple[int, int, int, int]
"""Runs, input tokens, output tokens, cost in micros."""

_MEASURES = ("runs", "input_tokens", "output_tokens", "cost_micros")
_SUMMED = ", ".join(f"sum({name})::bigint" for name in _MEASURES)
_NAMED = ", ".join(_MEASURES)
_USED = text(
    "with folded as (select coalesce((select position from usage_folds where project_id = :project_id), 0) as position)"
    f" select nullif(customer_id, ''), {_SUMMED} from ("
    f" select customer_id, {_NAMED} from usage_sums where project_id = :project_id and grain = 'day'"
    " and starts >= :first and starts < :next union all"
    f" select coalesce(customer_id, ''), {_NAMED} from model_calls where project_id = :project_id"
    " and position >= (select position from folded) and at >= :since and at < :until"
    ") used where cast(:customer_id as varchar) is null or customer_id = :customer_id group by 1"
)


async def of_month(session: AsyncSession, caller: Caller, month: Month) -> list[Statement]:
    """Return the statement of everyone who used something in a month, the dearest first; nobody's is the last."""
    made = await _statements(session, caller, month, None)
    return sorted(made, key=lambda one: (one.customer_id is None, -one.price_micros, one.customer_id or ""))


async def statement(session: AsyncSession, caller: Caller, customer_id: str, month: Month) -> Statement:
    """Return a customer's statement, also an archived one's. Raises `NotFound`."""
    await customers.find(session, caller, customer_id, archived=True)
    found = await _statements(session, caller, month, customer_id)
    return found[0] if found else Statement(customer_id, month)


async def _statements(session: AsyncSession, caller: Caller, month: Month, customer_id: str | None) -> list[Statement]:
    customers.require(caller, "customers:read")
    caller.require("usage:read")
    card = await rates.find(session, caller, month)
    asked: dict[str, Any] = {
        "project_id": caller.project_id,
        "customer_id": customer_id,
        "first": month.first,
        "next": month.next.first,
        "since": month.since,
        "until": month.until,
    }
    used: dict[str | None, Used] = {row[0]: tuple(row[1:]) for row in (await execute(session, _USED, asked)).all()}
    counted: dict[str | None, dict[str, Decimal]] = {}
    for one in await meters.sums(
        session, caller, month.since, month.until, group_by="customer", customer_id=customer_id
    ):
        whose = None if one.group is None or one.group.startswith(UNASSIGNED) else one.group
        by_meter = counted.setdefault(whose, {})
        by_meter[one.meter] = by_meter.get(one.meter, Decimal(0)) + one.quantity
    return [
        _made(card, whose, month, used.get(whose, (0, 0, 0, 0)), counted.get(whose, {}))
        for whose in {**used, **counted}
    ]


def _made(card: RateCard, customer_id: str | None, month: Month, used: Used, counted: dict[str, Decimal]) -> Statement:
    runs, into, out, cost = used
    charged, share = card.of_model_cost(cost), card.model_cost_percent
    lines = [
        Line("Model calls, in tokens", Decimal(into + out), cost, None, charged, of="calls", percent=share),
        Line("Runs", Decimal(runs), 0, card.run_price_micros, card.of_runs(runs), of="runs"),
    ]
    for meter, quantity in sorted(counted.items()):
        price = card.meter_prices_micros.get(meter, 0)
        lines.append(Line(meter, quantity, 0, price, card.of_meter(meter, quantity)))
    if customer_id is None:
        lines = [replace(one, price_micros=0) for one in lines]
    return Statement(customer_id, month, runs, into, out, [line for line in lines if line.quantity or line.cost_micros])


def total(statements: Sequence[Statement], month: Month) -> Statement:
    """Return the sum of statements, without their lines' names."""
    runs, into, out = (sum(getattr(one, name) for one in statements) for name in _MEASURES[:3])
    lines = [Line("All", Decimal(0), one.cost_micros, None, one.price_micros) for one in statements]
    return Statement(None, month, runs, into, out, lines)
