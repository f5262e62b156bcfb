"""Tryouts: a draft is talked to as it stands, by one teammate, and nothing of it shows or stays."""

import asyncio
from typing import Any

import pytest

from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import access, agents, projects, rosters, runs, smiths, tryouts
from ingram_app.domain.access import TENANT, Actor, Caller, Role
from ingram_app.domain.agents import AgentUnpublished
from ingram_app.domain.runs import Run
from ingram_app.domain.turns import Turn
from ingram_app.engine import sweeping
from tests.world import Tenant, World, until


@pytest.fixture
def ada(project: Tenant) -> Caller:
    return Caller(Actor("operator", "usr_ada"), Role.member.scopes, project_id=project.id)


@pytest.fixture
def bob(project: Tenant) -> Caller:
    return Caller(Actor("operator", "usr_bob"), frozenset({TENANT}), project_id=project.id)


async def begin(caller: Caller, agent_id: str) -> str:
    async with transaction(caller.tenancy) as session:
        return await tryouts.begin(session, caller, agent_id)


async def end(caller: Caller, agent_id: str) -> None:
    async with transaction(caller.tenancy) as session:
        await tryouts.end(session, caller, agent_id)


async def start(caller: Caller, smith_id: str, said: str = "hello", thread_id: str | None = None) -> Run:
    async with transaction(caller.tenancy) as session:
        return await runs.start(session, caller, smith_id, Turn([{"role": "user", "content": said}], thread_id))


async def ended(caller: Caller, run: Run) -> Run:
    async def over() -> Run | None:
        async with transaction(caller.tenancy) as session:
            now = await runs.look_up(session, caller, run.id)
        return now if now.over else None

    found = await until(over)
    assert isinstance(found, Run)
    return found


async def test_each_run_takes_the_draft_as_it_stands(project: Tenant, ada: Caller) -> None:
    agent = await project.agent(publish=False, instructions="one")
    smith_id = await begin(ada, agent["id"])
    first = await ended(ada, await start(ada, smith_id))
    assert (first.status, first.agent_version, first.config["instructions"]) == ("completed", None, "one")
    await project.api.patch(f"/v1/agents/{agent['id']}", json={"instructions": "two"})
    await project.api.post(f"/v1/agents/{agent['id']}/versions")
    await project.api.patch(f"/v1/agents/{agent['id']}", json={"instructions": "three"})
    second = await ended(ada, await start(ada, smith_id))
    assert (second.agent_version, second.config["instructions"]) == (None, "three")


async def test_other_smiths_of_an_unpublished_agent_do_not_run(project: Tenant, ada: Caller) -> None:
    agent = await project.agent(publish=False)
    smith = await project.smith(agent_id=agent["id"])
    with pytest.raises(AgentUnpublished):
        await start(ada, smith["id"])


async def test_each_teammate_has_one_of_an_agent(project: Tenant, ada: Caller, bob: Caller) -> None:
    agent = await project.agent()
    hers = await asyncio.gather(*[begin(ada, agent["id"]) for _ in range(12)])
    assert len(set(hers)) == 1
    assert await begin(bob, agent["id"]) != hers[0]
    assert await begin(ada, (await project.agent())["id"]) != hers[0]


async def test_it_is_in_no_list_count_or_figure(world: World, ada: Caller) -> None:
    fresh = await world.tenant("Quiet")
    agent = await fresh.agent()
    here = Caller(ada.actor, frozenset({TENANT}), project_id=fresh.id)
    smith_id = await begin(here, agent["id"])
    await ended(here, await start(here, smith_id))
    async with transaction(here.tenancy) as session:
        assert (await smiths.browse(session, here)).data == []
        assert (await projects.figures(session, here)).smiths == 0
        figures = (await agents.figures(session, here, [agent["id"]]))[agent["id"]]
        assert (figures.smith_count, figures.last_activity_at) == (0, None)
        assert (await rosters.attach(session, here, agent["id"], all=True)).count == 0
    answers = {
        "GET": None, "PATCH": {"display_name": "x"}, "DELETE": None,
    }  # fmt: skip
    for method, body in answers.items():
        assert (await fresh.api.request(method, f"/v1/smiths/{smith_id}", json=body)).status_code == 404
    asked: dict[str, Any] = {"smith_id": smith_id, "permissions": ["runs:read"]}
    assert (await fresh.api.post("/v1/tenant/tokens", json=asked)).status_code == 404
    asked = {"smith_ids": [smith_id]}
    assert (await fresh.api.post(f"/v1/agents/{agent['id']}/attach", json=asked)).status_code == 404
    assert (await fresh.api.delete(f"/v1/agents/{agent['id']}")).status_code == 204


async def test_it_goes_with_all_that_was_said(world: World, project: Tenant, ada: Caller, bob: Caller) -> None:
    agent = await project.agent(publish=False)
    hers, his = await begin(ada, agent["id"]), await begin(bob, agent["id"])
    for caller, smith_id in ((ada, hers), (bob, his)):
        await ended(caller, await start(caller, smith_id))
    await end(ada, agent["id"])
    await end(ada, agent["id"])
    for table in ("runs", "threads", "transcripts"):
        counts = f"select count(*) filter (where smith_id = %s), count(*) filter (where smith_id = %s) from {table}"
        assert world.ask(counts, hers, his) == [(0, 1)], table
    assert await begin(ada, agent["id"]) != hers


async def test_a_run_at_work_stops_when_its_smith_goes(world: World, project: Tenant, ada: Caller) -> None:
    agent = await project.agent(publish=False, model="test/slow")
    smith_id = await begin(ada, agent["id"])
    run = await start(ada, smith_id, "[[words 500]] [[pause 20ms]]")

    async def speaks() -> bool:
        return bool(world.ask("select 1 from frames where run_id = %s and seq > 1", run.id))

    await until(speaks)
    await end(ada, agent["id"])
    assert world.ask("select 1 from runs where id = %s", run.id) == []

    async def quiet() -> bool:
        return world.ask("select 1 from frames where run_id = %s", run.id) == []

    await until(quiet)
    again = await ended(ada, await start(ada, await begin(ada, agent["id"]), "[[words 1]]"))
    assert again.status == "completed"


@pytest.mark.parametrize(
    ("smith_age", "run_age", "goes"), [(50, None, False), (61, None, True), (61, 50, False), (200, 61, True)]
)
async def test_what_nobody_used_for_an_hour_is_swept(
    world: World, project: Tenant, ada: Caller, smith_age: int, run_age: int | None, goes: bool
) -> None:
    agent = await project.agent(publish=False)
    smith_id = await begin(ada, agent["id"])
    if run_age is not None:
        run = await ended(ada, await start(ada, smith_id))
        world.do("update runs set created_at = now() - make_interval(mins => %s) where id = %s", run_age, run.id)
    world.do("update smiths set updated_at = now() - make_interval(mins => %s) where id = %s", smith_age, smith_id)
    other = await project.smith(agent_id=agent["id"])
    world.do("update smiths set updated_at = now() - interval '1 year' where id = %s", other["id"])
    swept = await asyncio.gather(*[sweeping.sweep() for _ in range(4)])
    assert sum(swept) == goes
    assert world.ask("select count(*) from smiths where id = %s", smith_id) == [(0 if goes else 1,)]
    assert world.ask("select count(*) from smiths where id = %s", other["id"]) == [(1,)]
    await end(ada, agent["id"])


async def test_who_may_not_talk_tries_nothing(project: Tenant, other: Tenant, ada: Caller) -> None:
    agent, foreign = await project.agent(), await other.agent()
    viewer = Caller(ada.actor, Role.viewer.scopes, project_id=project.id)
    for deed in (begin, end):
        with pytest.raises(Refused):
            await deed(viewer, agent["id"])
    with pytest.raises(NotFound):
        await begin(ada, foreign["id"])


async def test_only_scratch_smiths_can_be_forgotten(world: World, project: Tenant) -> None:
    smith = await project.smith()
    world.do("update smiths set updated_at = now() - interval '1 year' where id = %s", smith["id"])
    platform = access.platform(project.id)
    async with transaction(platform.tenancy) as session:
        assert not await tryouts.forget(session, platform, smith["id"])
    assert (await project.api.get(f"/v1/smiths/{smith['id']}")).status_code == 200
