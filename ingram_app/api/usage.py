"""/v1/usage and /v1/tenant/usage: what model calls took and cost, by whom and when."""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.meters import Quantity
from ingram_app.api.shapes import Out
from ingram_app.api.spreadsheets import handed_out
from ingram_app.domain import access, meters, periods, usage
from ingram_app.domain.periods import Period
from ingram_app.domain.usage import Group

router = APIRouter(tags=["usage"], route_class=Route)
GroupBy = Literal["smith", "agent", "model", "customer", "app"]
Id = Annotated[str | None, Query(max_length=200)]
Month = Annotated[str | None, Query(description="A month in UTC. Without it and without `from`: this month.",
                                    examples=["2026-11"])]  # fmt: skip
From = Annotated[str | None, Query(alias="from", description="The first day, in UTC.", examples=["2026-11-01"])]
To = Annotated[str | None, Query(description="The last day, that day included. Without it: today.")]
_COLUMNS = ("tokens", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost", "run_count")


class UsedOut(Out):
    tokens: int
    """Input and output."""
    input_tokens: int
    """Those read from and written to a cache are part of them."""
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost: int
    """Millionths of a US dollar."""
    run_count: int
    """Each run counts once, where its first model call does."""


class DayOut(UsedOut):
    date: date


class GroupOut(UsedOut):
    key: str | None
    """The id of the smith, agent or customer, the model, or the channel that runs came by. `principal:<smith id>` is a
    smith without a customer, `*` is all groups beyond the first thousand, null is what erased smiths used."""
    name: str | None
    """What people call it, while it is there."""


class SeriesOut(Out):
    totals: UsedOut
    series: list[DayOut]
    """Every day of the period."""


class MeterOut(Out):
    key: str | None = Field(validation_alias="group")
    """As that of a group; null unless usage is grouped by smith or customer."""
    meter: str
    quantity: Quantity
    event_count: int


class UsageOut(Out):
    group_by: GroupBy
    totals: UsedOut
    groups: list[GroupOut]
    """What cost most comes first."""
    meters: list[MeterOut]


@router.get("/tenant/usage", response_model=SeriesOut)
async def show_usage(
    caller: Caller, session: InTransaction, period: Month = None, first: From = None, to: To = None
) -> SeriesOut:
    """Show what the project has used in a period: in sum, and by day; `cost` in millionths of a US dollar."""
    days = await usage.browse(session, caller, periods.asked_for(period, first, to), "day")
    series = [DayOut(date=date.fromisoformat(day.key), **_used(day)) for day in days]
    return SeriesOut(totals=UsedOut(**_used(usage.total(days))), series=series)


@router.get("/usage", response_model=UsageOut)
async def break_usage_down(
    caller: Caller,
    session: InTransaction,
    group_by: GroupBy = "smith",
    period: Month = None,
    first: From = None,
    to: To = None,
    smith_id: Id = None,
    customer_id: Id = None,
    format: Literal["json", "csv"] = "json",
) -> UsageOut | Response:
    """Show what was used in a period by each smith, agent, model, customer or app. The groups sum up to the totals.

    `cost` is in millionths of a US dollar.
    """
    asked = periods.asked_for(period, first, to)
    of: dict[str, Any] = {"smith_id": smith_id, "customer_id": customer_id}
    if format == "csv":
        return await as_csv(session, caller, asked, group_by, **of)
    groups = await usage.browse(session, caller, asked, group_by, **of)
    names = await usage.named(session, caller, group_by, [group.key for group in groups])
    by: Any = group_by if group_by in ("smith", "customer") else None
    metered = await meters.sums(
        session, caller, *asked.moments, group_by=by, smith_id=smith_id, customer_id=customer_id
    )
    shown = [GroupOut(key=one.key or None, name=names.get(one.key), **_used(one)) for one in groups]
    return UsageOut(
        group_by=group_by,
        totals=UsedOut(**_used(usage.total(groups))),
        groups=shown,
        meters=[MeterOut.model_validate(one) for one in metered],
    )


async def as_csv(
    session: AsyncSession, caller: access.Caller, period: Period, by: GroupBy, **of: str | None
) -> Response:
    """Return every group, as a file for a spreadsheet; the sum of its rows is the total."""
    return await handed_out(_pages(session, caller, period, by, **of), f"usage-by-{by}-{period.first}.csv")


async def _pages(
    session: AsyncSession, caller: access.Caller, period: Period, by: GroupBy, **of: str | None
) -> AsyncIterator[Sequence[Sequence[str | int]]]:
    yield [(by, "name", *_COLUMNS)]
    async for groups in usage.every(session, caller, period, by, **of):
        names = await usage.named(session, caller, by, [group.key for group in groups])
        yield [(one.key, names.get(one.key, ""), *(_used(one)[name] for name in _COLUMNS)) for one in groups]


def _used(group: Group) -> dict[str, int]:
    same = {name: getattr(group, name) for name in _COLUMNS if name not in ("cost", "run_count")}
    return same | {"cost": group.cost_micros, "run_count": group.runs}
