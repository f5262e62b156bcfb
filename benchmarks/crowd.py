"""What an agent's many smiths cost: a rollout, its plan, and the question what one of them runs."""

import os
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.cluster import Cluster
from ingram_app.core.database import execute, pool, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import agents, rollouts, smiths, versions
from ingram_app.domain.access import TENANT, Actor, Caller
from tests.serving import Serving

_POPULATE = (
    "insert into smiths (id, project_id, agent_id, external_id, metadata, overrides, created_at, updated_at)"
    " select 'smt_' || md5(agents.id || n), project_id, agents.id, 'user-' || n, '{}', '{}', now(), now()"
    " from agents, generate_series(1, %s) n where id = %s"
)
_WRITTEN = text(
    "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0),"
    " coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del) filter (where relname = 'smiths'), 0)"
    " from pg_stat_xact_user_tables"
)
Deed = Callable[[AsyncSession], Awaitable[Any]]


async def measure(serving: Serving, project_id: str, *, short: bool) -> list[tuple[str, str, str]]:
    """Return (what, with one smith, with many), the head first."""
    url = stand(serving)
    caller = Caller(Actor("tenant", project_id), frozenset({TENANT}), project_id=project_id)
    many = 10_000 if short else 100_000
    few, crowded = [await _figures(url, caller, number, 50 if short else 500) for number in (1, many)]
    await pool().dispose()
    head = ("", "1 smith", f"{many:,} smiths")
    return [head, *((what, few[what], crowded[what]) for what in few)]


def stand(serving: Serving) -> str:
    """Have this process stand on the database of a server; return where it is, for its owner."""
    url = Cluster(serving.data / "postgres").url
    os.environ |= {"IC_DATABASE_URL": url, "IC_DATA_DIR": str(serving.data)}
    settings.cache_clear()
    return url


async def _figures(url: str, caller: Caller, number: int, times: int) -> dict[str, str]:
    async with transaction(caller.tenancy) as session:
        agent = await agents.create(session, caller, name="Crowd", instructions="one")
        for instructions in ("two", "three"):
            await versions.publish(session, caller, agent.id)
            await agents.change(session, caller, agent.id, {"instructions": instructions})
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(_POPULATE, [number, agent.id])
        owner.execute("analyze smiths")
        row = owner.execute("select id from smiths where agent_id = %s order by id limit 1", [agent.id]).fetchone()
    assert row is not None
    smith_id = row[0]
    found = await _times(caller, times, lambda session: smiths.find(session, caller, smith_id))
    planned = await _times(caller, 5, lambda session: rollouts.plan(session, caller, agent.id, 2, 33))
    rolled, written = [], [0, 0]
    for percent in (10, 33, 50, 100, 0) * (times // 25):
        began = time.perf_counter()
        async with transaction(caller.tenancy) as session:
            before = await _written(session)
            await rollouts.roll_out(session, caller, agent.id, 2 if percent else 1, percent or 100)
            await session.flush()
            written = [now - then for now, then in zip(await _written(session), before, strict=True)]
        rolled.append(time.perf_counter() - began)
    percentiles = statistics.quantiles(found, n=100)
    return {
        "what a smith runs, p50": _ms(percentiles[49]),
        "what a smith runs, p95": _ms(percentiles[94]),
        "a rollout": _ms(statistics.median(rolled)),
        "rows that it writes (of them smiths)": f"{written[0]} ({written[1]})",
        "the plan of a rollout": _ms(statistics.median(planned)),
    }


async def _written(session: AsyncSession) -> list[int]:
    """Return how many rows the session's connection has written lately, and how many of them are smiths."""
    return [int(number) for number in (await execute(session, _WRITTEN)).one()]


async def _times(caller: Caller, number: int, deed: Deed) -> list[float]:
    taken = []
    for _ in range(number):
        began = time.perf_counter()
        async with transaction(caller.tenancy) as session:
            await deed(session)
        taken.append(time.perf_counter() - began)
    return taken


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
