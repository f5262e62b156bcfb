"""Usage: what a project's model calls took, added up in the background so that any month is read at once.

model_calls ──fold──▶ usage_sums        in the order of the ledger, up to where no earlier call can still come
What is read is the sums and the calls behind them, as one: it is exact at every moment.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Index
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import Moment, execute
from ingram_app.domain.access import Caller
from ingram_app.domain.customers import UNASSIGNED
from ingram_app.domain.periods import Period, Piece


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
    """`day`: a day (UTC) of all smiths together; `smith_day`, `smith_pentad` and `smith_month`: of one smith."""
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
    pentads: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False, server_default="0"))
    """How far pentads have: less than all when a process has added up that knows none of them."""
    folded_at: datetime = Field(sa_type=Moment)


@dataclass(frozen=True, slots=True)
class Group:
    """What was used by one smith, agent, model, customer or app, or on one day."""

    key: str
    """Empty for smiths that have been erased."""
    runs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_micros: int = 0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def measures(self) -> tuple[int, ...]:
        return tuple(getattr(self, name) for name in MEASURES)


By = Literal["smith", "agent", "model", "customer", "app", "day", "day_model"]
MOST_GROUPS = 1000
REST = "*"
"""The key of all groups beyond the most that are told apart."""
AT_ONCE = 20_000
"""Calls, about: those of one transaction are added up together."""
_BEGIN = sa.text(
    "insert into usage_folds (project_id, position, folded_at) values (:project_id, 0, now()) on conflict do nothing"
)
_HOLD = sa.text("select position, pentads from usage_folds where project_id = :project_id for update")
_HOLD_UNLESS_HELD = sa.text(f"{_HOLD.text} skip locked")
_BEHIND = sa.text(
    "select p.id from projects p left join usage_folds f on f.project_id = p.id where exists (select from model_calls c"
    " where c.project_id = p.id and c.position >= coalesce(f.pentads, 0) and c.position < feed_horizon())"
)
_UNTIL = sa.text(
    "select max(position) + 1, count(*) from (select position from model_calls where project_id = :project_id"
    " and position >= :pentads and position < feed_horizon() order by position limit :most) as next"
)
_NEXT = sa.text(f"fetch {MOST_GROUPS} from every_group")
_COME_TO = sa.text(
    "update usage_folds set position = greatest(position, :until), pentads = :until, folded_at = now()"
    " where project_id = :project_id"
)
_KEY = "project_id, grain, starts, smith_id, agent_id, model, customer_id, app, source"
MEASURES = (
    *("runs", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
    "cost_micros",
)
_NAMED = ", ".join(MEASURES)
_TOTALLED = ", ".join(f"sum({name})::bigint" for name in MEASURES)
_SUMMED = ", ".join(f"sum({name})::bigint as {name}" for name in MEASURES)
_SIGNED = ", ".join(f"p.sign * {name} as {name}" for name in MEASURES)
_ADDED = ", ".join(f"{name} = usage_sums.{name} + excluded.{name}" for name in MEASURES)
_ADD = f"on conflict ({_KEY}) do update set {_ADDED}"
_DAY = "(at at time zone 'UTC')::date"
PENTAD = "date_trunc('month', day)::date + least((extract(day from day)::int - 1) / 5, 5) * 5"
_GRAINS = (
    f"(values ('day', day, ''), ('smith_day', day, smith_id), ('smith_pentad', {PENTAD}, smith_id),"
    " ('smith_month', date_trunc('month', day)::date, smith_id)) as g(grain, starts, smith)"
)
_FOLD = sa.text(
    f"with used as (select project_id, {_DAY} as day, coalesce(smith_id, '') as smith_id, agent_id, model,"
    " coalesce(customer_id, '') as customer_id, app, source, position >= :position as is_new,"
    f" {_SUMMED} from model_calls where project_id = :project_id and position >= :pentads and position < :until"
    " group by 1, 2, 3, 4, 5, 6, 7, 8, 9)"
    f" insert into usage_sums ({_KEY}, {_NAMED}) select project_id, g.grain, g.starts, g.smith, agent_id, model,"
    f" customer_id, app, source, {_SUMMED} from used cross join lateral {_GRAINS} where is_new or g.grain ="
    f" 'smith_pentad' group by 1, 2, 3, 4, 5, 6, 7, 8, 9 order by 1, 2, 3, 4, 5, 6, 7, 8, 9 {_ADD}"
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

_PAYS = f"case when customer_id <> '' then customer_id when smith_id <> '' then '{UNASSIGNED}' || smith_id else '' end"
_SUM_KEYS = {
    "smith": "smith_id", "agent": "agent_id", "model": "model", "app": "app", "customer": _PAYS, "day": "starts::text",
    "day_model": "starts || ' ' || model",
}  # fmt: skip
_CALL_KEYS = _SUM_KEYS | {
    "smith": "coalesce(smith_id, '')", "day": f"{_DAY}::text", "day_model": f"{_DAY} || ' ' || model",
}  # fmt: skip
_SMITHS = sa.text(
    "select id, coalesce(nullif(display_name, ''), external_id, id) from smiths"
    " where project_id = :project_id and id = any(:keys)"
)
_CUSTOMERS = sa.text(
    f"{_SMITHS.text} union all select id, name from customers where project_id = :project_id and id = any(:keys)"
)
_AGENTS = sa.text("select id, name from agents where project_id = :project_id and id = any(:keys)")
_NAMES = {"smith": _SMITHS, "customer": _CUSTOMERS, "agent": _AGENTS}


async def behind(session: AsyncSession) -> list[tuple[str, str]]:
    """Return every project, twice, that has calls to add up: for the dispatcher, which sees no more than this."""
    return [(row[0], row[0]) for row in (await execute(session, _BEHIND)).all()]


async def fold(session: AsyncSession, caller: Caller, project_id: str) -> bool:
    """Add up the project's next calls, those before which no other can come; return whether there were any.

    Nothing, while another process is at it.
    """
    caller.require("usage:write")
    come = await _come_to(session, project_id, _HOLD_UNLESS_HELD)
    if come is None:
        return False
    known = {"project_id": project_id, "position": come[0], "pentads": come[1], "most": AT_ONCE}
    until, count = (await execute(session, _UNTIL, known)).one()
    if count:
        await execute(session, _FOLD, known | {"until": until})
        await execute(session, _COME_TO, known | {"until": until})
    return bool(count)


async def forget(session: AsyncSession, whose: dict[str, Any]) -> None:
    """Take the names of erased smiths off all that was used: no sum changes by it, and only days are left of times."""
    await _come_to(session, whose["project_id"], _HOLD)
    for statement in (_FORGET_CALLS, _FORGET_SUMS):
        await execute(session, statement, whose)


async def browse(
    session: AsyncSession,
    caller: Caller,
    period: Period,
    by: By,
    *,
    smith_id: str | None = None,
    customer_id: str | None = None,
    most: int = MOST_GROUPS,
) -> list[Group]:
    """Return what was used in a period by each smith, agent, model, customer, app, or day; what cost most comes first.

    Days come in order, those without use too; a model on a day is `2026-11-24 test/echo`. Beyond `most` groups the
    rest is one, whose key is `REST`.
    A smith without a customer is one of its own: `principal:<smith id>`. Raises `SmithMismatch`.
    """
    question, known = _asked(caller, period, by, smith_id, customer_id)
    rows = (await execute(session, question, known | {"most": most})).all()
    groups = [_group(row) for row in rows]
    if by == "day":
        known_days = {group.key: group for group in groups}
        return [known_days.get(day.isoformat(), Group(day.isoformat())) for day in period.days]
    return groups


async def every(
    session: AsyncSession,
    caller: Caller,
    period: Period,
    by: By,
    *,
    smith_id: str | None = None,
    customer_id: str | None = None,
) -> AsyncIterator[list[Group]]:
    """Yield the groups of a period as `browse` has them, all of one moment, however many: a page at a time.

    Nobody else asks so in the same transaction. Raises `SmithMismatch`.
    """
    question, known = _asked(caller, period, by, smith_id, customer_id, at_once=False)
    await execute(session, question, known)
    while rows := (await execute(session, _NEXT)).all():
        yield [_group(row) for row in rows]


def total(groups: Iterable[Group]) -> Group:
    """Return the sum of groups, under no key."""
    sums = zip(*(group.measures for group in groups), strict=True)
    return Group("", *map(sum, sums))


async def named(session: AsyncSession, caller: Caller, by: By, keys: Collection[str]) -> dict[str, str]:
    """Return what people call the smiths, agents or customers with these keys, as far as they are still there.

    What a customer is called no smith's token is told.
    """
    if by not in _NAMES:
        return {}
    names = _SMITHS if by == "customer" and caller.smith_id else _NAMES[by]
    known = {"project_id": caller.project_id, "keys": [key.removeprefix(UNASSIGNED) for key in keys]}
    found = {row[0]: row[1] for row in (await execute(session, names, known)).all()}
    return {key: found[plain] for key in keys if (plain := key.removeprefix(UNASSIGNED)) in found}


def _asked(
    caller: Caller, period: Period, by: By, smith_id: str | None, customer_id: str | None, *, at_once: bool = True
) -> tuple[sa.TextClause, dict[str, Any]]:
    """Return the query and its parameters. Raises `SmithMismatch`."""
    caller.require("usage:read")
    if caller.smith_id:
        caller.require_own(smith_id or caller.smith_id)
        smith_id = caller.smith_id
    known: dict[str, Any] = {"project_id": caller.project_id, "smith_id": smith_id, "customer_id": customer_id}
    known |= {"first": period.first, "until": period.until}
    known |= _pieces(period, by, of_smiths=by in ("smith", "customer") or smith_id is not None)
    return _question(by, smith_id is not None, customer_id is not None, at_once), known


def _group(row: Sequence[Any]) -> Group:
    return Group(row[1], *map(int, row[2:]))


def _pieces(period: Period, by: By, *, of_smiths: bool) -> dict[str, list[Any]]:
    """Return as parameters which sums make up a period, with pentads and, in case they have not come as far, without.

    Where smiths are told apart there is a sum for each in every piece: the fewer pieces, the better.
    """
    whole = part = [Piece("day", period.first, period.until, 1)]
    if of_smiths and not by.startswith("day"):
        whole, part = period.pieces(("month", "pentad", "day")), period.pieces(("month", "day"))
    put = [(one, has) for pieces, has in ((whole, True), (part, False)) for one in pieces]
    return {
        "grains": [f"smith_{one.size}" if of_smiths else one.size for one, _ in put],
        "firsts": [one.first for one, _ in put],
        "untils": [one.until for one, _ in put],
        "signs": [one.sign for one, _ in put],
        "have": [has for _, has in put],
    }


@cache
def _question(by: By, of_one: bool, of_customer: bool, at_once: bool) -> sa.TextClause:
    """Return the query: the sums that make up the period, with the calls that are not in them yet.

    Its rows are told `at_once`, no more than the most; or it opens a cursor to all of them.
    """
    smith = " and smith_id = :smith_id" if of_one else ""
    customer = " and customer_id = :customer_id" if of_customer else ""
    mine = f"project_id = :project_id{smith}{customer}"
    told = f" select place, key, {_NAMED} from ranked order by 1"
    if at_once:
        told = (
            f" select least(place, :most + 1), case when place <= :most then key else '{REST}' end, {_TOTALLED}"
            " from ranked group by 1, 2 order by 1"
        )
    return sa.text(
        ("" if at_once else "declare every_group no scroll cursor for ")
        + "with come as (select coalesce(max(position), 0) as position, coalesce(max(pentads), 0) as pentads"
        " from usage_folds where project_id = :project_id), pieces as (select * from unnest(cast(:grains as text[]),"
        " cast(:firsts as date[]), cast(:untils as date[]), cast(:signs as bigint[]), cast(:have as bool[]))"
        " as p(of, first, until, sign, has)),"
        f" used as (select {_SUM_KEYS[by]} as key, {_SIGNED} from come join pieces p on p.has = (pentads = position)"
        f" join usage_sums on grain = p.of and starts >= p.first and starts < p.until and {mine}"
        f" union all select {_CALL_KEYS[by]} as key, {_NAMED} from model_calls where {mine}"
        " and position >= (select position from come)"
        " and at >= cast(:first as date)::timestamp at time zone 'UTC'"
        " and at < cast(:until as date)::timestamp at time zone 'UTC'),"
        f" grouped as (select key, {_SUMMED} from used group by key),"
        " ranked as (select *, row_number() over (order by cost_micros desc, input_tokens + output_tokens desc, key)"
        " as place from grouped where runs + input_tokens + output_tokens + cost_micros > 0)"
        f"{told}"
    )


async def _come_to(session: AsyncSession, project_id: str, held: sa.TextClause) -> Sequence[int] | None:
    """Return how far a project's calls have been added up, and pentads; nobody adds up more until the transaction
    ends."""
    known = {"project_id": project_id}
    await execute(session, _BEGIN, known)
    return (await execute(session, held, known)).first()
