"""Activity: what a smith has done of late: what was said last, and what its runs took since some moment."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import execute
from ingram_app.domain.access import Caller
from ingram_app.domain.runs import Run, RunStatus


@dataclass(frozen=True, slots=True)
class Activity:
    last: Run | None
    """Its newest run."""
    runs: int
    failed: int
    tokens: int
    cost_micros: int


async def of(session: AsyncSession, caller: Caller, smith_id: str, since: datetime) -> Activity:
    """Return a smith's newest run, of whenever, and what those since a moment took. Raises `SmithMismatch`."""
    caller.require("runs:read")
    caller.require_own(smith_id)
    mine = (col(Run.project_id) == caller.project_id, col(Run.smith_id) == smith_id)
    newest = select(Run).where(*mine).order_by(col(Run.created_at).desc(), col(Run.id).desc()).limit(1)
    took = sa.select(
        func.count(),
        func.count().filter(col(Run.status) == RunStatus.failed),
        func.coalesce(func.sum(col(Run.input_tokens) + col(Run.output_tokens)), 0),
        func.coalesce(func.sum(col(Run.cost_micros)), 0),
    ).where(*mine, col(Run.created_at) >= since)
    runs, failed, tokens, micros = (await execute(session, took)).one()
    return Activity((await session.exec(newest)).first(), runs, failed, int(tokens), int(micros))
