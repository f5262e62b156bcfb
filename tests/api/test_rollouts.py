"""Rollouts: a stable share of an agent's smiths runs a version, by one row, and what that does is told before."""

import asyncio
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from ingram_app.core.ids import new_id
from tests.api.test_queries import counting
from tests.world import Client, Tenant, World, error, ok

GUARD = {"max_failure_rate": 0.2, "max_cost_ratio": None, "min_runs": 5, "window_minutes": 60}


def bucket(agent_id: str, smith_id: str) -> int:
    """The contract's formula."""
    return int.from_bytes(sha256(f"{agent_id}:{smith_id}".encode()).digest(), "big") % 10_000


async def publish(api: Client, agent_id: str, **changes: Any) -> int:
    """Publish a version with these changes; return its number."""
    if changes:
        ok(await api.patch(f"/v1/agents/{agent_id}", json=changes))
    return int(ok(await api.post(f"/v1/agents/{agent_id}/versions"))["version"])


async def roll_out(api: Client, agent_id: str, version: int, percent: int = 100, **more: Any) -> dict[str, Any]:
    asked = {"version": version, "percent": percent, **more}
    return dict(ok(await api.post(f"/v1/agents/{agent_id}/rollout", json=asked)))


async def plan(api: Client, agent_id: str, version: int, percent: int = 100, **more: Any) -> dict[str, Any]:
    asked = {"version": version, "percent": percent, **more}
    return dict(ok(await api.post(f"/v1/agents/{agent_id}/rollout", params={"dry_run": True}, json=asked)))


async def running(api: Client, agent_id: str) -> dict[str, int]:
    """Return the version that each of the agent's smiths runs."""
    found = ok(await api.get("/v1/smiths", params={"agent_id": agent_id, "limit": 200}))["data"]
    return {smith["id"]: smith["agent_version"] for smith in found}


def populate(world: World, agent_id: str, number: int) -> None:
    """Give an agent many smiths at once."""
    columns = "id, project_id, agent_id, metadata, overrides, created_at, updated_at"
    world.do(
        f"insert into smiths ({columns}) select 'smt_' || md5(agents.id || n), project_id, agents.id, '{{}}', '{{}}',"
        " now(), now() from agents, generate_series(1, %s) n where id = %s",
        number,
        agent_id,
    )


@pytest.fixture(scope="module")
async def crowd(world: World, project: Tenant) -> str:
    """An agent with two versions and 10,000 smiths."""
    agent = await project.agent(instructions="one")
    populate(world, agent["id"], 10_000)
    await publish(project.api, agent["id"], instructions="two")
    return str(agent["id"])


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), st.text("0aZz:é\\", max_size=30))
async def test_the_database_s_bucket_is_the_contract_s(world: World, agent_id: str, smith_id: str) -> None:
    ((found,),) = world.ask("select smith_bucket(%s, %s)", agent_id, smith_id)
    assert found == bucket(agent_id, smith_id)


async def test_a_share_of_ten_thousand_is_within_one_percent_of_what_was_asked(world: World) -> None:
    """Of ids that are the same at each run: of any, one in twenty shares of a half is further off."""
    buckets = world.ask("select smith_bucket('agt_1', 'smt_' || n) from generate_series(1, 10000) n")
    for percent in range(101):
        share = sum(place < percent * 100 for (place,) in buckets) / len(buckets)
        assert abs(share - percent / 100) < 0.01, percent


@settings(max_examples=20, deadline=None)
@given(percents=st.lists(st.integers(1, 99), min_size=2, max_size=3, unique=True).map(sorted))
async def test_raising_a_share_only_adds_smiths(world: World, api: Client, crowd: str, percents: list[int]) -> None:
    everyone = [smith_id for (smith_id,) in world.ask("select id from smiths where agent_id = %s", crowd)]
    before: set[str] = set()
    for percent in percents:
        shown = await roll_out(api, crowd, 2, percent)
        assert (shown["active_version"], shown["rollout_version"], shown["rollout_percent"]) == (1, 2, percent)
        moved = {smith_id for (smith_id,) in world.ask(RUNNING, crowd, 2)}
        assert moved == {smith_id for smith_id in everyone if bucket(crowd, smith_id) < percent * 100}
        assert before <= moved
        assert (await plan(api, crowd, 2, 0))["moves"] == len(moved)
        before = moved
    await roll_out(api, crowd, 2, 0)
    assert world.ask(RUNNING, crowd, 2) == []


RUNNING = (
    "select s.id from smiths s join agents a on a.id = s.agent_id where a.id = %s and %s = coalesce(s.pin, case"
    " when s.bucket < a.rollout_percent * 100 then a.rollout_version else a.active_version end)"
)


async def test_a_share_of_the_smiths_is_shown_on_the_version_it_runs(
    world: World, api: Client, project: Tenant
) -> None:
    agent = await project.agent(instructions="one")
    populate(world, agent["id"], 40)
    await publish(api, agent["id"], instructions="two")
    await roll_out(api, agent["id"], 2, 33)
    shown = await running(api, agent["id"])
    expected = {smith_id: 2 if bucket(agent["id"], smith_id) < 3300 else 1 for smith_id in shown}
    assert shown == expected
    assert set(shown.values()) == {1, 2}
    for smith_id, version in list(shown.items())[:5]:
        smith = ok(await api.get(f"/v1/smiths/{smith_id}"))
        assert (smith["agent_version"], smith["instructions"]) == (version, "one" if version == 1 else "two")
        assert "bucket" not in smith
        assert (await project.run(smith_id))["agent_version"] == version


async def test_a_rollout_moves_every_smith_and_writes_none(world: World, api: Client, project: Tenant) -> None:
    agent = await project.agent(instructions="one")
    smiths = [await project.smith(agent_id=agent["id"]) for _ in range(3)]
    before = world.ask("select xmin, s.* from smiths s order by id")
    await publish(api, agent["id"], instructions="two")
    await roll_out(api, agent["id"], 2, 50)
    moved = await roll_out(api, agent["id"], 2)
    assert (moved["active_version"], moved["rollout_version"], moved["rollout_percent"]) == (2, None, 0)
    assert (moved["previous_version"], moved["smith_count"]) == (1, 3)
    for smith in smiths:
        shown = ok(await api.get(f"/v1/smiths/{smith['id']}"))
        assert (shown["instructions"], shown["agent_version"]) == ("two", 2)
    assert (await roll_out(api, agent["id"], 1))["previous_version"] == 2
    assert world.ask("select xmin, s.* from smiths s order by id") == before


async def test_the_same_call_again_changes_nothing(world: World, api: Client, project: Tenant) -> None:
    agent = await project.agent()
    await publish(api, agent["id"])
    for percent, more in ((33, {"guard": GUARD}), (33, {}), (50, {}), (50, {"guard": None}), (100, {}), (0, {})):
        first = await roll_out(api, agent["id"], 2, percent, **more)
        before = world.ask(WRITTEN)
        assert await roll_out(api, agent["id"], 2, percent, **more) == first
        assert world.ask(WRITTEN) == before


WRITTEN = "select (select count(*) from events), (select count(*) from audit), (select max(xmin::text) from agents)"


async def test_zero_takes_a_rollout_back(api: Client, project: Tenant) -> None:
    agent = await project.agent()
    await publish(api, agent["id"])
    await roll_out(api, agent["id"], 2, 33)
    back = await roll_out(api, agent["id"], 2, 0)
    assert (back["active_version"], back["rollout_version"], back["rollout_percent"]) == (1, None, 0)
    await roll_out(api, agent["id"], 2, 33)
    again = await roll_out(api, agent["id"], 1, 100)
    assert (again["active_version"], again["rollout_version"], again["rollout_percent"]) == (1, None, 0)


async def test_a_rollout_is_told_and_written_down(world: World, api: Client, project: Tenant) -> None:
    agent = await project.agent()
    await publish(api, agent["id"])
    for percent in (33, 33, 100):
        await roll_out(api, agent["id"], 2, percent)
    told = world.ask(
        "select data - 'agent_id' from events where type = 'agent.rolled_out' and data ->> 'agent_id' = %s order by id",
        agent["id"],
    )
    assert told == [({"version": 2, "percent": 33},), ({"version": 2, "percent": 100},)]
    noted = "select details from audit where resource_id = %s and action = 'agent.rolled_out' order by id"
    assert [details["percent"] for (details,) in world.ask(noted, agent["id"])] == [33, 100]


async def test_a_pinned_smith_stays(api: Client, project: Tenant) -> None:
    agent = await project.agent(instructions="one")
    pinned = await project.smith(agent_id=agent["id"], pin=1)
    await publish(api, agent["id"], instructions="two")
    assert (await plan(api, agent["id"], 2)) | {"changes": []} == {
        "moves": 0, "shielded_by_pin": 1, "shielded_by_override": {}, "changes": [],
    }  # fmt: skip
    await roll_out(api, agent["id"], 2)
    assert ok(await api.get(f"/v1/smiths/{pinned['id']}"))["instructions"] == "one"
    ok(await api.patch(f"/v1/smiths/{pinned['id']}", json={"pin": None}))
    assert ok(await api.get(f"/v1/smiths/{pinned['id']}"))["instructions"] == "two"


async def test_twelve_racing_rollouts_leave_one_of_them_standing(api: Client, project: Tenant) -> None:
    agent = await project.agent()
    for _ in range(3):
        await publish(api, agent["id"])
    asked = [(1 + number % 4, (10, 50, 100)[number % 3]) for number in range(12)]
    shown = await asyncio.gather(*[roll_out(api, agent["id"], *one) for one in asked])
    left = await roll_out(api, agent["id"], (last := ok(await api.get(f"/v1/agents/{agent['id']}")))["active_version"])
    assert last["active_version"] in (1, 2, 3, 4)
    assert (last["rollout_version"], last["rollout_percent"]) in {
        (one["rollout_version"], one["rollout_percent"]) for one in shown
    }
    assert (left["active_version"], left["rollout_version"]) == (last["active_version"], None)


@pytest.mark.parametrize("version", [0, -1, 7, 2**31, 2**70])
async def test_what_was_not_published_can_not_be_rolled_out(api: Client, project: Tenant, version: int) -> None:
    for agent in (await project.agent(publish=False), await project.agent()):
        for dry_run in (False, True):
            path = f"/v1/agents/{agent['id']}/rollout"
            answer = await api.post(path, params={"dry_run": dry_run}, json={"version": version})
            error(answer, 422, "agent_unpublished", "version")


@pytest.mark.parametrize("percent", [-1, 101, 33.5, 33.0, True, "33", None, [33], 10**40, {"x": 1}])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_percentage_is_a_whole_number_to_100(
    api: Client, project: Tenant, percent: object, dry_run: bool
) -> None:
    agent = await project.agent()
    path = f"/v1/agents/{agent['id']}/rollout"
    answer = await api.post(path, params={"dry_run": dry_run}, json={"version": 1, "percent": percent})
    error(answer, 422, "invalid_percent", "percent")


@pytest.mark.parametrize("version", [True, "1", 1.5, None])
async def test_a_version_is_a_number(api: Client, project: Tenant, version: object) -> None:
    agent = await project.agent()
    answer = await api.post(f"/v1/agents/{agent['id']}/rollout", json={"version": version})
    error(answer, 422, "schema_error", "version")


async def test_a_guard_is_kept_until_it_is_taken_off_or_the_rollout_ends(api: Client, project: Tenant) -> None:
    agent = await project.agent()
    for _ in range(2):
        await publish(api, agent["id"])
    assert (await roll_out(api, agent["id"], 2, 10, guard=GUARD))["guard"] == GUARD
    assert (await roll_out(api, agent["id"], 2, 20))["guard"] == GUARD
    assert (await roll_out(api, agent["id"], 2, 20, guard=None))["guard"] is None
    await roll_out(api, agent["id"], 2, 20, guard=GUARD)
    assert (await roll_out(api, agent["id"], 3, 20))["guard"] is None
    await roll_out(api, agent["id"], 3, 20, guard=GUARD)
    assert (await roll_out(api, agent["id"], 3))["guard"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"max_failure_rate": None}, {"max_failure_rate": 1}, {"max_failure_rate": -0.1}, {"max_failure_rate": "0.2"},
        {"max_failure_rate": True}, {"max_cost_ratio": 0}, {"max_cost_ratio": -1}, {"min_runs": 0}, {"min_runs": 1.5},
        {"min_runs": True}, {"min_runs": None}, {"window_minutes": 0}, {"window_minutes": 10_081}, {"more": 1},
    ],
)  # fmt: skip
async def test_a_guard_that_makes_no_sense_is_refused(api: Client, project: Tenant, change: dict[str, Any]) -> None:
    agent = await project.agent()
    await publish(api, agent["id"])
    for dry_run in (False, True):
        asked = {"version": 2, "percent": 10, "guard": GUARD | change}
        answer = await api.post(f"/v1/agents/{agent['id']}/rollout", params={"dry_run": dry_run}, json=asked)
        assert error(answer, 422, "invalid_guard")["param"].startswith("guard")


@pytest.mark.parametrize("guard", [[], "x", 3, {}, True])
async def test_a_guard_is_an_object(api: Client, project: Tenant, guard: object) -> None:
    agent = await project.agent()
    answer = await api.post(f"/v1/agents/{agent['id']}/rollout", json={"version": 1, "percent": 10, "guard": guard})
    error(answer, 422, "invalid_guard", ...)


@pytest.mark.parametrize(("version", "percent"), [(2, 100), (2, 0), (1, 50)])
async def test_a_guard_has_something_to_watch(api: Client, project: Tenant, version: int, percent: int) -> None:
    agent = await project.agent()
    await publish(api, agent["id"])
    asked = {"version": version, "percent": percent, "guard": GUARD}
    error(await api.post(f"/v1/agents/{agent['id']}/rollout", json=asked), 422, "invalid_guard", "guard")


async def test_a_plan_tells_who_moves_and_what_shields_whom_and_writes_nothing(
    world: World, api: Client, project: Tenant
) -> None:
    agent = await project.agent(instructions="one")
    populate(world, agent["id"], 200)
    await publish(api, agent["id"], instructions="two", auto_memory=False)
    smiths = sorted(await running(api, agent["id"]), key=lambda smith_id: bucket(agent["id"], smith_id))
    within = [smith_id for smith_id in smiths if bucket(agent["id"], smith_id) < 3300]
    ok(await api.patch(f"/v1/smiths/{within[0]}", json={"pin": 1}))
    ok(await api.patch(f"/v1/smiths/{within[1]}", json={"instructions": "mine", "model": "test/slow"}))
    ok(await api.patch(f"/v1/smiths/{within[2]}", json={"instructions": "mine", "auto_memory": True}))
    ok(await api.patch(f"/v1/smiths/{smiths[-1]}", json={"instructions": "not in the share"}))
    before = world.ask(f"{WRITTEN}, (select count(*) from idempotency_keys)")
    told = await plan(api, agent["id"], 2, 33, guard=GUARD)
    assert told == {
        "moves": len(within) - 1,
        "shielded_by_pin": 1,
        "shielded_by_override": {"instructions": 2, "auto_memory": 1},
        "changes": [
            {"from_version": 1, "to_version": 2, "field": "instructions", "before": "one", "after": "two"},
            {"from_version": 1, "to_version": 2, "field": "auto_memory", "before": None, "after": False},
        ],
    }
    assert world.ask(f"{WRITTEN}, (select count(*) from idempotency_keys)") == before
    await roll_out(api, agent["id"], 2, 33)
    assert sum(version == 2 for version in (await running(api, agent["id"])).values()) == told["moves"]
    rest = await plan(api, agent["id"], 2)
    assert (rest["moves"], rest["shielded_by_pin"]) == (200 - len(within), 0)
    assert rest["shielded_by_override"] == {"instructions": 1}


async def test_a_plan_from_one_rollout_to_another_tells_each_way_that_smiths_go(
    world: World, api: Client, project: Tenant
) -> None:
    agent = await project.agent(instructions="one")
    populate(world, agent["id"], 100)
    await publish(api, agent["id"], instructions="two")
    await publish(api, agent["id"], model="test/slow")
    await roll_out(api, agent["id"], 2, 20)
    told = await plan(api, agent["id"], 3, 60)
    assert [(one["from_version"], one["to_version"], one["field"]) for one in told["changes"]] == [
        (1, 3, "instructions"), (1, 3, "model"), (2, 3, "model"),
    ]  # fmt: skip
    before = await running(api, agent["id"])
    await roll_out(api, agent["id"], 3, 60)
    after = await running(api, agent["id"])
    assert told["moves"] == sum(before[smith_id] != after[smith_id] for smith_id in before)


async def test_a_plan_of_what_is_so_already_moves_nobody(api: Client, project: Tenant) -> None:
    agent = await project.agent()
    await project.smith(agent_id=agent["id"])
    nothing = {"moves": 0, "shielded_by_pin": 0, "shielded_by_override": {}, "changes": []}
    assert await plan(api, agent["id"], 1) == nothing


async def test_a_plan_and_a_rollout_cost_no_more_with_ten_thousand_smiths(
    api: Client, project: Tenant, crowd: str
) -> None:
    small = await project.agent()
    await project.smith(agent_id=small["id"])
    await publish(api, small["id"])
    asked = []
    for agent_id in (small["id"], crowd):
        with counting() as said:
            await plan(api, agent_id, 2, 7)
            await roll_out(api, agent_id, 2, 7)
        asked.append([one for one in said if "smiths" in one or "agents" in one])
        await roll_out(api, agent_id, 2, 0)
    assert asked[0] == asked[1] != []


async def test_another_s_agent_is_not_there_to_be_rolled_out(api: Client, other: Tenant) -> None:
    foreign = await other.agent()
    for agent_id in (foreign["id"], new_id("agt")):
        for dry_run in (False, True):
            path = f"/v1/agents/{agent_id}/rollout"
            error(await api.post(path, params={"dry_run": dry_run}, json={"version": 1}), 404, "not_found")
