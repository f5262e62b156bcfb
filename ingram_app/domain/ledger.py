"""Ledger: the model calls that a figure of usage is made of, newest first, and what they come to.

The calls are the ledger's rows; what they come to is told as `usage` tells it, by its sums and the calls behind them.
The two agree at every moment.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import sqlalchemy as sa
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import execute
from ingram_app.domain.access import Caller
from ingram_app.domain.model_calls import ModelCall
from ingram_app.domain.paging import FIRST, InvalidCursor, Page, Place, cursor, number
from ingram_app.domain.periods import Period
from ingram_app.domain.usage import MEASURES, Group

Of = Literal["smith", "agent", "model", "customer", "app"]
_COLUMNS: dict[Of, str] = {
    "smith": "coalesce(smith_id, '')", "agent": "agent_id", "model": "model",
    "customer": "coalesce(customer_id, '')", "app": "app",
}  # fmt: skip
_INDEXED = {"smith": "smith_id"}
_SUMMED = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in MEASURES)
_NAMED = ", ".join(MEASURES)
_READ = tuple(ModelCall.model_fields)
_DAYS = "starts >= :first and starts < :until"
_MOMENTS = "at >= :since and at < :before"


@dataclass(frozen=True, slots=True)
class Which:
    """Which calls: of some days, each of `only` and none of `but`; `firsts` are those that count as a run."""

    period: Period | None = None
    only: Mapping[Of, str] = field(default_factory=dict)
    """The id or name of one smith, agent, model, customer or app; empty for erased smiths, and for no customer."""
    but: Mapping[Of, Collection[str]] = field(default_factory=dict)
    firsts: bool = False

    def asked(self, day: str) -> tuple[str, dict[str, Any]]:
        """Return SQL that says so, and its parameters; `day` compares with the days of the period."""
        said, known = [], dict[str, Any]()
        for of, key in self.only.items():
            said.append(f"{_INDEXED.get(of, _COLUMNS[of]) if key else _COLUMNS[of]} = :{of}")
            known[of] = key
        for of, keys in self.but.items():
            said.append(f"{_COLUMNS[of]} <> all(:but_{of})")
            known[f"but_{of}"] = list(keys)
        if self.period is not None:
            said.append(day)
            known |= {"first": self.period.first, "until": self.period.until}
            known |= dict(zip(("since", "before"), self.period.moments, strict=True))
        return "".join(f" and {one}" for one in said), known


async def browse(session: AsyncSession, caller: Caller, which: Which, place: Place = FIRST) -> Page[ModelCall]:
    """Return the calls, newest first. Raises `SmithMismatch`, `InvalidCursor`."""
    said, known = _mine(caller, which).asked(_MOMENTS)
    if which.firsts:
        said += " and runs > 0"
    if (after := place.after(number)) is not None:
        said += " and (position, id) < (:position, :id)"
        known |= {"position": after[0], "id": _number(place, after[1])}
    query = sa.text(
        f"select {', '.join(_READ)} from model_calls where project_id = :project_id{said}"
        " order by position desc, id desc limit :most"
    )
    known |= {"project_id": caller.project_id, "most": place.limit + 1}
    rows = [ModelCall(**dict(zip(_READ, row, strict=True))) for row in (await execute(session, query, known)).all()]
    last = rows[place.limit - 1] if len(rows) > place.limit else None
    return Page(rows[: place.limit], cursor(last.position, str(last.id)) if last else None)


async def total(session: AsyncSession, caller: Caller, which: Which) -> Group:
    """Return what the calls come to; of `firsts`, the runs are those that they began. Raises `SmithMismatch`."""
    which = _mine(caller, which)
    grain = "smith_day" if "smith" in which.only or "smith" in which.but else "day"
    folded, known = which.asked(_DAYS)
    behind, _ = which.asked(_MOMENTS)
    query = sa.text(
        "with come as (select coalesce(max(position), 0) as position from usage_folds where project_id = :project_id)"
        f" select {_SUMMED} from (select {_NAMED} from usage_sums where project_id = :project_id and grain = :grain"
        f"{folded} union all select {_NAMED} from model_calls where project_id = :project_id"
        f" and position >= (select position from come){behind}) as used"
    )
    row = (await execute(session, query, known | {"project_id": caller.project_id, "grain": grain})).one()
    return Group("", *map(int, row))


def _mine(caller: Caller, which: Which) -> Which:
    """Return the calls as far as the caller may see them: a smith's token sees its smith's own."""
    caller.require("usage:read")
    if not caller.smith_id:
        return which
    caller.require_own(which.only.get("smith", caller.smith_id))
    return replace(which, only={**which.only, "smith": caller.smith_id})


def _number(place: Place, text: str) -> int:
    try:
        return number(text)
    except ValueError:
        raise InvalidCursor(cursor=repr((place.cursor or "")[:80]), param="cursor") from None
