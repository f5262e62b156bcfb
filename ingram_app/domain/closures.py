"""Closures: a project that is closed takes all that works in it down with it."""

from dataclasses import replace

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.domain import projects, runs
from ingram_app.domain.access import Caller
from ingram_app.domain.runs import BUSY, Run


async def close(session: AsyncSession, caller: Caller, project_id: str) -> None:
    """Archive a project and stop every run in it. Raises `NotFound`."""
    await projects.stand_in(session, caller, project_id)
    await projects.archive(session, caller, project_id)
    live = select(Run).where(Run.project_id == project_id, col(Run.status).in_(("queued", *BUSY)))
    for run in (await session.exec(live.order_by(Run.id).with_for_update())).all():
        await runs.stop(session, replace(caller, project_id=project_id), run, "The project was deleted.")
