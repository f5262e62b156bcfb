"""What a search of one smith's 200 facts costs beside a million facts of others, without the embedding.

Everything is made in SQL: smiths with a hundred facts each, and a vector of 384 numbers for each fact, drawn from a
few hundred. The search is the one that the API and the engine use, row level security and all; only the question's
vector is at hand already.
"""

import random
import statistics
import time
from collections.abc import Sequence
from unittest.mock import patch

import psutil
import psycopg

from benchmarks import crowd
from ingram_app.core.database import pool, transaction
from ingram_app.domain import agents, memories, recalling, smiths
from ingram_app.domain.access import TENANT, Actor, Caller
from ingram_app.domain.memories import Fact
from tests.serving import Serving

OWN = 200
"""Facts of the smith that is asked."""
_EACH = 100
"""Facts of every other."""
_MODEL, _DIMENSIONS = "local/multilingual-e5-small", 384
_WARM = 50
"""Searches before it is measured: each of the pool's connections prepares a statement at its fifth use."""
_DRINKS = ("tea", "coffee", "cocoa", "cider", "lemonade")
_SMITHS = (
    "insert into smiths (id, project_id, agent_id, external_id, metadata, overrides, created_at, updated_at)"
    " select 'smt_' || md5(id || n), project_id, id, 'scale-' || n, '{}', '{}', now(), now()"
    " from agents, generate_series(1, %s) n where id = %s"
)
_FACTS = (
    "insert into memories (id, project_id, smith_id, content, category, confidence, digest, edits, created_at,"
    " updated_at) select 'mem_' || md5(smiths.id || n), project_id, smiths.id, 'Likes ' || (%s::text[])[1 + n %% 5] ||"
    " ' number ' || n || ' on day ' || n %% 31, 'fact', 1, md5('' || n), '[]', now() - n * interval '1 minute',"
    " now() - n * interval '1 minute' from smiths, generate_series(1, %s) n where agent_id = %s"
)
_POOL = (
    "create temp table pool as select i, l2_normalize((select array_agg(random() - 0.5) from generate_series(1, %s)"
    " where i is not null)::vector) as vector from generate_series(0, 511) i"
)
_VECTORS = (
    "insert into vectors (id, project_id, smith_id, memory_id, model, dimensions, vector, created_at)"
    " select 'vec_' || md5(m.id), m.project_id, m.smith_id, m.id, %s, %s, pool.vector, now()"
    " from memories m join pool on i = abs(hashtext(m.id) %% 512)"
    " where not exists (select from vectors v where v.memory_id = m.id)"
)


async def measure(serving: Serving, project_id: str, *, short: bool) -> list[tuple[str, str, str]]:
    """Return (what, with no others' facts, with many), the head first."""
    url = crowd.stand(serving)
    caller = Caller(Actor("tenant", project_id), frozenset({TENANT}), project_id=project_id)
    many = 20_000 if short else 1_000_000
    alone, beside = await figures(url, caller, many, 100 if short else 1000, serving.postgres)
    await pool().dispose()
    head = ("", f"{OWN} facts", f"{many:,} others")
    return [head, *((what, f"{alone[what]:.1f} ms", f"{beside[what]:.1f} ms") for what in alone)]


async def figures(
    url: str, caller: Caller, others: int, times: int, postgres: psutil.Process
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what a search takes in milliseconds, first alone and then beside so many facts of others."""
    async with transaction(caller.tenancy) as session:
        agent = await agents.create(session, caller, name="Scale")
        clone, _ = await smiths.create(session, caller, {"external_id": "asked"})
        for number in range(OWN):
            fact = Fact(f"Likes {_DRINKS[number % 5]} number {number} on day {number % 31}")
            await memories.write(session, caller, clone.smith.id, fact)
    columns = []
    for more in (0, others):
        with psycopg.connect(url, autocommit=True) as owner:
            _populate(owner, agent.id, more)
        columns.append(await _searched(caller, clone.smith.id, times, postgres))
    return columns[0], columns[1]


def _populate(owner: psycopg.Connection, agent_id: str, facts: int) -> None:
    """Give an agent's new smiths so many facts, and every fact in the database a vector."""
    if facts:
        owner.execute(_SMITHS, [facts // _EACH, agent_id])
        owner.execute(_FACTS, [list(_DRINKS), _EACH, agent_id])
    owner.execute(_POOL.replace("%s", str(_DIMENSIONS)).encode())
    owner.execute(_VECTORS, [_MODEL, _DIMENSIONS])
    for table in ("smiths", "memories", "vectors"):
        owner.execute(f"vacuum analyze {table}".encode())


async def _searched(caller: Caller, smith_id: str, times: int, postgres: psutil.Process) -> dict[str, float]:
    """Search so often, with questions that differ, and return the percentiles in milliseconds."""
    dice = random.Random(7)

    async def at_hand(model: str, credential: object, texts: Sequence[str], **how: object) -> list[list[float]]:
        return [[dice.uniform(-0.5, 0.5) for _ in range(_DIMENSIONS)] for _ in texts]

    taken, python, database = [], 0.0, 0.0
    with patch.object(recalling.embeddings, "embed", at_hand):
        for number in range(-_WARM, times):
            if not number:
                python, database = time.process_time(), _used(postgres)
            asked = f"Which {_DRINKS[number % 5]} does she like on day {dice.randrange(31)}?"
            began = time.perf_counter()
            found = await recalling.facts(caller, smith_id, asked)
            taken.append((time.perf_counter() - began) * 1000)
            assert len(found) == 10, "the search found too little to be one"
    spent = [(time.process_time() - python) * 1000 / times, (_used(postgres) - database) * 1000 / times]
    percentiles = statistics.quantiles(taken[_WARM:], n=100)
    return {
        "a search of facts, p50": percentiles[49],
        "a search of facts, p95": percentiles[94],
        "CPU of a search: Python": spent[0],
        "CPU of a search: PostgreSQL": spent[1],
    }


def _used(postgres: psutil.Process) -> float:
    """Return the processor time of a server's processes, those it has and those it had, in seconds."""
    spent = [process.cpu_times() for process in (postgres, *postgres.children(recursive=True))]
    return float(sum(one.user + one.system + one.children_user + one.children_system for one in spent))
