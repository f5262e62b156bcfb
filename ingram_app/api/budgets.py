"""/v1/budgets: how much may be spent on models, and what happens when it is."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.domain import budgets
from ingram_app.domain.budgets import Action, Budget, Dollars, Period, Scope, Status, Thresholds
from ingram_app.domain.paging import Page

router = APIRouter(prefix="/budgets", tags=["budgets"], route_class=Route)
Limit = Annotated[Dollars, Field(examples=[25])]
Percents = Annotated[Thresholds, Field(examples=[budgets.THRESHOLDS])]


class NewBudget(In):
    scope: Scope
    scope_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Of the agent, smith or customer; left out for the tenant."""
    limit: Limit
    """In US dollars."""
    action: Action = Action.warn
    """What happens at 100 percent: only events; the agent's `cheaper_model` is asked; or no model is."""
    period: Period = Period.monthly
    """In UTC; weeks begin on Monday."""
    thresholds: Percents = budgets.THRESHOLDS
    """Percent of the limit; each is told of by a `budget.threshold` event, once in a period."""


class BudgetChange(In):
    limit: Limit = 1
    action: Action = Action.warn
    period: Period = Period.monthly
    thresholds: Percents = budgets.THRESHOLDS


class BudgetOut(Out):
    id: str
    scope: Scope
    scope_id: str | None
    """Null for the tenant's own."""
    limit: float
    """In US dollars."""
    action: Action
    period: Period
    thresholds: list[int]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, budget: Budget) -> "BudgetOut":
        return cls.model_validate(budget).model_copy(update={"scope_id": budgets.shown_scope_id(budget)})


class StatusOut(BudgetOut):
    period_start: datetime
    period_end: datetime
    period_key: str
    """Which period it is: 2026-11-24, 2026-W48 or 2026-11."""
    spent: float
    """In US dollars."""
    reserved: float
    """What model calls that are on their way will cost, as estimated."""
    pct: float
    """Of the limit, in percent, what is spent."""
    over: bool

    @classmethod
    def stands(cls, status: Status) -> "StatusOut":
        figures = ("period_start", "period_end", "period_key", "spent", "reserved", "pct", "over")
        return cls(
            **BudgetOut.of(status.budget).model_dump(), **{figure: getattr(status, figure) for figure in figures}
        )


@router.post("", status_code=201, response_model=BudgetOut)
async def create_budget(body: NewBudget, caller: Caller, session: InTransaction) -> BudgetOut:
    """Set a budget for the tenant, an agent, a smith or a customer. What was spent in its present period counts."""
    return BudgetOut.of(await budgets.create(session, caller, **body.model_dump()))


@router.get("", response_model=PageOut[BudgetOut])
async def list_budgets(caller: Caller, session: InTransaction, place: Place) -> Page[BudgetOut]:
    """List the budgets, newest first."""
    found = await budgets.browse(session, caller, place)
    return Page([BudgetOut.of(budget) for budget in found.data], found.next_cursor)


@router.get("/{budget_id}", response_model=BudgetOut)
async def get_budget(budget_id: str, caller: Caller, session: InTransaction) -> BudgetOut:
    """Show a budget."""
    return BudgetOut.of(await budgets.find(session, caller, budget_id))


@router.patch("/{budget_id}", response_model=BudgetOut)
async def change_budget(budget_id: str, body: BudgetChange, caller: Caller, session: InTransaction) -> BudgetOut:
    """Change what a budget allows. It holds from the next model call on, also for runs that work already."""
    return BudgetOut.of(await budgets.change(session, caller, budget_id, body.model_dump(exclude_unset=True)))


@router.delete("/{budget_id}", status_code=204)
async def delete_budget(budget_id: str, caller: Caller, session: InTransaction) -> None:
    """Take a budget off."""
    await budgets.remove(session, caller, budget_id)


@router.get("/{budget_id}/status", response_model=StatusOut)
async def get_budget_status(budget_id: str, caller: Caller, session: InTransaction) -> StatusOut:
    """Show what is spent of a budget in the present period."""
    budget = await budgets.find(session, caller, budget_id)
    return StatusOut.stands((await budgets.statuses(session, caller, [budget]))[0])
