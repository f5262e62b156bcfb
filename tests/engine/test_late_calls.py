"""Calls that end when their smith has been erased already: what they took counts, and nothing says whose it was."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.domain import budgets, erasures, model_calls
from ingram_app.domain.model_calls import Call, Whose
from ingram_app.engine import remembering
from tests.engine.conftest import World, engine, until
from tests.engine.test_memory_ops import due

MODEL = "gpt-5.4-mini"
CALL = Call(MODEL, "byok", 100, 10, 0, 0, 0, 7)


pytestmark = pytest.mark.usefixtures("server")


async def erase(world: World, smith_id: str) -> None:
    async with world.transaction() as session:
        await erasures.erase(session, world.caller, smith_id)


async def rows(world: World, query: str, **known: Any) -> list[Any]:
    return list((await world.sql(query, id=world.caller.project_id, **known)).all())


async def kept(world: World, smith_id: str) -> list[Any]:
    """Return (runs, agent, cost, app, is nobody's and only of a day) of every call in the ledger."""
    assert (
        await rows(world, "select from model_calls where project_id = :id and smith_id = :smith", smith=smith_id) == []
    )
    return await rows(
        world,
        "select runs, agent_id, cost_micros, app, num_nulls(smith_id, run_id, customer_id) = 3"
        " and at = date_trunc('day', at, 'UTC') from model_calls where project_id = :id order by id",
    )


async def spent(world: World) -> list[int]:
    return [row[0] for row in await rows(world, "select spent_micros from budgets where project_id = :id")]


async def budget_of_all(world: World, agent_id: str) -> None:
    """Set a budget for the project, and one for the agent."""
    for whose in ({"scope": "tenant"}, {"scope": "agent", "scope_id": agent_id}):
        async with world.transaction() as session:
            await budgets.create(session, world.caller, limit=1, **whose)


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize(("said", "before"), [("delay_ms=50 tokens=200 hello", 0), ("call=nothing delay_ms=50", 1)])
async def test_a_run_s_call_counts_though_its_smith_was_erased_meanwhile(world: World, said: str, before: int) -> None:
    smith_id = await world.smith(MODEL)
    agent_id = (await rows(world, "select agent_id from smiths where project_id = :id"))[0][0]
    await budget_of_all(world, agent_id)
    run = await world.start(smith_id, said)

    async def holds(what: str, count: int) -> bool:
        return len(await rows(world, f"select from {what} and project_id = :id")) >= count

    await until(lambda: holds(f"frames where run_id = '{run.id}' and event = 'message.delta'", 1))
    await until(lambda: holds("model_calls where runs = 1", before))
    await erase(world, smith_id)
    await until(lambda: holds("model_calls where true", before + 1))
    found = await kept(world, smith_id)
    assert [(row[0], row[1], row[3], row[4]) for row in found] == [
        (int(place == 0), agent_id, "api", True) for place in range(before + 1)
    ]
    assert min(row[2] for row in found) > 0
    assert await spent(world) == [sum(row[2] for row in found)] * 2


async def test_what_is_learnt_for_a_smith_that_was_erased_meanwhile_was_paid_for(world: World, server: str) -> None:
    smith_id = await world.smith(MODEL)
    async with engine():
        run = await world.says(smith_id, "tokens=15 delay_ms=20 hello")
    remembers = """update smiths set overrides = overrides || '{"auto_memory": true}' where id = :smith"""
    await world.sql(remembers, smith=smith_id)
    op = await due(world, run)
    await budget_of_all(world, run.agent_id)
    async with httpx.AsyncClient(base_url=server) as client:
        await client.post("/_forget")
        learning = asyncio.ensure_future(remembering.do(op.project_id, op.id))

        async def is_asked() -> bool:
            return bool((await client.get("/_seen")).json()["requests"])

        await until(is_asked)
    await erase(world, smith_id)
    with pytest.raises(remembering.OpLost):
        await learning
    first, late = await kept(world, smith_id)
    assert (first[0], late[0], late[1], late[3], late[4]) == (1, 0, run.agent_id, "api", True)
    assert late[2] > 0
    assert await spent(world) == [first[2] + late[2]] * 2


@pytest.mark.parametrize("erased_first", [True, False])
async def test_no_call_that_races_with_an_erasure_names_its_smith(world: World, erased_first: bool) -> None:
    smith_id = await world.smith(MODEL)
    whose = Whose(world.caller.project_id, smith_id, "agt_1", 3, "run_1", "web")

    async def stamp(session: AsyncSession) -> None:
        await model_calls.stamp(session, whose, [CALL, CALL])

    async def forget(session: AsyncSession) -> None:
        await erasures.erase(session, world.caller, smith_id)

    await world.overlap(*((forget, stamp) if erased_first else (stamp, forget)))
    assert await kept(world, smith_id) == [(0, "agt_1", 7, "web", True)] * 2
