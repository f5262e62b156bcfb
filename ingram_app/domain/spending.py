"""Spending: what runs do with budgets. A model call is admitted and its price held back before it is made; what it
really cost is counted together with its answer.

What is held back stands on the run's row and counts while the run is carried: a carrier that dies holds nothing back.
Budgets are locked last, in the order of their ids. A project without budgets pays nothing for them.
"""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic_ai.usage import RequestUsage
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import execute
from ingram_app.core.errors import PaymentRequired
from ingram_app.domain import access, budgets
from ingram_app.domain.budgets import RESERVED, Action, Budget, Period
from ingram_app.gateways import prices
from ingram_app.gateways.prices import Price

ANSWER_TOKENS = 1000
"""As long an answer is taken to be, unless the design says that it is shorter."""
ANY = "exists (select from budgets where budgets.project_id = :project_id)"
"""Whether the project has budgets, for statements that a carrier makes anyway."""
BY_NOW = "has_budgets(:project_id)"
"""The same where something is kept that has been spent: a budget that is being made waits for it, or it for the budget.
It looks later than the statement it stands in."""


@dataclass(frozen=True, slots=True)
class Spender:
    """A run that is about to ask a model, and whose spending it is."""

    run_id: str
    project_id: str
    agent_id: str
    smith_id: str
    customer_id: str | None


class BudgetExceeded(PaymentRequired):
    """The {period} budget {budget_id} is used up: no model is asked. It holds until {until}, unless its limit is
    raised."""


def _of(*ids: str) -> str:
    """Return how budgets `b` are joined that count for this project, agent, smith and customer."""
    return (
        f"unnest(array['tenant', 'agent', 'smith', 'customer'], array[{', '.join(ids)}]::text[]) as whose(scope, id)"
        f" join budgets b on b.project_id = {ids[0]} and b.scope = whose.scope and b.scope_id = whose.id"
    )


_START = (
    "date_trunc(case b.period when 'daily' then 'day' when 'weekly' then 'week' else 'month' end,"
    " clock_timestamp(), 'UTC')"
)
_HOLD = text(
    f"select b.id, b.limit_micros, b.action, b.period, case when b.period_start >= {_START} then b.spent_micros else 0"
    f" end from {_of(':project_id', ':agent_id', ':smith_id', ':customer_id')} where b.action <> 'warn'"
    " order by b.id for no key update of b"
)
_SEE = text("select set_config('app.smith_id', :smith_id, true)")
_COUNT = text(
    f"with due as (select b.id, {_START} as start from (select :project_id as project_id) p"
    " left join runs r on r.project_id = p.project_id and r.id = cast(:run_id as varchar)"
    " left join smiths s on s.project_id = p.project_id and s.id = coalesce(r.smith_id, cast(:smith_id as varchar))"
    f" cross join lateral {_of('p.project_id', 'coalesce(r.agent_id, :agent_id)', 's.id', 's.customer_id')}"
    " order by b.id for no key update of b)"
    " update budgets b set period_start = greatest(b.period_start, due.start),"
    " spent_micros = :micros + case when b.period_start >= due.start then b.spent_micros else 0 end,"
    " told = case when b.period_start >= due.start then b.told else '[]' end from due where b.id = due.id"
    " returning b.id, exists (select from jsonb_array_elements(b.thresholds) one"
    " where one::bigint * b.limit_micros <= b.spent_micros * 100 and not b.told @> one)"
)


async def admit(session: AsyncSession, spender: Spender, *, sees: str = "") -> str | None:
    """Hold the budgets of a run that is about to ask a model; return the one, if any, that asks for a cheaper model.

    `sees` is the one smith that the transaction may see: what other smiths' runs hold back counts all the same.
    Raises `BudgetExceeded`.
    """
    held = (await execute(session, _HOLD, asdict(spender))).all()
    if not held:
        return None
    known = {"project_id": spender.project_id, "ids": [row[0] for row in held], "but": spender.run_id}
    if sees:
        await execute(session, _SEE, {"smith_id": ""})
    reserved = {row[0]: row[1] for row in (await execute(session, RESERVED, known)).all()}
    if sees:
        await execute(session, _SEE, {"smith_id": sees})
    used_up = [row for row in held if row[4] + reserved[row[0]] >= row[1]]
    for budget_id, _, action, kind, _ in used_up:
        if action == Action.block:
            period = Period(kind)
            until = period.end(period.start(now())).isoformat()
            raise BudgetExceeded(period=period, budget_id=budget_id, until=until)
    return used_up[0][0] if used_up else None


async def count(
    session: AsyncSession,
    project_id: str,
    micros: int,
    *,
    run_id: str | None = None,
    smith_id: str | None = None,
    agent_id: str | None = None,
) -> None:
    """Count what a run has spent, or a smith and agent beside its runs, in the transaction that keeps what it got for
    it. What a smith spent that has been erased is its agent's and the project's.

    The events of thresholds that it reaches are part of that transaction too.
    """
    if not micros:
        return
    spent = {"project_id": project_id, "run_id": run_id, "smith_id": smith_id, "agent_id": agent_id, "micros": micros}
    reached = [row[0] for row in (await execute(session, _COUNT, spent)).all() if row[1]]
    if reached:
        query = select(Budget).where(Budget.project_id == project_id, col(Budget.id).in_(reached)).order_by(Budget.id)
        held = (await session.exec(query.execution_options(populate_existing=True))).all()
        await budgets.tell_reached(session, access.platform(project_id), held)


def estimate(model: str, tokens: int, settings: dict[str, Any], own: Price | None = None) -> int:
    """Return what asking a model that many tokens will cost, in micros, with an answer of usual length.

    The project's `own` price goes before the list's. A model whose price is not known counts as one that is free.
    """
    answer = min(settings.get("max_tokens") or ANSWER_TOKENS, ANSWER_TOKENS)
    return prices.cost_micros(model, RequestUsage(input_tokens=tokens, output_tokens=answer), own) or 0
