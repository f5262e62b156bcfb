"""Budgets: how much may be spent on models in a day, a week or a month, and what happens when it is.

One is for the whole project, an agent, a smith or a customer. It counts what has been spent in the period that its row
names, so a new period begins with the first spending in it. What runs do with budgets is in `spending`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field as Shape, ValidationError
from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, alone, execute, one_of
from ingram_app.core.errors import Conflict, Invalid, NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain import agents, audit, customers, event_types, events, smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import NothingToUpdate
from ingram_app.domain.paging import FIRST, Page, Place, page

MICROS = 1_000_000
MOST_DOLLARS = 1_000_000_000
THRESHOLDS = [80, 100]


class Scope(StrEnum):
    tenant = "tenant"
    agent = "agent"
    smith = "smith"
    customer = "customer"


class Action(StrEnum):
    """What happens once a budget is used up."""

    warn = "warn"
    degrade = "degrade"
    """Models are asked that cost less: the agent's `cheaper_model`."""
    block = "block"


class Period(StrEnum):
    """In UTC; weeks begin on Monday."""

    daily = "daily"
    weekly = "weekly"
    monthly = "monthly"

    def start(self, moment: datetime) -> datetime:
        """Return when the period began that a moment is in."""
        day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        match self:
            case Period.daily:
                return day
            case Period.weekly:
                return day - timedelta(days=day.weekday())
        return day.replace(day=1)

    def end(self, start: datetime) -> datetime:
        """Return when the next one begins."""
        return self.start(start + timedelta(days={"daily": 1, "weekly": 7, "monthly": 31}[self]))

    def key(self, start: datetime) -> str:
        """Return its name: 2026-11-24, 2026-W48 or 2026-11."""
        return start.strftime({"daily": "%Y-%m-%d", "weekly": "%G-W%V", "monthly": "%Y-%m"}[self])


def _exact(dollars: float) -> float:
    if round(dollars * MICROS) < 1:
        raise ValueError("it is less than a millionth of a dollar")
    return dollars


Dollars = Annotated[float, Shape(strict=True, gt=0, le=MOST_DOLLARS, allow_inf_nan=False), AfterValidator(_exact)]
Percent = Annotated[int, Shape(strict=True, ge=1, le=1000)]
Thresholds = Annotated[list[Percent], Shape(max_length=10), AfterValidator(lambda given: sorted(set(given)))]


class Terms(BaseModel):
    """What can be said of a budget at any time."""

    model_config = ConfigDict(extra="forbid")

    limit: Dollars
    """In US dollars."""
    action: Action = Action.warn
    period: Period = Period.monthly
    thresholds: Thresholds = THRESHOLDS
    """Percent of the limit; reaching one is told by an event, once in a period."""


class Budget(SQLModel, table=True):
    __tablename__ = "budgets"
    __table_args__ = (
        Index("uq_budgets_scope", "project_id", "scope", "scope_id", unique=True),
        Index("ix_budgets_page", "project_id", "created_at", "id"),
    )

    id: str = Field(default_factory=lambda: new_id("bgt"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    scope: Scope = Field(sa_type=one_of(Scope))
    scope_id: str
    """Of the agent, smith or customer; of the project itself."""
    limit_micros: int = Field(sa_type=sa.BigInteger)
    action: Action = Field(sa_type=one_of(Action))
    period: Period = Field(sa_type=one_of(Period))
    thresholds: list[int] = Field(sa_type=JSONB)
    """Rising."""
    period_start: datetime = Field(sa_type=Moment)
    """Of the period that the following are of. If that is over, nothing has been spent in the present one."""
    spent_micros: int = Field(default=0, sa_type=sa.BigInteger)
    told: list[int] = Field(default_factory=list, sa_type=JSONB)
    """The thresholds that were told of."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)

    @property
    def limit(self) -> float:
        return self.limit_micros / MICROS


@dataclass(frozen=True, slots=True)
class Status:
    """How a budget stands in the present period."""

    budget: Budget
    period_start: datetime
    spent_micros: int
    reserved_micros: int
    """What model calls that are on their way will cost, as estimated."""

    @property
    def period_key(self) -> str:
        return self.budget.period.key(self.period_start)

    @property
    def period_end(self) -> datetime:
        return self.budget.period.end(self.period_start)

    @property
    def spent(self) -> float:
        return self.spent_micros / MICROS

    @property
    def reserved(self) -> float:
        return self.reserved_micros / MICROS

    @property
    def pct(self) -> float:
        return round(self.spent_micros * 100 / self.budget.limit_micros, 2)

    @property
    def over(self) -> bool:
        return self.spent_micros >= self.budget.limit_micros


class BudgetExists(Conflict):
    """There is already a budget of this {scope}: {budget_id}. Change that one."""


class InvalidBudget(Invalid):
    """The field {field} can not be that: {why}."""


class ScopeIdRequired(Invalid):
    """A budget of one {scope} says which: name it as `scope_id`."""


_COUNTS = (
    "b.scope_id = case b.scope when 'tenant' then r.project_id when 'agent' then r.agent_id"
    " when 'smith' then r.smith_id else (select customer_id from smiths where id = r.smith_id) end"
)
"""Whether what a run `r` spends counts for a budget `b` of its project."""
RESERVED = text(
    "select b.id, coalesce((select sum(r.reserved_micros) from runs r where r.project_id = b.project_id"
    " and r.status = 'running' and r.lease_until > clock_timestamp() and r.reserved_micros > 0"
    f" and r.id <> :but and {_COUNTS}), 0)::bigint"
    " from budgets b where b.project_id = :project_id and b.id = any(:ids)"
)
"""What the model calls of runs will cost that work now, but for one run. A carrier that is lost holds nothing back:
its lease ends."""
_MINE = (
    "project_id = :project_id and cast(:scope_id as text) = case :scope when 'tenant' then project_id"
    " when 'agent' then agent_id when 'smith' then smith_id else customer_id end"
)
_SPENT = text(
    "select coalesce(sum(cost_micros), 0)::bigint from ("
    " select cost_micros from usage_sums where grain = case :scope when 'smith' then 'smith_day' else 'day' end"
    f" and starts >= (cast(:since as timestamptz) at time zone 'UTC')::date and {_MINE}"
    " union all select cost_micros from model_calls where position >= coalesce("
    f"(select position from usage_folds where project_id = :project_id), 0) and at >= :since and {_MINE}) as spent"
)
"""The ledger's: its sums, by days as all periods are, and the calls that are not added up yet."""
_HOLD = text("select budgeted from projects where id = :project_id for no key update")
_HAS_ANY = text(
    "update projects set budgeted = exists (select from budgets where project_id = :project_id) where id = :project_id"
)

OF_SMITHS = f"budgets where project_id = :project_id and scope = '{Scope.smith}' and scope_id = any(:whose)"
_ANY_OF_SMITHS = text(f"select from {OF_SMITHS}")
_DELETE_OF_SMITHS = text(f"delete from {OF_SMITHS}")


async def create(
    session: AsyncSession, caller: Caller, scope: str, scope_id: str | None = None, **terms: Any
) -> Budget:
    """Set a budget; what has been spent in its present period counts.

    Raises `InvalidBudget`, `ScopeIdRequired`, `NotFound` for what it is of, `BudgetExists`.
    """
    caller.require("budgets:write")
    agreed = _checked(terms)
    kind, whose = await _whose(session, caller, scope, scope_id)
    await alone(session, f"budgets {caller.project_id}")  # what is being kept now is kept first, what comes sees it
    await execute(session, _HOLD, {"project_id": caller.project_id})
    same = select(Budget.id).where(*_own(caller), Budget.scope == kind, Budget.scope_id == whose)
    if there := (await session.exec(same)).first():
        raise BudgetExists(scope="project" if kind is Scope.tenant else kind.value, budget_id=there)
    budget = Budget(
        project_id=caller.project_id,
        scope=kind,
        scope_id=whose,
        limit_micros=round(agreed.limit * MICROS),
        action=agreed.action,
        period=agreed.period,
        thresholds=agreed.thresholds,
        period_start=agreed.period.start(now()),
    )
    budget.spent_micros = await _spent(session, budget)
    session.add(budget)
    await session.flush()
    await execute(session, _HAS_ANY, {"project_id": caller.project_id})
    await tell_reached(session, caller, [budget])
    await audit.note(session, caller, "budget.created", budget.id, **_told(budget))
    return budget


async def browse(session: AsyncSession, caller: Caller, place: Place = FIRST) -> Page[Budget]:
    """Return the project's budgets, newest first."""
    caller.require("budgets:read")
    return await page(session, select(Budget).where(*_own(caller)), Budget, place)


async def find(session: AsyncSession, caller: Caller, budget_id: str) -> Budget:
    """Return one of the project's budgets. Raises `NotFound`."""
    caller.require("budgets:read")
    return await _one(session, caller, budget_id)


async def statuses(session: AsyncSession, caller: Caller, budgets: Sequence[Budget]) -> list[Status]:
    """Return how budgets of the project stand."""
    caller.require("budgets:read")
    known = {"project_id": caller.project_id, "ids": [budget.id for budget in budgets], "but": ""}
    reserved = {row[0]: row[1] for row in (await execute(session, RESERVED, known)).all()}
    return [_status(budget, reserved.get(budget.id, 0)) for budget in budgets]


async def change(session: AsyncSession, caller: Caller, budget_id: str, changes: dict[str, Any]) -> Budget:
    """Change limit, action, period or thresholds; it holds from the next model call on.

    Raises `NotFound`, `NothingToUpdate`, `InvalidBudget`.
    """
    caller.require("budgets:write")
    if not changes:
        raise NothingToUpdate()
    budget = await _one(session, caller, budget_id, to_change=True)
    before = budget.period
    agreed = _checked(
        {"limit": budget.limit, "action": budget.action, "period": budget.period, "thresholds": budget.thresholds}
        | changes
    )
    if "limit" in changes:
        budget.limit_micros = round(agreed.limit * MICROS)
    budget.action, budget.period, budget.thresholds = agreed.action, agreed.period, agreed.thresholds
    start = budget.period.start(now())
    if budget.period is not before:
        budget.period_start, budget.told = start, []
        budget.spent_micros = await _spent(session, budget)
    elif budget.period_start < start:
        budget.period_start, budget.told, budget.spent_micros = start, [], 0
    budget.updated_at = now()
    await session.flush()
    await tell_reached(session, caller, [budget])
    await audit.note(session, caller, "budget.changed", budget.id, changes=changes)
    return budget


async def remove(session: AsyncSession, caller: Caller, budget_id: str) -> None:
    """Take a budget off. Raises `NotFound`."""
    caller.require("budgets:write")
    await execute(session, _HOLD, {"project_id": caller.project_id})
    budget = await _one(session, caller, budget_id, to_change=True)
    await session.delete(budget)
    await session.flush()
    await execute(session, _HAS_ANY, {"project_id": caller.project_id})
    await audit.note(session, caller, "budget.removed", budget.id, **_told(budget))


async def forget(session: AsyncSession, known: dict[str, Any]) -> None:
    """Take the budgets off that smiths had who are erased."""
    if (await execute(session, _ANY_OF_SMITHS, known)).first() is not None:
        for statement in (_HOLD, _DELETE_OF_SMITHS, _HAS_ANY):
            await execute(session, statement, known)


async def tell_reached(session: AsyncSession, caller: Caller, held: Sequence[Budget]) -> None:
    """Tell of every threshold that budgets have reached and that was not told of in this period.

    Whoever calls holds their rows, so that nobody else tells of the same.
    """
    for budget in held:
        reached = [one for one in budget.thresholds if budget.spent_micros * 100 >= one * budget.limit_micros]
        new = [one for one in reached if one not in budget.told]
        if new:
            budget.told = sorted({*budget.told, *new})
        for threshold in new:
            about = (budget.id, budget.scope.value, shown_scope_id(budget), threshold, budget.action.value)
            period = budget.period.value, budget.period.key(budget.period_start)
            event = event_types.BudgetThreshold(*about, *period, budget.limit, budget.spent_micros / MICROS)
            smith_id = budget.scope_id if budget.scope is Scope.smith else None
            await events.tell(session, caller, event, smith_id=smith_id)


def shown_scope_id(budget: Budget) -> str | None:
    """Return whose budget it is; null when it is the whole project's."""
    return None if budget.scope is Scope.tenant else budget.scope_id


def _checked(terms: dict[str, Any]) -> Terms:
    try:
        return Terms.model_validate(terms)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidBudget(field=where, why=first["msg"], param=where) from None


async def _whose(session: AsyncSession, caller: Caller, scope: str, scope_id: str | None) -> tuple[Scope, str]:
    """Return what a budget is of. Raises `InvalidBudget`, `ScopeIdRequired`, `NotFound`."""
    try:
        kind = Scope(scope)
    except ValueError:
        raise InvalidBudget(field="scope", why=f"it is one of {', '.join(Scope)}", param="scope") from None
    if kind is Scope.tenant:
        if scope_id not in (None, caller.project_id):
            raise InvalidBudget(field="scope_id", why="the project is meant as it is", param="scope_id")
        return kind, caller.project_id
    if not scope_id:
        raise ScopeIdRequired(scope=kind.value, param="scope_id")
    if kind is Scope.agent:
        await agents.find(session, caller, scope_id)
    elif kind is Scope.smith:
        await smiths.find(session, caller, scope_id)
    else:
        await customers.find(session, caller, scope_id)
    return kind, scope_id


async def _spent(session: AsyncSession, budget: Budget) -> int:
    """Return what has been spent in the period before the budget counted it."""
    known = {"project_id": budget.project_id, "scope": budget.scope, "scope_id": budget.scope_id}
    return int((await execute(session, _SPENT, known | {"since": budget.period_start})).scalar())


def _status(budget: Budget, reserved: int) -> Status:
    start = budget.period.start(now())
    return Status(budget, start, budget.spent_micros if budget.period_start >= start else 0, reserved)


def _told(budget: Budget) -> dict[str, Any]:
    """Return what the audit log is told of a budget."""
    terms = {"limit": budget.limit, "action": budget.action, "period": budget.period}
    return {"scope": budget.scope, "scope_id": shown_scope_id(budget), "terms": terms}


async def _one(session: AsyncSession, caller: Caller, budget_id: str, *, to_change: bool = False) -> Budget:
    query = select(Budget).where(*_own(caller), col(Budget.id) == budget_id)
    if to_change:
        query = query.with_for_update()
    budget = (await session.exec(query)).first()
    if budget is None:
        raise NotFound(noun="budget", id=budget_id)
    return budget


def _own(caller: Caller) -> tuple[Any, ...]:
    return (col(Budget.project_id) == caller.project_id,)
