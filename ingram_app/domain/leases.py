"""Leases: who carries which run. A lease ends by itself when its holder is silent; then another takes the run up.

Every write of a carrier is fenced: it names its process and its attempt, and does nothing when either is outdated.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import process
from ingram_app.core.clock import now
from ingram_app.core.database import Tenancy
from ingram_app.core.settings import settings
from ingram_app.domain import frames, runs, transcripts
from ingram_app.domain.frames import Shown
from ingram_app.domain.runs import BUSY, Run, RunStatus
from ingram_app.domain.transcripts import Transcript


class LeaseLost(Exception):
    """Another process carries the run by now: let go of it at once, and write nothing more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to carry one run."""

    run_id: str
    project_id: str
    attempt: int

    @property
    def tenancy(self) -> Tenancy:
        return Tenancy(project_id=self.project_id)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended."""

    status: RunStatus
    values: dict[str, Any]
    """Columns of the run: output, stop_reason, error, usage …"""
    transcript: Transcript | None = None


def of(run: Run) -> Lease:
    """Return the lease on a run that this process has just claimed."""
    return Lease(run.id, run.project_id, run.attempt)


async def claim(session: AsyncSession, run_id: str) -> Run | None:
    """Take up a run that waits and whose turn it is, or whose carrier went silent; nothing, if another was faster."""
    run = (await session.exec(select(Run).where(Run.id == run_id).with_for_update(skip_locked=True))).first()
    if run is None or not await _may_be_taken(session, run):
        return None
    if run.attempt == 0:
        await frames.write(session, run.project_id, run.id, frames.RunStarted(run.smith_id, run.thread_id))
    run.status, run.attempt, run.lease_owner = RunStatus.running, run.attempt + 1, process.NAME
    run.started_at, run.updated_at = run.started_at or now(), now()
    session.add(run)
    await session.flush()
    await session.execute(_held(of(run)).values(lease_until=_until()))
    await runs.changed(session, run)
    return run


async def renew(session: AsyncSession, lease: Lease) -> Run:
    """Go on holding a run; return it as it stands. Raises `LeaseLost`."""
    await _fenced(session, lease, lease_until=_until())
    return (await session.exec(select(Run).where(Run.id == lease.run_id))).one()


async def release(session: AsyncSession, lease: Lease) -> None:
    """Let another process take the run up at once. Raises `LeaseLost`."""
    await _fenced(session, lease, lease_until=func.clock_timestamp())


async def say(session: AsyncSession, lease: Lease, batch: list[Shown]) -> None:
    """Keep frames of the run, and hand them to its watchers. Raises `LeaseLost`."""
    if not await frames.append(session, lease.run_id, batch, owner=process.NAME, attempt=lease.attempt):
        raise LeaseLost(lease.run_id)


async def checkpoint(session: AsyncSession, lease: Lease, transcript: Transcript) -> None:
    """Keep what the run has added so far. Raises `LeaseLost`."""
    await _fenced(session, lease, lease_until=_until())
    await transcripts.keep(session, transcript)


async def finish(session: AsyncSession, lease: Lease, ending: Ending, last_frames: list[Shown]) -> None:
    """Close the run: last frames, transcript, row, and the next of its thread, all in one. Raises `LeaseLost`."""
    await say(session, lease, last_frames)
    if ending.transcript is not None:
        await transcripts.keep(session, ending.transcript)
    await _fenced(
        session,
        lease,
        status=ending.status,
        finished_at=now(),
        lease_owner=None,
        lease_until=None,
        **ending.values,
    )
    run = (await session.exec(select(Run).where(Run.id == lease.run_id))).one()
    await runs.next_in_thread(session, run)
    await runs.changed(session, run)


async def abandoned(session: AsyncSession, waited_seconds: float = 5.0) -> list[tuple[str, str]]:
    """Return (project, run) of every run whose carrier went silent, or that has waited with nobody coming for it.

    For the dispatcher's transaction, which sees no more of them than this.
    """
    known = ("id", "project_id", "smith_id", "thread_id", "status", "lease_until", "created_at")
    runs_ = sa.table("runs", *(sa.column(name) for name in known))
    ahead = runs_.alias("ahead")
    blocked = sa.exists(ahead.c.id).where(
        ahead.c.smith_id == runs_.c.smith_id, ahead.c.thread_id == runs_.c.thread_id, ahead.c.status.in_(BUSY)
    )
    since = func.clock_timestamp() - sa.text("make_interval(secs => :waited)").bindparams(waited=waited_seconds)
    silent = (runs_.c.status == "running") & (runs_.c.lease_until < func.clock_timestamp())
    forgotten = (runs_.c.status == "queued") & (runs_.c.created_at < since) & ~blocked
    query = sa.select(runs_.c.project_id, runs_.c.id).where(silent | forgotten).order_by(runs_.c.created_at).limit(100)
    return [(row[0], row[1]) for row in (await session.execute(query)).all()]


async def _may_be_taken(session: AsyncSession, run: Run) -> bool:
    if run.status is RunStatus.running:
        expired = select(col(Run.lease_until) < func.clock_timestamp()).where(Run.id == run.id)
        return bool((await session.exec(expired)).one())
    if run.status is not RunStatus.queued:
        return False
    earlier = select(Run.id).where(
        Run.smith_id == run.smith_id,
        Run.thread_id == run.thread_id,
        col(Run.status).in_(BUSY)
        | ((col(Run.status) == "queued") & (sa.tuple_(Run.created_at, Run.id) < (run.created_at, run.id))),
    )
    return (await session.exec(earlier.limit(1))).first() is None


def _until() -> Any:
    seconds = settings().run_lease_seconds
    return func.clock_timestamp() + sa.text("make_interval(secs => :seconds)").bindparams(seconds=seconds)


def _held(lease: Lease) -> Any:
    return update(Run).where(
        col(Run.id) == lease.run_id, col(Run.lease_owner) == process.NAME, col(Run.attempt) == lease.attempt
    )


async def _fenced(session: AsyncSession, lease: Lease, **values: Any) -> None:
    """Write to the run's row, if it is still ours. Raises `LeaseLost`."""
    done: Any = await session.execute(_held(lease).values(updated_at=now(), **values))
    if not done.rowcount:
        raise LeaseLost(lease.run_id)
