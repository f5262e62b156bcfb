"""Batches: what a run says at once, kept for as long as its carrier holds it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import ask, execute
from ingram_app.core.journeys import Rows
from ingram_app.domain.frames import Shown

_APPEND = text(
    "with held as (select project_id from runs"
    " where id = :run_id and lease_owner = :owner and attempt = :attempt for share)"
    " insert into frames (run_id, seq, project_id, event, data, created_at)"
    " select :run_id, f.seq, held.project_id, f.event, f.data::json, clock_timestamp()"
    " from held, unnest(cast(:seqs as int[]), cast(:events as text[]), cast(:data as text[])) as f(seq, event, data)"
)
_APPEND_TOGETHER = text(
    "with said as (select f.* from unnest(cast(:runs as text[]), cast(:attempts as int[]), cast(:seqs as int[]),"
    " cast(:events as text[]), cast(:data as text[])) as f(run_id, attempt, seq, event, data)),"
    " held as (select r.id, r.attempt, r.project_id from runs r where r.id = any(:runs) and r.lease_owner = :owner"
    " and exists (select from said where said.run_id = r.id and said.attempt = r.attempt) for share skip locked),"
    " kept as (insert into frames (run_id, seq, project_id, event, data, created_at)"
    " select held.id, said.seq, held.project_id, said.event, said.data::json, clock_timestamp()"
    " from said join held on held.id = said.run_id and held.attempt = said.attempt) select id, attempt from held"
)

_IS_THERE = text(
    "select from frames where project_id = :project_id and run_id = :run_id and seq = :seq and event = :event"
    " and data::text = :data"
)


def append(session: AsyncSession, run_id: str, batch: Sequence[Shown], *, owner: str, attempt: int) -> Rows:
    """Keep a batch with the next that is executed, if `owner` still holds the run at this `attempt`: else no row."""
    held = {"run_id": run_id, "owner": owner, "attempt": attempt}
    return ask(session, _APPEND, held | columns(batch))


def append_together(session: AsyncSession, said: Sequence[tuple[str, int, Sequence[Shown]]], owner: str) -> Rows:
    """Keep batches, each of a run at an attempt, with the next that is executed. It gives run and attempt of each.

    A run that `owner` does not hold at this attempt is left out, and one that others hold on to at this moment.
    """
    runs = [run_id for run_id, _, batch in said for _ in batch]
    attempts = [attempt for _, attempt, batch in said for _ in batch]
    told = columns([frame for _, _, batch in said for frame in batch])
    return ask(session, _APPEND_TOGETHER, told | {"runs": runs, "attempts": attempts, "owner": owner})


async def is_there(session: AsyncSession, project_id: str, run_id: str, frame: Shown) -> bool:
    """Tell whether the last frame of a batch is kept, and so all of it: an answer can be lost after a commit."""
    known = {"project_id": project_id, "run_id": run_id, "seq": frame.seq, "event": frame.event, "data": frame.data}
    return (await execute(session, _IS_THERE, known)).first() is not None


def columns(batch: Sequence[Shown]) -> dict[str, list[Any]]:
    """Return a batch as parameters of a statement that keeps it."""
    return {
        "seqs": [frame.seq for frame in batch],
        "events": [frame.event for frame in batch],
        "data": [frame.data for frame in batch],
    }
