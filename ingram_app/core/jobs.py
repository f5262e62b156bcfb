"""Jobs: work handed over to the engine of any process. A job is written in the transaction of what it is for."""

from functools import cache

import procrastinate
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import driver, driver_url, execute
from ingram_app.core.roles import ROLE

SILENT_SECONDS = 60
_FORGET = text(
    "delete from procrastinate_jobs where status = 'doing' and not exists ("
    "select from procrastinate_workers where id = worker_id"
    " and last_heartbeat > now() - make_interval(secs => :silent_seconds))"
)


@cache
def app() -> procrastinate.App:
    """Return the process's procrastinate application; the engine adds the tasks."""
    return procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=driver_url(), kwargs={"options": f"-c role={ROLE}"})
    )


async def forget_lost(session: AsyncSession) -> None:
    """Remove jobs whose worker died over them. What they were for is found by other means."""
    await execute(session, _FORGET, {"silent_seconds": SILENT_SECONDS})


async def defer(session: AsyncSession, task: str, **args: str) -> None:
    """Have `task` done once the transaction lands."""
    deferrer = app().configure_task(task, allow_unknown=True, connection=driver(session))
    await deferrer.defer_async(**args)
