"""What a request costs the database: no more for thirty rows than for three, nor for what is not there."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from ingram_app.core.ids import new_id
from tests.api.routes import RUN
from tests.world import Client, Person, Tenant, World, error, ok


@contextmanager
def counting() -> Iterator[list[str]]:
    """Collect the statements that this task sends; the engine, in tasks of its own, sends others."""
    said: list[str] = []
    task = asyncio.current_task()
    execute = psycopg.AsyncCursor.execute

    async def hear(cursor: Any, statement: Any, *rest: Any, **terms: Any) -> Any:
        mine = asyncio.current_task() is task and isinstance(statement, str)
        if mine and not any(word in statement for word in ("fetch", "notify", "commit")):
            said.append(statement)
        return await execute(cursor, statement, *rest, **terms)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.AsyncCursor, "execute", hear)
        yield said


@pytest.fixture(scope="module")
async def many(project: Tenant) -> None:
    for number in range(12):
        agent = await project.agent()
        smith = await project.smith(agent_id=agent["id"], external_id=f"user-{number}")
        await project.run(smith["id"])
        ok(await project.api.post("/v1/tenant/tokens", json={"scope": "admin"}))


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/smiths", "/v1/runs", "/v1/tenant/tokens"])
async def test_a_long_page_costs_what_a_short_one_does(api: Client, many: None, path: str) -> None:
    counts = []
    for limit in (1, 2, 12):
        ok(await api.get("/v1/tenant/settings"))  # who asks is known by now
        with counting() as said:
            assert len(ok(await api.get(path, params={"limit": limit}))["data"]) == limit
        counts.append(len(said))
    assert counts[1] == counts[2]
    assert counts[2] <= 4


async def test_what_is_another_s_costs_what_is_not_there_does(
    many: None, project: Tenant, other_api: Client, smith: Person
) -> None:
    run = await project.run(smith.id)
    agent = await project.agent()
    for path, prefix in (
        (f"/v1/smiths/{smith.id}", "smt"), (f"/v1/agents/{agent['id']}", "agt"),
        (f"/v1/smiths/{smith.id}/runs/{run['id']}", "run"),
    ):  # fmt: skip
        told = []
        for asked in (path, path.rpartition("/")[0] + "/" + new_id(prefix)):
            ok(await other_api.get("/v1/tenant/settings"))
            with counting() as said:
                error(await other_api.get(asked), 404, "not_found")
            told.append(said)
        assert told[0] == told[1], path


async def test_a_run_is_taken_in_with_few_words(api: Client, smith: Person) -> None:
    await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=RUN)
    with counting() as said:
        ok(await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=RUN | {"background": True}))
    inserts = [one for one in said if one.lstrip().lower().startswith("insert")]
    assert len(inserts) <= 3
    assert len(said) <= 14, said


BUSY = {
    "a page of smiths": "select id from smiths where project_id = 'p' and archived_at is null"
    " order by created_at desc, id desc limit 51",
    "a page of runs": "select id from runs where project_id = 'p' order by created_at desc, id desc limit 51",
    "a smith's runs": "select id from runs where project_id = 'p' and smith_id = 's'"
    " order by created_at desc, id desc limit 51",
    "a page of agents": "select id from agents where project_id = 'p' order by created_at desc, id desc limit 51",
    "a page of tokens": "select id from tokens where project_id = 'p' order by created_at desc, id desc limit 51",
    "a person's smith": "select id from smiths where project_id = 'p' and external_id = 'e' and agent_id = 'a'"
    " and archived_at is null",
    "a page of customers": "select id from customers where project_id = 'p' order by created_at desc, id desc limit 51",
    "a page of usage events": "select id from meter_events where project_id = 'p'"
    " order by created_at desc, id desc limit 51",
    "a customer's usage events": "select id from meter_events where project_id = 'p' and customer_id = 'c'"
    " order by created_at desc, id desc limit 51",
    "a customer's pushes": "select id from pushes where project_id = 'p' and customer_id = 'c'"
    " order by created_at desc, id desc limit 51",
    "pushes that are due": "select id from pushes where project_id = 'p' and state = 'waiting'"
    " and next_attempt_at <= now() order by next_attempt_at, id limit 20",
    "a customer's smiths": "select id from smiths where project_id = 'p' and customer_id = 'c' and archived_at is null",
    "smiths by how their external id begins": "select id from smiths where project_id = 'p'"
    " and external_id like 'anon:%' escape '/' and archived_at is null",
    "the strangers that a smith was": "select id from smiths where moved_to = 's'",
    "a smith's revisions": "select id from smith_revisions where project_id = 'p' and smith_id = 's'"
    " order by created_at desc, id desc limit 51",
    "a smith's tokens": "select id from tokens where project_id = 'p' and sub = 'p:s'"
    " order by created_at desc, id desc limit 51",
    "a smith's events": "select id from events where project_id = 'p' and smith_id = 's'"
    " order by position desc, id desc limit 51",
    "a smith's receipt": "select id from erasures where project_id = 'p' and smith_id = 's'",
    "an agent's smiths": "select count(*) from smiths where agent_id = 'a' and archived_at is null",
    "a share of an agent's smiths": "select count(*) from smiths where agent_id = 'a' and archived_at is null"
    " and bucket < 3300",
    "rollouts under guard": "select id from agents where guard is not null",
    "a teammate's scratch smith": "select id from smiths where agent_id = 'a' and tester_id = 't'"
    " and tester_id is not null",
    "scratch smiths left alone": "select id from smiths where tester_id is not null and updated_at < now()",
    "an agent's last run": "select max(created_at) from runs where agent_id = 'a'",
    "a thread's history": "select run_id from transcripts where project_id = 'p' and smith_id = 's'"
    " and thread_id = 't' and complete order by turn desc limit 200",
    "who waits on a thread": "select count(*) from runs where smith_id = 's' and thread_id = 't'"
    " and status in ('queued', 'running', 'paused_for_approval', 'paused_for_tool')",
    "the next of a thread": "select id from runs where smith_id = 's' and thread_id = 't' and status = 'queued'"
    " order by turn limit 1",
    "a run's frames": "select seq from frames where project_id = 'p' and run_id = 'r' and seq > 7 order by seq",
    "a run's last frame": "select max(seq) from frames where run_id = 'r'",
    "a page of approvals": "select id from approvals where project_id = 'p' order by created_at desc, id desc limit 51",
    "approvals that wait": "select count(*) from approvals where project_id = 'p' and status = 'pending'",
    "approvals whose time is over": "select id from approvals where status = 'pending' and expires_at <= now()",
    "a run's approvals": "select id from approvals where project_id = 'p' and run_id = 'r'",
    "a run's tool calls": "select id from tool_calls where project_id = 'p' and run_id = 'r' order by step, place",
    "runs left behind": "select id from runs where status = 'running' and lease_until < now()",
    "a key": "select id from model_keys where project_id = 'p' and provider = 'x' and smith_id is null",
    "an old idempotency key": "select key from idempotency_keys where created_at < now()",
    "failed sign-ins": "select count(*) from sign_in_failures where email = 'e'",
    "an organization's projects": "select id from projects where organization_id = 'o' and archived_at is null",
}


@pytest.mark.parametrize("name", BUSY)
async def test_no_busy_question_reads_a_whole_table(world: World, name: str) -> None:
    world.do("set enable_seqscan = off")
    plan = "\n".join(line for (line,) in world.ask(f"explain {BUSY[name]}"))
    assert "Seq Scan" not in plan
    assert "Index" in plan, plan
