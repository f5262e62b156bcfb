"""Folds: the frames of runs that ended a while ago, fewer and longer.

Of frames that follow each other with words of one message the last is kept, with the words of all, and with where each
of them ended: whoever comes back to the middle of it is told the rest and no more (`frames.Shown.after`).
Runs are folded in the order in which they ended; how far that has come is kept here.
"""

from collections import defaultdict
from datetime import UTC, datetime

from sqlalchemy import text
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import Moment, execute
from ingram_app.domain.access import Caller

AT_ONCE = 500
"""Runs."""


class FoldedUntil(SQLModel, table=True):
    __tablename__ = "folded_until"

    only: bool = Field(default=True, primary_key=True)
    finished_at: datetime = Field(default=datetime(2000, 1, 1, tzinfo=UTC), sa_type=Moment)
    run_id: str = ""
    """Of those that ended at that very moment, the last."""


_RIPE = text(
    "select project_id, id, finished_at from runs where (finished_at, id) > (:finished_at, :run_id)"
    " and finished_at < clock_timestamp() - make_interval(secs => :seconds) order by finished_at, id limit :most"
)
_COME_TO = text("select finished_at, run_id from folded_until for update skip locked")
_GO_ON_FROM = text("update folded_until set finished_at = :finished_at, run_id = :run_id")
_FOLD = text(
    "with spoken as (select run_id, seq, event, data->>'delta' as words,"
    " seq - row_number() over (partition by run_id, event order by seq) as stretch from frames"
    " where project_id = :project_id and run_id = any(:run_ids) and cuts is null"
    " and event in ('message.delta', 'reasoning.delta')),"
    " measured as (select *, sum(char_length(words)) over (partition by run_id, event, stretch order by seq) as ends"
    " from spoken),"
    " folded as (select run_id, max(seq) as seq, string_agg(words, '' order by seq) as words,"
    " array_agg(ends::int order by seq) as cuts from measured group by run_id, event, stretch having count(*) > 1),"
    " gone as (delete from frames using folded where frames.run_id = folded.run_id and frames.seq < folded.seq"
    " and frames.seq > folded.seq - cardinality(folded.cuts))"
    " update frames set cuts = folded.cuts,"
    " data = json_build_object('v', 1, 'run_id', frames.run_id, 'delta', folded.words)"
    " from folded where frames.run_id = folded.run_id and frames.seq = folded.seq"
)
Stretch = tuple[datetime, str]


async def come_to(session: AsyncSession) -> Stretch | None:
    """Return how far folding has come, or nothing when another process is at it: until this transaction ends we are."""
    row = (await execute(session, _COME_TO)).first()
    return None if row is None else (row[0], row[1])


async def ripe(session: AsyncSession, since: Stretch, seconds: float) -> tuple[dict[str, list[str]], Stretch]:
    """Return the next runs, by project, that ended so long ago, and how far that goes. For the dispatcher."""
    known = {"finished_at": since[0], "run_id": since[1], "seconds": seconds, "most": AT_ONCE}
    rows = (await execute(session, _RIPE, known)).all()
    runs: dict[str, list[str]] = defaultdict(list)
    for project_id, run_id, _ in rows:
        runs[project_id].append(run_id)
    return runs, (rows[-1][2], rows[-1][1]) if rows else since


async def fold(session: AsyncSession, caller: Caller, run_ids: list[str]) -> int:
    """Fold the frames of runs that have ended; done again it does nothing. Return how many frames took others in."""
    known = {"project_id": caller.project_id, "run_ids": run_ids}
    return (await execute(session, _FOLD, known)).rowcount


async def go_on_from(session: AsyncSession, come: Stretch) -> None:
    """Keep how far folding has come."""
    await execute(session, _GO_ON_FROM, {"finished_at": come[0], "run_id": come[1]})
