"""What it costs to ask what was spent: a month of many model calls, by every grouping, folded and not."""

import os
import statistics
import time
from datetime import date
from typing import get_args

import psycopg

from ingram_app.core.cluster import Cluster
from ingram_app.core.database import dispatching, pool, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import usage
from ingram_app.domain.access import TENANT, Actor, Caller
from ingram_app.domain.periods import Period
from ingram_app.domain.usage import By
from tests.serving import Serving

MONTH = Period(date(2025, 3, 1), date(2025, 4, 1))
DAYS = Period(date(2025, 3, 4), date(2025, 3, 24))
"""Made of more pieces than any other span within a month."""
CALLS, SMITHS = 10_000_000, 20_000
BEHIND = 1000
"""Calls that are not added up yet when it is asked."""
BATCH = 200_000
"""Calls that are written by one transaction, and so added up at once."""
_FILL = (
    "insert into model_calls (project_id, at, smith_id, agent_id, agent_version, model, customer_id, app, source, runs,"
    " input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_micros, estimated)"
    " select %s, timestamptz '2025-03-01 00:00:00+00' + n * (interval '31 days' / %s), 'smt_' || s, 'agt_' || s %% 8,"
    " 1, 'model-' || s %% 5, case when s %% 3 > 0 then 'cus_' || s %% 500 end, 'app-' || s %% 3, 'hosted', n %% 2,"
    " 900, 100, 300, 0, 20, 1000 + n %% 7, false"
    " from (select n, n::bigint * 7919 %% %s as s from generate_series(%s::int, %s::int) n) calls"
)
_KEPT = (
    "select count(*), pg_size_pretty(pg_total_relation_size('usage_sums') + pg_total_relation_size('model_calls'))"
    " from usage_sums"
)


async def measure(serving: Serving, project_id: str, *, short: bool) -> list[tuple[str, str, str]]:
    """Return (what, figure, how many), the head first. Fills ten million calls, or a few when `short`."""
    url = Cluster(serving.data / "postgres").url
    os.environ |= {"IC_DATABASE_URL": url, "IC_DATA_DIR": str(serving.data)}
    settings.cache_clear()
    calls, smiths = (100_000, 1000) if short else (CALLS, SMITHS)
    caller = Caller(Actor("tenant", project_id), frozenset({TENANT}), project_id=project_id)
    began = time.perf_counter()
    with psycopg.connect(url, autocommit=True) as owner:
        for first in range(0, calls, BATCH):
            last = min(first + BATCH, calls) - 1
            owner.execute(_FILL.encode(), (project_id, calls, smiths, first, last))
        filled = time.perf_counter()
        await _add_up(caller)
        folded = time.perf_counter()
        owner.execute(_FILL.encode(), (project_id, BEHIND, smiths, 0, BEHIND - 1))
        owner.execute("vacuum analyze usage_sums, model_calls")
        [(kept, size)] = owner.execute(_KEPT).fetchall()
    rows = [(f"a month of {calls:,} calls of {smiths:,} smiths", "whole month", "4th to 23rd")]
    for by in get_args(By):
        rows.append((f"usage by {by}", await _asked(caller, MONTH, by), await _asked(caller, DAYS, by)))
    one = {"smith_id": "smt_7"}
    rows.append(("usage of one smith by model", *[await _asked(caller, it, "model", **one) for it in (MONTH, DAYS)]))
    rows.append((f"adding up a call; {kept:,} sums", f"{(folded - filled) / calls * 1e6:.0f} µs", ""))
    rows.append((f"writing a call; {size} in all", f"{(filled - began) / calls * 1e6:.0f} µs", ""))
    await pool().dispose()
    return rows


async def _add_up(caller: Caller) -> None:
    """Add up all there is; the serving process may be at it too."""
    while True:
        async with transaction(caller.tenancy) as session:
            more = await usage.fold(session, caller, caller.project_id)
        async with dispatching() as session:
            if not more and not await usage.behind(session):
                return


async def _asked(caller: Caller, period: Period, by: By, **of: str) -> str:
    """Return the median of how long the question takes."""
    took = []
    for _ in range(5):
        began = time.perf_counter()
        async with transaction(caller.tenancy) as session:
            await usage.browse(session, caller, period, by, **of)
        took.append(time.perf_counter() - began)
    return f"{statistics.median(took) * 1000:.0f} ms"
