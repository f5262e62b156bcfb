"""The feed: every change has its event, every event its change, and nobody who follows it misses one."""

import asyncio
import itertools
from typing import Any

import pytest

from ingram_app.core.database import transaction
from ingram_app.core.ids import new_id
from ingram_app.core.migrations import migrate
from ingram_app.domain import events
from ingram_app.domain.access import Caller
from ingram_app.domain.event_types import SmithArchived
from ingram_app.domain.paging import Place
from tests.world import Tenant, World, error, ok, until


async def test_an_event_has_the_shape_of_the_contract(project: Tenant) -> None:
    made = await project.smith(external_id="told")
    [event] = ok(await project.api.get("/v1/events", params={"smith_id": made["id"]}))["data"]
    assert event["id"].startswith("evt_")
    assert event == {
        "v": 1,
        "id": event["id"],
        "type": "smith.created",
        "tenant_id": project.id,
        "smith_id": made["id"],
        "data": {"external_id": "told", "agent_id": made["agent_id"]},
        "actor": event["actor"],
        "created_at": event["created_at"],
    }
    assert (event["actor"]["kind"], event["actor"]["id"]) == ("tenant", project.id)


async def test_a_change_that_fails_has_no_event(tenant: Caller) -> None:
    smith_id = new_id("smt")

    async def fail() -> None:
        async with transaction(tenant.tenancy) as session:
            await events.tell(session, tenant, SmithArchived(None), smith_id=smith_id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with transaction(tenant.tenancy) as session:
        assert (await events.browse(session, tenant, smith_id=smith_id)).data == []


async def told_of(tenant: Tenant, smith_id: str, run_id: str) -> dict[str, Any]:
    """Return the one event of the family `run` that tells of a run, once there is one."""

    async def found() -> list[dict[str, Any]]:
        told = ok(await tenant.api.get("/v1/events", params={"type": "run", "smith_id": smith_id}))["data"]
        return [event for event in told if event["data"]["run_id"] == run_id]

    [event] = await until(found)
    return dict(event)


async def test_the_end_of_a_run_is_told_with_what_it_took(project: Tenant) -> None:
    smith = await project.smith(model="test/echo")
    run = await project.run(smith["id"])
    event = await told_of(project, smith["id"], run["id"])
    assert (event["type"], event["smith_id"], event["actor"]) == ("run.completed", smith["id"], None)
    assert event["data"] == {
        "run_id": run["id"],
        "thread_id": run["thread_id"],
        "agent_id": smith["agent_id"],
        "agent_version": run["agent_version"],
        "status": "completed",
        "stop_reason": "stop",
        "usage": run["usage"],
    }


async def test_a_run_that_fails_is_told_with_its_error(project: Tenant) -> None:
    smith = await project.smith(model="test/fail")
    run = await project.run(smith["id"])
    event = await told_of(project, smith["id"], run["id"])
    assert (event["type"], event["data"]["status"]) == ("run.failed", "failed")
    assert event["data"]["error"] == run["error"]
    assert run["error"]["code"]


async def test_a_run_that_is_stopped_is_told_whether_it_was_carried_or_waited(project: Tenant) -> None:
    smith = await project.smith(model="test/slow")
    path = f"/v1/smiths/{smith['id']}/runs"
    asked = {"input": [{"content": "[[pause 30s]] wait"}], "thread_id": "t", "background": True}
    carried, waiting = [ok(await project.api.post(path, json=asked))["id"] for _ in range(2)]

    async def begun() -> bool:
        return bool(ok(await project.api.get(f"{path}/{carried}"))["status"] == "running")

    await until(begun)
    for run_id, actor in ((waiting, "tenant"), (carried, None)):
        stop = {"kind": "cancel", "reason": "enough"}
        ok(await project.api.post(f"{path}/{run_id}/submit", json=stop))
        event = await told_of(project, smith["id"], run_id)
        assert (event["type"], event["data"]["status"], event["data"]["reason"]) == (
            "run.cancelled",
            "cancelled",
            "enough",
        )
        assert (event["actor"] and event["actor"]["kind"]) == actor


async def test_runs_that_end_with_their_project_are_told(world: World) -> None:
    tenant = await world.tenant("Short-lived")
    smith = await tenant.smith(model="test/slow")
    path = f"/v1/smiths/{smith['id']}/runs"
    asked = {"input": [{"content": "[[pause 30s]] wait"}], "thread_id": "t", "background": True}
    made = [ok(await tenant.api.post(path, json=asked))["id"] for _ in range(2)]
    assert (await world.organization_api.delete(f"/v1/organization/projects/{tenant.id}")).status_code == 204

    async def told() -> bool:
        query = "select data ->> 'run_id' from events where project_id = %s and type = 'run.cancelled'"
        return {run_id for (run_id,) in world.ask(query, tenant.id)} == set(made)

    await until(told)


@pytest.mark.parametrize("asked", ["smith.created", "smith", "smith."])
async def test_a_type_is_asked_for_exactly_or_by_its_family(project: Tenant, asked: str) -> None:
    await project.smith()
    found = ok(await project.api.get("/v1/events", params={"type": asked}))["data"]
    assert {event["type"] for event in found} == {"smith.created"}


@pytest.mark.parametrize("asked", ["smit", "smith.create", "created", "%", "."])
async def test_a_part_of_a_type_is_no_family(project: Tenant, asked: str) -> None:
    await project.smith()
    assert ok(await project.api.get("/v1/events", params={"type": asked}))["data"] == []


async def test_the_feed_is_paged_and_a_cursor_of_another_list_is_refused(project: Tenant) -> None:
    api = project.api
    for _ in range(5):
        await project.smith()
    whole = [event["id"] for event in ok(await api.get("/v1/events"))["data"]]
    seen, cursor = [], None
    for _ in itertools.count():
        found = ok(await api.get("/v1/events", params={"limit": 2} | ({"cursor": cursor} if cursor else {})))
        seen += [event["id"] for event in found["data"]]
        if not (cursor := found["next_cursor"]):
            break
    assert seen == whole
    other = ok(await api.get("/v1/smiths", params={"limit": 1}))["next_cursor"]
    error(await api.get("/v1/events", params={"cursor": other}), 400, "invalid_cursor", "cursor")


async def test_a_smith_s_token_does_not_read_the_feed(project: Tenant) -> None:
    person = await project.person()
    error(await person.api.get("/v1/events"), 403, "tenant_token_required")


async def test_events_of_another_project_are_not_there(project: Tenant, other: Tenant) -> None:
    made = await project.smith()
    assert ok(await other.api.get("/v1/events", params={"smith_id": made["id"]}))["data"] == []


async def test_who_follows_the_feed_misses_none_of_what_racing_writers_tell(tenant: Caller) -> None:
    """Twelve transactions begin, write and end in no order; a reader walks from the newest down to what it knows."""
    told, read = set[str](), list[str]()
    over = asyncio.Event()

    async def write(number: int) -> None:
        for turn in range(8):
            async with transaction(tenant.tenancy) as session:
                smith_id = new_id("smt")
                await events.tell(session, tenant, SmithArchived("first"), smith_id=smith_id)
                for _ in range((number * 7 + turn * 3) % 5):
                    await asyncio.sleep(0)
                await events.tell(session, tenant, SmithArchived("second"), smith_id=smith_id)
            told.add(smith_id)

    async def follow() -> None:
        while True:
            last_look = over.is_set()
            fresh: list[events.Event] = []
            place = Place(limit=3)
            while True:
                async with transaction(tenant.tenancy) as session:
                    found = await events.browse(session, tenant, place, type="smith.archived")
                news = list(itertools.takewhile(lambda event: event.id not in read, found.data))
                fresh += news
                if len(news) < len(found.data) or found.next_cursor is None:
                    break
                place = Place(limit=3, cursor=found.next_cursor)
            read.extend(event.id for event in reversed(fresh))
            if last_look:
                return

    reader = asyncio.create_task(follow())
    await asyncio.gather(*(write(number) for number in range(12)))
    over.set()
    await reader
    async with transaction(tenant.tenancy) as session:
        rows = (await events.browse(session, tenant, Place(limit=200), type="smith.archived")).data
    assert {row.smith_id for row in rows} == told
    assert [row.id for row in reversed(rows)] == read
    assert len(set(read)) == 2 * 12 * 8


async def test_an_event_is_held_back_while_an_earlier_one_may_still_come(tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as slow:
        await events.tell(slow, tenant, SmithArchived("slow"), smith_id="smt_slow")
        async with transaction(tenant.tenancy) as fast:
            await events.tell(fast, tenant, SmithArchived("fast"), smith_id="smt_fast")
        async with transaction(tenant.tenancy) as session:
            assert (await events.browse(session, tenant, smith_id="smt_fast")).data == []
    async with transaction(tenant.tenancy) as session:
        found = (await events.browse(session, tenant, Place(limit=2))).data
    assert [event.smith_id for event in found] == ["smt_fast", "smt_slow"]


async def test_in_a_restored_database_new_events_come_after_the_old(
    world: World, tenant: Caller, fresh_database: str
) -> None:
    world.do("update events set position = position + 1000000 where smith_id = 'smt_slow'")
    migrate(fresh_database)
    async with transaction(tenant.tenancy) as session:
        await events.tell(session, tenant, SmithArchived("after"), smith_id="smt_after")
    async with transaction(tenant.tenancy) as session:
        found = (await events.browse(session, tenant, Place(limit=2))).data
    assert [event.smith_id for event in found] == ["smt_after", "smt_slow"]
