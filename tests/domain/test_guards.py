"""Guards: a rollout that fails too often, or costs too much, is taken back once, by itself, and says why."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ingram_app.core.clock import now
from ingram_app.core.database import transaction
from ingram_app.core.ids import new_id
from ingram_app.domain import access, guards
from ingram_app.engine import guards as watch
from tests.world import Tenant, World, ok, until

RATE = {"max_failure_rate": 0.2, "min_runs": 5, "window_minutes": 60}
COST = {"max_cost_ratio": 1.5, "min_runs": 5, "window_minutes": 60}


class Rollout:
    """An agent whose version 2 rolls out to a half, and runs of either that never were."""

    def __init__(self, world: World, project: Tenant, agent_id: str, run_id: str) -> None:
        self.world, self.project, self.id, self._run_id = world, project, agent_id, run_id

    @classmethod
    async def prepared(cls, world: World, project: Tenant) -> "Rollout":
        agent = await project.agent()
        run = await project.run((await project.smith(agent_id=agent["id"]))["id"])
        world.do("update runs set agent_version = null where id = %s", run["id"])
        ok(await project.api.post(f"/v1/agents/{agent['id']}/versions"))
        return cls(world, project, agent["id"], run["id"])

    def ran(self, version: int | None, *statuses: str, cost: int | None = None, minutes_ago: float = 0) -> None:
        """Have runs of a version end so: copies of the one run that there was."""
        began = (now() - timedelta(minutes=minutes_ago)).isoformat()
        for status in statuses:
            how = {"agent_version": version, "status": status, "cost_micros": cost, "created_at": began}
            unlike = json.dumps(how | {"id": (run_id := new_id("run")), "thread_id": run_id})
            copy = "select (jsonb_populate_record(runs, %s::jsonb)).* from runs where id = %s"
            self.world.do(f"insert into runs {copy}", unlike, self._run_id)

    def began(self, minutes_ago: float) -> None:
        began = "update agents set rollout_began_at = now() - make_interval(secs => %s) where id = %s"
        self.world.do(began, minutes_ago * 60, self.id)

    async def check(self) -> bool:
        platform = access.platform(self.project.id)
        async with transaction(platform.tenancy) as session:
            return await guards.check(session, platform, self.id)

    async def shown(self) -> dict[str, Any]:
        return dict(ok(await self.project.api.get(f"/v1/agents/{self.id}")))

    async def begin(self, percent: int = 50, **guard: Any) -> dict[str, Any]:
        asked = {"version": 2, "percent": percent, "guard": guard}
        return dict(ok(await self.project.api.post(f"/v1/agents/{self.id}/rollout", json=asked)))


@pytest.fixture(scope="module", autouse=True)
def unwatched() -> Iterator[None]:
    """The engine of this file's world looks once, when nothing is there yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "SECONDS", 3600)
        yield


@pytest.fixture
async def rollout(world: World, project: Tenant) -> Rollout:
    return await Rollout.prepared(world, project)


async def test_a_rollout_that_fails_too_often_is_taken_back_and_says_why(world: World, rollout: Rollout) -> None:
    before = await rollout.begin(**RATE)
    rollout.ran(2, "completed", "completed", "completed", "failed", "failed", cost=2_000)
    rollout.ran(1, "completed", "failed", "completed", "completed", cost=1_000)
    assert await rollout.check()
    after = await rollout.shown()
    assert (after["active_version"], after["rollout_version"], after["rollout_percent"]) == (1, None, 0)
    assert after["guard"] is None
    halted = after["halted"]
    assert after["updated_at"] > before["updated_at"]
    assert (halted["version"], halted["percent"], halted["broke"]) == (2, 50, "max_failure_rate")
    assert halted["rollout"] == {"ended": 5, "failed": 2, "failure_rate": 0.4, "mean_cost": 0.002}
    assert halted["active"] == {"version": 1, "ended": 4, "failed": 1, "failure_rate": 0.25, "mean_cost": 0.001}
    assert halted["guard"] == RATE | {"max_cost_ratio": None}
    ((data, actor),) = world.ask(f"select data, actor from events {TOLD}", rollout.id)
    assert (data["version"], data["figures"]["rollout"], actor) == (2, halted["rollout"], None)
    noted = "select actor ->> 'kind', details -> 'broke' from audit where resource_id = %s and action like '%%halted'"
    assert world.ask(noted, rollout.id) == [("platform", "max_failure_rate")]


TOLD = "where type = 'agent.rollout_halted' and data ->> 'agent_id' = %s"


async def test_a_rollout_that_costs_too_much_is_taken_back(rollout: Rollout) -> None:
    await rollout.begin(**COST)
    rollout.ran(1, *["completed"] * 3, cost=1_000)
    rollout.ran(2, *["completed"] * 5, cost=1_500)
    assert not await rollout.check()
    rollout.ran(2, "completed", cost=1_600)
    assert await rollout.check()
    assert (await rollout.shown())["halted"]["broke"] == "max_cost_ratio"


@pytest.mark.parametrize("cost", [None, 0])
async def test_nothing_is_dearer_than_what_has_no_known_cost(rollout: Rollout, cost: int | None) -> None:
    await rollout.begin(**COST)
    rollout.ran(1, *["completed"] * 5, cost=cost)
    rollout.ran(2, *["completed"] * 5, cost=1_000)
    assert not await rollout.check()


async def test_with_too_few_ended_runs_nothing_is_judged(rollout: Rollout) -> None:
    await rollout.begin(**RATE)
    rollout.ran(2, "failed", "failed", "failed", "failed", "queued")
    assert not await rollout.check()
    rollout.ran(2, "cancelled")
    assert await rollout.check()


async def test_a_bound_that_is_just_reached_holds(rollout: Rollout) -> None:
    await rollout.begin(**RATE)
    rollout.ran(2, "failed", *["completed"] * 4)
    assert not await rollout.check()


async def test_only_runs_of_the_window_count(rollout: Rollout) -> None:
    await rollout.begin(**RATE | {"window_minutes": 10})
    rollout.began(60)
    rollout.ran(2, *["failed"] * 5, minutes_ago=11)
    assert not await rollout.check()
    rollout.ran(2, *["failed"] * 5, minutes_ago=9)
    assert await rollout.check()


async def test_runs_from_before_the_rollout_do_not_count_against_it(rollout: Rollout) -> None:
    rollout.ran(2, *["failed"] * 9, minutes_ago=5)
    await rollout.begin(**RATE)
    assert not await rollout.check()
    rollout.ran(2, *["failed"] * 5)
    assert await rollout.check()
    again = await rollout.begin(**RATE)
    assert again["halted"] is None
    assert not await rollout.check()


async def test_a_share_that_is_raised_is_judged_from_its_beginning(rollout: Rollout) -> None:
    await rollout.begin(20, **RATE)
    rollout.ran(2, *["failed"] * 4)
    await rollout.begin(40, **RATE)
    rollout.ran(2, "failed")
    assert await rollout.check()


async def test_runs_of_a_draft_and_of_other_versions_do_not_count(rollout: Rollout) -> None:
    await rollout.begin(**RATE)
    rollout.ran(None, *["failed"] * 9)
    rollout.ran(3, *["failed"] * 9)
    rollout.ran(1, *["failed"] * 9)
    assert not await rollout.check()


async def test_without_a_guard_nothing_is_taken_back(rollout: Rollout) -> None:
    await rollout.begin(**RATE)
    ok(await rollout.project.api.post(f"/v1/agents/{rollout.id}/rollout", json={"version": 2, "guard": None}))
    rollout.ran(2, *["failed"] * 9)
    assert not await rollout.check()
    assert (await rollout.shown())["active_version"] == 2


async def test_of_many_engines_one_takes_a_rollout_back(world: World, rollout: Rollout) -> None:
    await rollout.begin(**RATE)
    rollout.ran(2, *["failed"] * 5)
    done = await asyncio.gather(*[watch.check_all() for _ in range(6)])
    assert sum(done) == 1
    assert world.ask(f"select count(*) from events {TOLD}", rollout.id) == [(1,)]


async def test_an_engine_takes_a_rollout_back_unasked(world: World, rollout: Rollout) -> None:
    await rollout.begin(**RATE)
    rollout.ran(2, *["failed"] * 5)
    watching = asyncio.create_task(watch.watch_forever())

    async def halted() -> bool:
        return (await rollout.shown())["halted"] is not None

    await until(halted)
    watching.cancel()


async def test_an_engine_sees_guarded_rollouts_of_every_project_and_one_that_fails_stops_no_other(
    world: World, rollout: Rollout, other: Tenant
) -> None:
    theirs = await Rollout.prepared(world, other)
    for one in (rollout, theirs):
        await one.begin(**RATE)
        one.ran(2, *["failed"] * 5)
    world.do("update agents set guard = '{\"broken\": 1}' where id = %s", rollout.id)
    assert await watch.check_all() == 1
    assert (await theirs.shown())["halted"]["version"] == 2
    world.do("update agents set guard = null where id = %s", rollout.id)


async def test_an_archived_agent_is_left_alone(world: World, rollout: Rollout) -> None:
    await rollout.begin(**RATE)
    rollout.ran(2, *["failed"] * 5)
    world.do("update agents set archived_at = now() where id = %s", rollout.id)
    assert not await rollout.check()
