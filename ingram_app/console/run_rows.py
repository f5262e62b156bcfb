"""Runs in a table: the same row wherever runs are listed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console.figures import count, duration, moment, money, thread_end
from ingram_app.console.looks import badge, relative_time
from ingram_app.domain import smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.runs import Run
from ingram_app.domain.smiths import Smith

COLUMNS = ["Time", "Smith", "Thread", "Model", "Status", "Tokens#", "Cost#", "Duration#"]


@dataclass
class RunRow:
    id: str
    at: str
    who: str
    thread: str
    thread_end: str
    """The thread, one of our ids by its end alone."""
    model: str
    status: str
    tokens: str
    cost: str
    took: str

    @classmethod
    def of(cls, run: Run, smith: Smith) -> "RunRow":
        used = run.usage
        return cls(
            id=run.id,
            at=moment(run.created_at),
            who=called(smith),
            thread=run.thread_id,
            thread_end=thread_end(run.thread_id),
            model=run.model,
            status=run.status.value,
            tokens=count(used["total_tokens"] if used else None),
            cost=money(run.cost_micros),
            took=duration(run.started_at, run.finished_at),
        )


def called(smith: Smith) -> str:
    """Return what a smith is called in a list: its external id, else its name, else its own id."""
    return smith.external_id or smith.display_name or smith.id


async def rows_of(session: AsyncSession, caller: Caller, runs: Sequence[Run]) -> list[RunRow]:
    """Return runs as rows."""
    known = await smiths.known(session, caller, {run.smith_id for run in runs})
    return [RunRow.of(run, known[run.smith_id]) for run in runs]


def cells(row: RunRow) -> list[Any]:
    """Lay a row out under `COLUMNS`."""
    return [
        relative_time(row.at),
        rx.el.span(row.who, class_name="clip", title=row.who),
        rx.el.code(row.thread_end, class_name="clip muted", title=row.thread),
        rx.el.span(row.model, class_name="clip", title=row.model),
        badge(row.status),
        row.tokens,
        row.cost,
        row.took,
    ]
