"""Usage: what a project's model calls took, added up in the background so that any month is read at once.

model_calls ──fold──▶ usage_sums        in the order of the ledger, up to where no earlier call can still come
What is read is the sums and the calls behind them, as one: it is exact at every moment.
"""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import Moment, execute
from ingram_app.domain.access import Caller


class UsageSum(SQLModel, table=True):
    """The calls of one grain, added up."""

    __tablename__ = "usage_sums"
    __table_args__ = (
        Index(
            "uq_usage_sums",
            "project_id",
            "grain",
            "starts",
            "smith_id",
            "agent_id",
            "model",
            "customer_id",
            "app",
            "source",
            unique=True,
        ),
        Index("ix_usage_sums_smith", "smith_id", postgresql_where=sa.text("smith_id <> ''")),
    )

    id: int | None = Field(default=None, sa_column=sa.Column(sa.BigInteger, sa.Identity(), primary_key=True))
    project_id: str
    grain: str
    """`day`: a day (UTC) of all smiths together; `smith_day` and `smith_month`: of one smith."""
    starts: date
    smith_id: str
    """Empty in the grain `day`, and for smiths that have been erased."""
    agent_id: str
    model: str
    customer_id: str
    """Empty for none."""
    app: str
    source: str
    runs: int = Field(sa_type=sa.BigInteger)
    input_tokens: int = Field(sa_type=sa.BigInteger)
    output_tokens: int = Field(sa_type=sa.BigInteger)
    cache_read_tokens: int = Field(sa_type=sa.BigInteger)
    cache_write_tokens: int = Field(sa_type=sa.BigInteger)
    reasoning_tokens: int = Field(sa_type=sa.BigInteger)
    cost_micros: int = Field(sa_type=sa.BigInteger)


class UsageFold(SQLModel, table=True):
    """How far a project's calls have been added up: all before this position, and none from it on."""

    __tablename__ = "usage_folds"

    project_id: str = Field(primary_key=True)
    position: int = Field(sa_type=sa.BigInteger)
    folded_at: datetime = Field(sa_type=Moment)


AT_ONCE = 20_000
"""Calls, about: those of one transaction are added up together."""
_BEGIN = sa.text(
    "insert into usage_folds (project_id, position, folded_at) values (:project_id, 0, now()) on conflict do nothing"
)
_HOLD = sa.text("select position from usage_folds where project_id = :project_id for update")
_BEHIND = sa.text(
    "select p.id from projects p left join usage_folds f on f.project_id = p.id where exists (select from model_calls c"
    " where c.project_id = p.id and c.position >= coalesce(f.position, 0) and c.position < feed_horizon())"
)
_UNTIL = sa.text(
    "select max(position) + 1, count(*) from (select position from model_calls where project_id = :project_id"
    " and position >= :since and position < feed_horizon() order by position limit :most) as next"
)
_COME_TO = sa.text("update usage_folds set position = :until, folded_at = now() where project_id = :project_id")
_KEY = "project_id, grain, starts, smith_id, agent_id, model, customer_id, app, source"
MEASURES = (
    *("runs", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
    "cost_micros",
)
_NAMED = ", ".join(MEASURES)
_SUMMED = ", ".join(f"sum({name})::bigint as {name}" for name in MEASURES)
_ADDED = ", ".join(f"{name} = usage_sums.{name} + excluded.{name}" for name in MEASURES)
_ADD = f"on conflict ({_KEY}) do update set {_ADDED}"
_DAY = "(at at time zone 'UTC')::date"
_GRAINS = (
    f"(values ('day', {_DAY}, ''), ('smith_day', {_DAY}, coalesce(smith_id, '')),"
    f" ('smith_month', date_trunc('month', {_DAY})::date, coalesce(smith_id, ''))) as g(grain, starts, smith)"
)
_FOLD = sa.text(
    f"insert into usage_sums ({_KEY}, {_NAMED}) select project_id, g.grain, g.starts, g.smith, agent_id, model,"
    f" coalesce(customer_id, ''), app, source, {_SUMMED} from model_calls cross join lateral {_GRAINS}"
    f" where project_id = :project_id and position >= :since and position < :until group by 1, 2, 3, 4, 5, 6, 7, 8, 9"
    f" {_ADD}"
)
_FORGET_CALLS = sa.text(
    "update model_calls set smith_id = null, run_id = null, at = date_trunc('day', at, 'UTC')"
    " where project_id = :project_id and smith_id = any(:whose)"
)
_FORGET_SUMS = sa.text(
    "with gone as (delete from usage_sums where project_id = :project_id and smith_id = any(:whose) returning *)"
    f" insert into usage_sums ({_KEY}, {_NAMED}) select project_id, grain, starts, '', agent_id, model, customer_id,"
    f" app, source, {_SUMMED} from gone group by 1, 2, 3, 4, 5, 6, 7, 8, 9 {_ADD}"
)


async def behind(session: AsyncSession) -> list[tuple[str, str]]:
    """Return every project, twice, that has calls to add up: for the dispatcher, which sees no more than this."""
    return [(row[0], row[0]) for row in (await execute(session, _BEHIND)).all()]


async def fold(session: AsyncSession, caller: Caller, project_id: str) -> bool:
    """Add up the project's next calls, those after which no earlier one can come; return whether there were any."""
    since = await hold(session, project_id)
    known: dict[str, Any] = {"project_id": project_id, "since": since}
    until, count = (await execute(session, _UNTIL, known | {"most": AT_ONCE})).one()
    if count:
        await execute(session, _FOLD, known | {"until": until})
        await execute(session, _COME_TO, known | {"until": until})
    return bool(count)


async def forget(session: AsyncSession, whose: dict[str, Any]) -> None:
    """Take the names of erased smiths off all that was used: no sum changes by it, and only days are left of times."""
    await hold(session, whose["project_id"])
    for statement in (_FORGET_CALLS, _FORGET_SUMS):
        await execute(session, statement, whose)


async def hold(session: AsyncSession, project_id: str) -> int:
    """Return how far a project's calls have been added up; nobody adds up more until the transaction ends."""
    known = {"project_id": project_id}
    await execute(session, _BEGIN, known)
    return int((await execute(session, _HOLD, known)).scalar())
