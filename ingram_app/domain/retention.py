"""Retention: what is over goes when a project's days for it are: deliveries, events, and spans that programs sent.

The audit log stays for good; of runs and threads `bygones` tells.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import execute
from ingram_app.domain import projects
from ingram_app.domain.access import Caller
from ingram_app.domain.projects import Retention

AT_ONCE = 1000
"""Rows of a kind that go in one transaction, and are held no longer than that takes."""

Mark = tuple[int, str]
BEGINNING: Mark = (-1, "")

_PROJECTS = text("select id from projects where id > :after order by id limit :most")
_DELIVERIES = text(
    "delete from deliveries where project_id = :project_id and id in (select old.id from webhooks w, lateral"
    " (select d.id from deliveries d where d.webhook_id = w.id and d.created_at < :before"
    " and d.state in ('delivered', 'dead') order by d.created_at, d.id limit :most for update skip locked) old"
    " where w.project_id = :project_id limit :most)"
)
_TRACES = text(
    "delete from sent_traces where project_id = :project_id and id in (select id from sent_traces"
    " where project_id = :project_id and updated_at < :before order by updated_at limit :traces"
    " for update skip locked)"
)
_OLDEST = (
    "select id, position, created_at from events where project_id = :project_id and (position, id) > (:position, :id)"
    " order by position, id limit :most"
)
_EVENTS = text(
    f"with oldest as materialized ({_OLDEST}),"
    " gone as (delete from events e using oldest o where e.project_id = :project_id and e.id = o.id"
    " and o.created_at < :before"
    " and not exists (select from deliveries d where d.event_id = e.id and d.state in ('pending', 'failed'))"
    " and not exists (select from webhooks w where w.project_id = :project_id and w.active"
    " and (w.seen_position, w.seen_id) < (e.position, e.id))"
    " and not exists (select from trace_exports x where x.project_id = :project_id and x.active"
    " and (x.seen_position, x.seen_id) < (e.position, e.id)))"
    " select position, id from oldest where created_at < :before order by position desc, id desc limit 1"
)
_TRACES_AT_ONCE = 50
"""A trace may have two thousand spans."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep came to."""

    events: Mark | None
    """Down to where old events were looked at; none, when there are no more."""
    more: bool
    """Whether there is more of the rest."""


async def where(session: AsyncSession, after: str, most: int) -> list[str]:
    """Return the ids of some projects, those that follow one. For the dispatcher."""
    return [row[0] for row in (await execute(session, _PROJECTS, {"after": after, "most": most})).all()]


async def days(session: AsyncSession, caller: Caller) -> Retention:
    """Return for how long things are kept in the caller's project."""
    return (await projects.at(session, caller.project_id)).retention


async def sweep(session: AsyncSession, caller: Caller, kept: Retention, since: Mark | None) -> Swept:
    """Remove some of what is over; of events, some of those that follow `since`, none if that is none."""
    caller.require("project:write")
    known = {"project_id": caller.project_id, "most": AT_ONCE, "traces": _TRACES_AT_ONCE}
    gone: list[bool] = []
    for statement, kept_days, most in (
        (_DELIVERIES, kept.deliveries_days, AT_ONCE),
        (_TRACES, kept.traces_days, _TRACES_AT_ONCE),
    ):
        if kept_days is not None:
            gone.append((await execute(session, statement, known | {"before": _before(kept_days)})).rowcount >= most)
    if since is None or kept.events_days is None:
        return Swept(None, any(gone))
    place = {"position": since[0], "id": since[1], "before": _before(kept.events_days)}
    looked_at = (await execute(session, _EVENTS, known | place)).first()
    return Swept(None if looked_at is None else (looked_at[0], looked_at[1]), any(gone))


def _before(days: int) -> datetime:
    return now() - timedelta(days=days)
