"""Conversations: what was said on a thread, read back; and nothing of it left once it is deleted."""

import asyncio
from typing import Any

import pytest

from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import conversations, frames, recollections, summaries
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import InvalidCursor, Place, cursor
from tests.world import Tenant, World, ok, until


async def told(tenant: Caller, smith_id: str, limit: int = 50) -> list[tuple[str, Any]]:
    """Return every message of the thread `t`, oldest first, read page by page."""
    found: list[tuple[str, Any]] = []
    place = Place(limit)
    while True:
        async with transaction(tenant.tenancy) as session:
            page = await conversations.messages(session, tenant, smith_id, "t", place)
        found += [(message.role, message.content[0].get("text")) for message in page.data]
        if page.next_cursor is None:
            return found[::-1]
        place = Place(limit, page.next_cursor)


@pytest.fixture
async def smith_id(project: Tenant) -> str:
    return str((await project.smith())["id"])


@pytest.mark.parametrize("limit", [1, 2, 5, 50])
async def test_messages_are_all_there_and_in_order_whatever_the_page(
    tenant: Caller, project: Tenant, smith_id: str, limit: int
) -> None:
    for number in range(3):
        await project.run(smith_id, f"turn {number}", thread_id="t")
    said = [(role, f"turn {number}") for number in range(3) for role in ("user", "assistant")]
    assert await told(tenant, smith_id, limit) == said


async def test_turns_under_way_are_told_and_failed_ones_are_not(tenant: Caller, project: Tenant) -> None:
    smith = await project.smith(model="test/fail")
    await project.run(smith["id"], "in vain", thread_id="t")
    ok(await project.api.patch(f"/v1/smiths/{smith['id']}", json={"model": "test/slow"}))
    path, body = f"/v1/smiths/{smith['id']}/runs", {"thread_id": "t", "background": True}
    for words in ("[[pause 9s]] first", "second"):
        ok(await project.api.post(path, json=body | {"input": [{"content": words}]}))
    assert await told(tenant, smith["id"]) == [("user", "[[pause 9s]] first"), ("user", "second")]
    ok(await project.api.delete(f"/v1/smiths/{smith['id']}/threads/t"))


@pytest.mark.parametrize("made_up", [cursor("x", "1"), cursor(1, "x"), cursor(-1, "1"), cursor(2**70, "1"), "∞"])
async def test_a_cursor_of_one_s_own_is_refused(tenant: Caller, project: Tenant, smith_id: str, made_up: str) -> None:
    await project.run(smith_id, thread_id="t")
    with pytest.raises(InvalidCursor):
        async with transaction(tenant.tenancy) as session:
            await conversations.messages(session, tenant, smith_id, "t", Place(5, made_up))


async def test_a_deleted_thread_leaves_what_its_runs_used_and_nothing_else(
    world: World, tenant: Caller, project: Tenant, smith_id: str
) -> None:
    run = await project.run(smith_id, "my secret", thread_id="t", metadata={"secret": 1})
    beside = await project.run(smith_id, "another secret", thread_id="u")
    body = {"input": [{"content": "a secret in a kept answer"}], "thread_id": "t", "background": True}
    path = f"/v1/smiths/{smith_id}/runs"
    kept = ok(await project.api.post(path, json=body, headers={"Idempotency-Key": "k"}))

    async def ended() -> bool:
        return bool(ok(await project.api.get(f"{path}/{kept['id']}"))["status"] == "completed")

    await until(ended)
    async with transaction(tenant.tenancy) as session:
        assert await recollections.catch_up(session, tenant.project_id, smith_id) == 3
    ok(await project.api.delete(f"/v1/smiths/{smith_id}/threads/t"))
    async with transaction(tenant.tenancy) as session:
        assert await recollections.catch_up(session, tenant.project_id, smith_id) == 0
    shown = ok(await project.api.get(f"{path}/{run['id']}"))
    assert (shown["usage"], shown["status"], shown["created_at"]) == (run["usage"], "completed", run["created_at"])
    assert (shown["input"], shown["output"], shown["metadata"], shown["thread_id"]) == ([], None, {}, "")
    for table in ("runs", "frames", "transcripts", "threads", "recollections"):
        assert "my secret" not in str(world.ask(f"select t::text from {table} t where project_id = %s", project.id))
    assert world.ask("select count(*) from idempotency_keys where key = 'k'") == [(0,)]
    assert ok(await project.api.get(f"{path}/{beside['id']}")) == beside
    assert world.ask("select run_count from threads where smith_id = %s", smith_id) == [(1,)]
    again = await project.run(smith_id, "a new beginning", thread_id="t")
    assert again["usage"]["input_tokens"] == 3
    assert ok(await project.api.get(path, params={"thread_id": "t"}))["data"] == [again]


async def test_a_run_under_way_is_stopped_and_its_late_words_bring_nothing_back(
    world: World, tenant: Caller, project: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "CHECKED_EVERY_SECONDS", 0.2)
    smith = await project.smith(model="test/slow")
    path = f"/v1/smiths/{smith['id']}"
    body = {"input": [{"content": "[[pause 5ms]] [[words 2000]] on"}], "thread_id": "t", "background": True}
    runs = [ok(await project.api.post(f"{path}/runs", json=body)) for _ in range(3)]

    async def speaks() -> bool:
        return bool(world.ask("select 1 from frames where run_id = %s and seq > 2", runs[0]["id"]))

    await until(speaks)
    async with transaction(tenant.tenancy) as session:  # without asking it to stop first
        await conversations.remove(session, tenant, smith["id"], "t")
    watched = await asyncio.wait_for(project.api.get(f"{path}/runs/{runs[0]['id']}/events"), 8)
    assert "message.delta" not in watched.text
    await project.run(smith["id"], "[[pause 0ms]] after it", thread_id="t")
    for run in runs:
        assert ok(await project.api.get(f"{path}/runs/{run['id']}"))["status"] == "cancelled"
        assert world.ask("select count(*) from frames where run_id = %s", run["id"]) == [(0,)]
        assert world.ask("select count(*) from transcripts where run_id = %s", run["id"]) == [(0,)]


async def test_deleting_and_writing_at_once_leave_a_whole_thread_or_none(
    world: World, tenant: Caller, project: Tenant, smith_id: str
) -> None:
    async def delete() -> None:
        try:
            async with transaction(tenant.tenancy) as session:
                await conversations.remove(session, tenant, smith_id, "t")
        except NotFound:
            pass

    await asyncio.gather(*(deed for _ in range(12) for deed in (delete(), project.run(smith_id, "hi", thread_id="t"))))
    await project.run(smith_id, "the last", thread_id="t")
    ((count,),) = world.ask("select run_count from threads where smith_id = %s and id = 't'", smith_id)
    turns = world.ask("select turn from runs where smith_id = %s and thread_id = 't' order by turn", smith_id)
    assert turns == [(number,) for number in range(1, count + 1)]
    async with transaction(tenant.tenancy) as session:
        kept = (await summaries.past(session, tenant.project_id, smith_id, "t")).text
    assert kept.count('"hi"') == 2 * (count - 1)
