"""Model calls: the ledger of what every call of a model took and cost, stamped when it happened. Stamps never move.

A call is kept in the transaction that keeps what came of it. One that broke off is kept too, with what was streamed of
it; what the provider did not say is estimated, and marked so. No row goes when its run or its smith does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic_ai.usage import RequestUsage
from sqlalchemy import Index
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, compact, execute
from ingram_app.domain import spending
from ingram_app.gateways import prices
from ingram_app.gateways.prices import Price


class ModelCall(SQLModel, table=True):
    __tablename__ = "model_calls"
    __table_args__ = (
        Index("ix_model_calls_position", "project_id", "position"),
        Index("ix_model_calls_run", "project_id", "run_id", postgresql_where=sa.text("run_id is not null")),
        Index("ix_model_calls_smith", "smith_id", postgresql_where=sa.text("smith_id is not null")),
    )

    id: int | None = Field(default=None, sa_column=sa.Column(sa.BigInteger, sa.Identity(), primary_key=True))
    project_id: str
    position: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False, server_default=sa.text("feed_position()")))
    """Its transaction's place among all, as on the feed: `usage` adds up in this order."""
    at: datetime = Field(sa_type=Moment)
    """When it ended. Of an erased smith's calls only the day is kept."""
    smith_id: str | None
    """Null once the smith has been erased."""
    run_id: str | None
    agent_id: str
    agent_version: int | None
    model: str
    """The one that answered: the run's, or a fallback model."""
    customer_id: str | None
    """The smith's customer at that moment."""
    app: str
    """Where the turn came from: the run's channel."""
    source: str
    """Whose key it was: `hosted` is the platform's, `byok` the project's, `smith` the smith's; `local` needs none."""
    runs: int
    """1 on the first call of a run, 0 on its others: their sum is the number of runs."""
    input_tokens: int = Field(sa_type=sa.BigInteger)
    """Those read from and written to a cache are part of them."""
    output_tokens: int = Field(sa_type=sa.BigInteger)
    """Those of reasoning are part of them."""
    cache_read_tokens: int = Field(sa_type=sa.BigInteger)
    cache_write_tokens: int = Field(sa_type=sa.BigInteger)
    reasoning_tokens: int = Field(sa_type=sa.BigInteger)
    cost_micros: int = Field(sa_type=sa.BigInteger)
    """Millionths of a US dollar; 0 when the price is not known."""
    estimated: bool


@dataclass(frozen=True, slots=True)
class Call:
    """What one call took, before it is kept."""

    model: str
    source: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_micros: int | None
    """None when the price is not known."""
    estimated: bool = False
    at: str = field(default_factory=lambda: now().isoformat())


COLUMNS = (
    "project_id, smith_id, run_id, agent_id, agent_version, customer_id, app, runs, at, model, source, input_tokens,"
    " output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_micros, estimated"
)
_TOLD = (
    "json_to_recordset(cast(:calls as json)) as c(at timestamptz, model text, source text, input_tokens bigint,"
    " output_tokens bigint, cache_read_tokens bigint, cache_write_tokens bigint, reasoning_tokens bigint,"
    " cost_micros bigint, estimated boolean)"
)
_NUMBERS = (
    "c.at, c.model, c.source, c.input_tokens, c.output_tokens, c.cache_read_tokens, c.cache_write_tokens,"
    " c.reasoning_tokens, coalesce(c.cost_micros, 0), c.estimated"
)


def kept_for(held: str) -> str:
    """Return SQL that keeps the calls `:calls` of the run `:run_id`, the only one whose row `held` can be.

    `held` names the run's `project_id`, `id`, `smith_id`, `agent_id`, `agent_version` and `channel`.
    """
    first = "(row_number() over () = 1 and not exists (select from model_calls m where m.run_id = :run_id))::int"
    return (
        f"insert into model_calls ({COLUMNS}) select {held}.project_id, {held}.smith_id, {held}.id, {held}.agent_id,"
        f" {held}.agent_version, s.customer_id, {held}.channel, {first}, {_NUMBERS} from {held}"
        f" join smiths s on s.project_id = {held}.project_id and s.id = {held}.smith_id cross join {_TOLD}"
    )


_ASIDE = sa.text(
    f"insert into model_calls ({COLUMNS}) select s.project_id, s.id, r.id, coalesce(r.agent_id, s.agent_id),"
    f" r.agent_version, s.customer_id, coalesce(r.channel, :app), 0, {_NUMBERS} from smiths s"
    " left join runs r on r.project_id = s.project_id and r.id = cast(:run_id as varchar)"
    f" cross join {_TOLD} where s.project_id = :project_id and s.id = :smith_id for key share of s"
)
_OF_RUN = sa.text(
    "select sum(input_tokens), sum(output_tokens), sum(cost_micros) from model_calls"
    " where project_id = :project_id and run_id = :run_id"
)


def priced(model: str, source: str, used: RequestUsage, own: Mapping[str, Price], *, estimated: bool = False) -> Call:
    """Return a call of a model with what it cost, at the project's `own` price when it has one for the model."""
    reasoning = used.details.get("reasoning_tokens") or used.details.get("thoughts_tokens") or 0
    return Call(
        model,
        source,
        used.input_tokens,
        used.output_tokens,
        used.cache_read_tokens,
        used.cache_write_tokens,
        reasoning,
        prices.cost_micros(model, used, own.get(model)),
        estimated,
    )


def cost(calls: list[Call]) -> int:
    """Return what calls cost together, in micros; those whose price is not known cost nothing."""
    return sum(call.cost_micros or 0 for call in calls)


def spelt(calls: list[Call]) -> str:
    """Return calls as the parameter `:calls` of a statement that keeps them."""
    return compact([{name: getattr(call, name) for name in Call.__slots__} for call in calls])


def shown(input_tokens: int, output_tokens: int, cost_micros: int | None) -> dict[str, Any]:
    """Return what calls took as the API shows it; the cost in US dollars, null when it is not known."""
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "cost": None if cost_micros is None else cost_micros / 1_000_000,
    }


async def stamp(
    session: AsyncSession,
    project_id: str,
    smith_id: str,
    calls: list[Call],
    *,
    run_id: str | None = None,
    app: str = "background",
) -> None:
    """Keep calls that were made for a smith beside its runs, after one of them if it is named. Not counted as a run."""
    whose = {"project_id": project_id, "smith_id": smith_id, "run_id": run_id, "app": app}
    await execute(session, _ASIDE, whose | {"calls": spelt(calls)})
    await spending.count(session, project_id, cost(calls), run_id=run_id, smith_id=smith_id)


async def of_run(session: AsyncSession, project_id: str, run_id: str) -> tuple[int, int, int] | None:
    """Return the input tokens, output tokens and micros of a run's calls so far; nothing when there are none."""
    into, out, micros = (await execute(session, _OF_RUN, {"project_id": project_id, "run_id": run_id})).one()
    return None if into is None else (int(into), int(out), int(micros))
