"""Claims: someone who was anonymous signs in, and nothing of what was said is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import connections, memories, memory
from ingram_app.domain.access import TENANT, Actor, Caller
from ingram_app.domain.claims import THREADS
from ingram_app.domain.memories import Fact
from tests.world import Client, Tenant, World, error, ok, until

SLOW = "[[words 40]] [[pause 20ms]] said"
MOVES = {"memories", "vectors", "summaries", "attachments", "tool_calls", "approvals", "connections", *THREADS}
MOVES |= {"sent_traces", "sent_spans", "retrievals", "memory_ops"}
STAYS = {"model_keys", "smith_revisions", "events", "erasures", "memory_documents", "authorizations"}
STAYS |= {"meter_events", "model_calls", "usage_sums"}  # stamps never move
"""What is the anonymous smith's own: its keys and config give way to the user's, its document is added to theirs."""


async def claim(api: Client, smith: dict[str, Any], external_id: str) -> dict[str, Any]:
    return dict(ok(await api.post(f"/v1/smiths/{smith['id']}/claim", json={"external_id": external_id})))


async def said(api: Client, smith_id: str) -> dict[str, list[str]]:
    """Return what was said in each thread, oldest first."""
    told: dict[str, list[str]] = {}
    for run in reversed(ok(await api.get(f"/v1/smiths/{smith_id}/runs"))["data"]):
        told.setdefault(run["thread_id"], []).append(run["input"][0]["content"])
    return told


async def test_a_stranger_s_smith_becomes_the_user_s(world: World, api: Client, project: Tenant) -> None:
    smith = await project.smith(external_id="anon:1", instructions="mine", customer_id=await project.customer())
    await project.run(smith["id"], "before", thread_id="t")
    claimed = await claim(api, smith, "user-1")
    assert claimed == smith | {"external_id": "user-1"}
    assert await claim(api, smith, "user-1") == claimed
    assert (await project.smith(external_id="user-1"))["id"] == smith["id"]
    told = world.ask("select data from events where type = 'smith.claimed' and smith_id = %s", smith["id"])
    assert told == [({"external_id": "user-1", "from_smith_id": None},)]
    noted = world.ask("select count(*) from audit where action = 'smith.claimed' and resource_id = %s", smith["id"])
    assert noted == [(1,)]
    assert (await project.run(smith["id"], "after", thread_id="t"))["usage"]["input_tokens"] > 1


async def test_what_was_said_moves_to_the_smith_that_the_user_has(world: World, api: Client, project: Tenant) -> None:
    mine, other = await project.customer(), await project.customer()
    user = await project.smith(external_id="user-2", customer_id=mine, instructions="mine")
    anonymous = await project.smith(external_id="anon:2", customer_id=other, model="test/echo", metadata={"a": 1})
    for smith, words in ((user, "u1"), (anonymous, "a1"), (anonymous, "a2"), (user, "u2")):
        await project.run(smith["id"], words, thread_id="main")
    await project.run(anonymous["id"], "cart", thread_id="cart")
    claimed = await claim(api, anonymous, "user-2")
    assert claimed == user
    told = await said(api, user["id"])
    assert (told.pop("main"), told.pop("cart")) == (["u1", "u2"], ["cart"])
    ((moved, words),) = told.items()
    assert (moved[:4], words) == ("thr_", ["a1", "a2"])
    threads = {one["id"]: one["run_count"] for one in ok(await api.get(f"/v1/smiths/{user['id']}/threads"))["data"]}
    assert threads == {"main": 2, "cart": 1, moved: 2}
    history = await project.run(user["id"], "again", thread_id=moved)
    assert history["usage"]["input_tokens"] == len(["mine", "a1", "a1", "a2", "a2", "again"])
    error(await api.get(f"/v1/smiths/{anonymous['id']}"), 404, "not_found")
    assert world.ask("select count(*) from threads where smith_id = %s", anonymous["id"]) == [(0,)]
    assert await claim(api, anonymous, "user-2") == user
    told = world.ask(
        "select data->>'from_smith_id' from events where type = 'smith.claimed' and smith_id = %s", user["id"]
    )
    assert told == [(anonymous["id"],)]


async def test_what_was_remembered_of_a_stranger_is_remembered_of_the_user(
    world: World, api: Client, project: Tenant
) -> None:
    user, anonymous = await project.smith(external_id="user-m"), await project.smith(external_id="anon:m")
    for smith, document, facts in (
        (user, "Is called Ann.", ["Likes tea."]),
        (anonymous, "Looked at boots.", ["likes  TEA", "Has a dog."]),
    ):
        ok(await api.put(f"/v1/smiths/{smith['id']}/memory", json={"content": document}))
        for fact in facts:
            ok(await api.post(f"/v1/smiths/{smith['id']}/memories", json={"content": fact}))
    await project.run(anonymous["id"], "where are the red boots", thread_id="t")
    ok(await api.post(f"/v1/smiths/{anonymous['id']}/memory/recall", json={"query": "boots"}))
    await claim(api, anonymous, "user-m")
    path = f"/v1/smiths/{user['id']}"
    assert ok(await api.get(f"{path}/memory"))["content"] == "Is called Ann.\n\nLooked at boots."
    assert {one["content"] for one in ok(await api.get(f"{path}/memories"))["data"]} == {"Likes tea.", "Has a dog."}
    assert "red boots" in str(ok(await api.post(f"{path}/memory/recall", json={"query": "boots"})))
    for table in MOVES:
        assert world.ask(f"select count(*) from {table} where smith_id = %s", anonymous["id"]) == [(0,)], table


async def test_a_document_for_which_there_is_no_room_leaves_the_user_s_as_it_is(api: Client, project: Tenant) -> None:
    user, anonymous = await project.smith(external_id="user-n"), await project.smith(external_id="anon:n")
    for smith, letter in ((user, "u"), (anonymous, "a")):
        ok(await api.put(f"/v1/smiths/{smith['id']}/memory", json={"content": letter * 20_000}))
    await claim(api, anonymous, "user-n")
    assert ok(await api.get(f"/v1/smiths/{user['id']}/memory"))["content"] == "u" * 20_000


async def test_only_a_stranger_s_smith_can_be_claimed(api: Client, project: Tenant) -> None:
    user, nameless = await project.smith(external_id="user-3"), await project.smith()
    for smith in (user, nameless):
        answer = await api.post(f"/v1/smiths/{smith['id']}/claim", json={"external_id": "user-4"})
        error(answer, 409, "smith_not_anonymous")
    assert await claim(api, user, "user-3") == user
    anonymous = await project.smith(external_id="anon:3")
    await claim(api, anonymous, "user-3")
    answer = await api.post(f"/v1/smiths/{anonymous['id']}/claim", json={"external_id": "user-4"})
    error(answer, 409, "smith_not_anonymous")


@pytest.mark.parametrize("external_id", ["", "anon:4", "anon:", "x" * 201])
async def test_nobody_signs_in_as_a_stranger(api: Client, project: Tenant, external_id: str) -> None:
    anonymous = await project.smith(external_id="anon:nobody")
    answer = await api.post(f"/v1/smiths/{anonymous['id']}/claim", json={"external_id": external_id})
    error(answer, 422, "invalid_external_id", "external_id")


async def test_an_archived_smith_is_not_claimed(api: Client, project: Tenant) -> None:
    anonymous = await project.smith(external_id="anon:5")
    ok(await api.delete(f"/v1/smiths/{anonymous['id']}"))
    answer = await api.post(f"/v1/smiths/{anonymous['id']}/claim", json={"external_id": "user-5"})
    error(answer, 404, "not_found")


@pytest.mark.parametrize("has_one", [False, True])
async def test_what_was_given_to_a_stranger_opens_nothing_after_the_claim(
    world: World, api: Client, project: Tenant, has_one: bool
) -> None:
    if has_one:
        await project.smith(external_id="user-6")
    anonymous = await project.smith(external_id=f"anon:6{has_one}")
    client = world.client((await project.smith_token(anonymous["id"]))["token"])
    ok(await client.get("/v1/runs"))
    claimed = await claim(api, anonymous, "user-6")
    await until(lambda: refused(client))
    fresh = await project.smith_token(claimed["id"])
    ok(await world.client(fresh["token"]).get("/v1/runs"))


async def refused(client: Client) -> bool:
    return (await client.get("/v1/runs")).status_code == 401


async def test_twelve_racing_claims_make_one_smith(world: World, api: Client, project: Tenant) -> None:
    anonymous = await project.smith(external_id="anon:7")
    await project.run(anonymous["id"], "kept", thread_id="t")
    answers = await asyncio.gather(*[claim(api, anonymous, "user-7") for _ in range(12)])
    assert {answer["id"] for answer in answers} == {anonymous["id"]}
    told = world.ask("select count(*) from events where type = 'smith.claimed' and smith_id = %s", anonymous["id"])
    assert told == [(1,)]


async def test_twelve_strangers_who_turn_out_to_be_one_person_have_one_smith(
    world: World, api: Client, project: Tenant
) -> None:
    strangers = [await project.smith(external_id=f"anon:8-{number}") for number in range(12)]
    for number, smith in enumerate(strangers):
        await project.run(smith["id"], f"said by {number}", thread_id="main")
    racing = [claim(api, smith, "user-8") for smith in strangers]
    made = project.smith(external_id="user-8")
    answers = await asyncio.gather(*racing, made)
    (user_id,) = {answer["id"] for answer in answers}
    assert world.ask("select count(*) from smiths where external_id = 'user-8' and archived_at is null") == [(1,)]
    told = await said(api, user_id)
    assert sorted(word for words in told.values() for word in words) == sorted(f"said by {n}" for n in range(12))


async def test_what_is_written_of_a_stranger_in_the_instant_of_the_claim_is_the_user_s(
    world: World, api: Client, project: Tenant
) -> None:
    caller = Caller(Actor("tenant", project.id), frozenset({TENANT}), project_id=project.id)
    account = {"credential": {"access_token": "theirs"}, "scopes": []}
    deeds: dict[str, Callable[[AsyncSession, str], Awaitable[Any]]] = {
        "memories": lambda session, id: memories.write(session, caller, id, Fact("Likes tea.")),
        "memory_documents": lambda session, id: memory.write(session, caller, id, "Likes tea."),
        "connections": lambda session, id: connections.bring(session, caller, id, "acme", **account),
    }
    for table, deed in deeds.items():
        user = await project.smith(external_id=f"user-{table}")
        anonymous = await project.smith(external_id=f"anon:{table}")
        async with transaction(caller.tenancy) as session:
            await deed(session, anonymous["id"])
            claiming = asyncio.create_task(claim(api, anonymous, f"user-{table}"))
            await world.wait_for_us(1)
        assert (await claiming)["id"] == user["id"]
        assert world.ask(f"select count(*) from {table} where smith_id = %s", user["id"]) == [(1,)], table
        async with transaction(caller.tenancy) as session:
            with pytest.raises(NotFound):
                await deed(session, anonymous["id"])


async def test_facts_that_race_with_a_claim_are_held_by_whoever_was_told_that_they_are(
    world: World, api: Client, project: Tenant
) -> None:
    for number in range(6):
        user = await project.smith(external_id=f"user-r{number}")
        anonymous = await project.smith(external_id=f"anon:r{number}")
        path = f"/v1/smiths/{anonymous['id']}/memories"
        writing = [api.post(path, json={"content": f"Fact {one}."}) for one in range(8)]
        *written, _ = await asyncio.gather(*writing, claim(api, anonymous, f"user-r{number}"))
        assert {answer.status_code for answer in written} <= {201, 404}
        kept = sum(answer.status_code == 201 for answer in written)
        held = "select count(*) filter (where smith_id = %s), count(*) from memories where smith_id in (%s, %s)"
        assert world.ask(held, user["id"], user["id"], anonymous["id"]) == [(kept, kept)]


async def test_claims_that_race_with_a_delete_lose_nothing(api: Client, project: Tenant) -> None:
    for number in range(4):
        user = await project.smith(external_id=f"user-9-{number}")
        strangers = [await project.smith(external_id=f"anon:9-{number}-{one}") for one in range(4)]
        racing = [claim(api, smith, f"user-9-{number}") for smith in strangers]
        answers = await asyncio.gather(api.delete(f"/v1/smiths/{user['id']}"), *racing)
        live = ok(await api.get("/v1/smiths", params={"external_id": f"user-9-{number}"}))["data"]
        assert len(live) <= 1
        assert {answer["id"] for answer in answers[1:]} <= {user["id"], *(one["id"] for one in live)}


@pytest.mark.parametrize("background", [False, True])
async def test_a_run_under_way_ends_at_the_user_s_smith_and_its_thread_goes_on(
    world: World, api: Client, project: Tenant, background: bool
) -> None:
    agent = await project.agent(model="test/slow")
    user = await project.smith(external_id=f"user-{background}", agent_id=agent["id"])
    anonymous = await project.smith(external_id=f"anon:{background}", agent_id=agent["id"])
    await project.run(user["id"], "[[pause 0ms]] first", thread_id="main")
    body = {"input": [{"role": "user", "content": SLOW}], "thread_id": "main", "background": True}
    path = f"/v1/smiths/{anonymous['id']}/runs"
    waiting = asyncio.ensure_future(api.post(path, json=body | {"background": background}))
    await until(speaking(world, anonymous["id"]))
    next_one = ok(await api.post(path, json=body))
    await claim(api, anonymous, f"user-{background}")
    run = await until(completed(api, user["id"], ok(await waiting)["id"]))
    after = await until(completed(api, user["id"], next_one["id"]))
    assert run["thread_id"] == after["thread_id"] != "main"
    assert after["usage"]["input_tokens"] > run["usage"]["input_tokens"] + 30  # it has read the first one's answer
    kept = "select smith_id, thread_id, complete from transcripts where run_id in (%s, %s)"
    assert world.ask(kept, run["id"], after["id"]) == [(user["id"], run["thread_id"], True)] * 2
    assert await said(api, user["id"]) == {"main": ["[[pause 0ms]] first"], run["thread_id"]: [SLOW, SLOW]}


def speaking(world: World, smith_id: str) -> Callable[[], Any]:
    async def asked() -> bool:
        query = "select count(*) > 3 from frames join runs on runs.id = run_id where smith_id = %s"
        return bool(world.ask(query, smith_id)[0][0])

    return asked


def completed(api: Client, smith_id: str, run_id: str) -> Callable[[], Any]:
    async def asked() -> Any:
        run = ok(await api.get(f"/v1/smiths/{smith_id}/runs/{run_id}"))
        return run if run["status"] == "completed" else None

    return asked


async def test_what_is_said_to_a_stranger_s_smith_while_it_is_claimed_is_kept_or_refused(
    world: World, api: Client, project: Tenant
) -> None:
    user = await project.smith(external_id="user-10")
    for number in range(4):
        anonymous = await project.smith(external_id=f"anon:10-{number}")
        body = {"input": [{"role": "user", "content": "now"}], "background": True}
        answers = await asyncio.gather(
            *[api.post(f"/v1/smiths/{anonymous['id']}/runs", json=body) for _ in range(4)],
            claim(api, anonymous, "user-10"),
            *[api.post(f"/v1/smiths/{anonymous['id']}/runs", json=body) for _ in range(4)],
        )
        taken = [answer.json()["id"] for answer in (*answers[:4], *answers[5:]) if answer.is_success]
        assert {answer.status_code for answer in (*answers[:4], *answers[5:])} <= {202, 404}
        assert world.ask("select count(*) from runs where smith_id = %s", anonymous["id"]) == [(0,)]
        for run_id in taken:
            await until(completed(api, user["id"], run_id))


def test_every_table_that_is_held_about_a_smith_moves_or_has_a_reason_to_stay() -> None:
    held = {table.name for table in SQLModel.metadata.sorted_tables if "smith_id" in table.columns}
    assert held == MOVES | STAYS
